"""Who gets which item: skills, queues, room, the idle order, the waiting order, and the words for it."""

from typing import Any

import pytest

from libs.contracts.vocabulary import Channel, Presence
from libs.workspace import Relaxation, Terms
from services.router.assignment.domain import inputs
from services.router.assignment.domain.decisions import Assigned, Offered, Queued, ReservationEnded
from services.router.assignment.domain.policy import AgentSpec
from tests.unit.router.assignment.pool import (
    BILLING,
    SALES,
    Pool,
    every,
    facts,
    only,
    policy,
    rejections,
    seconds,
    spec,
)


def test_an_item_is_queued_and_offered_at_once_to_a_free_agent() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    decisions = pool.request("wki_1")
    assert facts(decisions) == ["queued", "offered ayu"]
    offered = only(decisions, Offered).reservation
    assert offered.expires_at == pool.now + seconds(30)


def test_auto_accept_assigns_without_an_offer() -> None:
    pool = Pool(policy(spec("ayu"), auto_accept=True))
    pool.available("ayu")
    decisions = pool.request("wki_1")
    assert facts(decisions) == ["queued", "assigned ayu"]
    assert only(decisions, Assigned).reservation_id is None


def test_whoever_was_without_new_work_for_longest_comes_first() -> None:
    pool = Pool(policy(spec("ayu", 2), spec("budi", 2), spec("citra", 2)))
    pool.available("citra", "ayu", "budi")
    given = [only(pool.request(f"wki_{n}"), Offered).reservation.agent_id for n in range(6)]
    assert given == ["citra", "ayu", "budi", "citra", "ayu", "budi"]


def test_requests_of_one_moment_are_spread_over_the_agents() -> None:
    """One batch has one time; the idle order must not depend on it."""
    pool = Pool(policy(*(spec(f"agent-{n}", 5) for n in range(4))))
    pool.available(*(f"agent-{n}" for n in range(4)))
    for n in range(8):
        pool.request(f"wki_{n}")
    assert [pool.engine.book.load(f"agent-{n}") for n in range(4)] == [2, 2, 2, 2]


def test_an_offer_that_comes_to_nothing_does_not_cost_the_agent_the_place_in_the_idle_order() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.request("wki_1")
    pool.withdraw("wki_1")
    assert only(pool.request("wki_2"), Offered).reservation.agent_id == "ayu"


def test_returning_from_a_break_goes_to_the_end_of_the_idle_order() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.presence("ayu", Presence.BREAK)
    pool.available("ayu")
    assert only(pool.request("wki_1"), Offered).reservation.agent_id == "budi"


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ({"queue": SALES}, "not in queue sales"),
        ({"skills": {"refund": 3}}, "skill refund 2 < 3"),
        ({"skills": {"tax": 1}}, "skill tax 0 < 1"),
        ({"excluded_agent_ids": ("ayu",)}, "excluded"),
        ({"channel": Channel.WEBCHAT}, "capacity 0/1, 2 needed"),
    ],
)
def test_an_agent_who_does_not_fit_is_rejected_with_the_first_reason(needs: Any, reason: str) -> None:
    pool = Pool(policy(spec("ayu", refund=2), channel_cost={Channel.WEBCHAT: 2}))
    pool.available("ayu")
    decisions = pool.request("wki_1", **needs)
    queued = only(decisions, Queued)
    assert facts(decisions) == ["queued"]
    assert rejections(queued.explanation) == {"ayu": reason}
    assert queued.explanation.chosen is None


@pytest.mark.parametrize(
    ("presence", "said", "reason"),
    [
        (Presence.OFFLINE, None, "offline"),
        (Presence.BREAK, "lunch", "break (lunch)"),
        (Presence.BUSY, None, "busy"),
    ],
)
def test_an_agent_who_is_not_available_is_rejected_by_presence(
    presence: Presence, said: str | None, reason: str
) -> None:
    pool = Pool(policy(spec("ayu")))
    pool.presence("ayu", presence, said)
    assert rejections(only(pool.request("wki_1"), Queued).explanation) == {"ayu": reason}


def test_a_full_agent_is_rejected_by_capacity() -> None:
    pool = Pool(policy(spec("ayu", 2)))
    pool.available("ayu")
    pool.request("wki_1")
    pool.request("wki_2")
    assert rejections(only(pool.request("wki_3"), Queued).explanation) == {"ayu": "capacity 2/2"}


def test_an_explanation_says_who_was_chosen_by_which_policy_and_from_how_many() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi"), spec("citra", queues=(SALES,)), version="abc123"))
    pool.available("ayu")
    pool.advance(seconds(10))
    explanation = only(pool.request("wki_1"), Offered).explanation
    assert (explanation.policy, explanation.policy_version, explanation.strategy) == (
        "main",
        "abc123",
        "priority/longest_idle",
    )
    assert (explanation.chosen, explanation.considered) == ("ayu", 3)
    assert rejections(explanation) == {"ayu": None, "budi": "offline", "citra": "not in queue billing"}
    assert explanation.candidates[0].score == (10.0,)


def test_an_explanation_lists_fifty_of_many_and_leaves_room_for_the_rejected() -> None:
    free = [f"free-{n:03}" for n in range(60)]
    pool = Pool(policy(*(spec(a) for a in free), *(spec(f"gone-{n:03}") for n in range(60))))
    pool.available(*free)
    explanation = only(pool.request("wki_1"), Offered).explanation
    rejected = [c for c in explanation.candidates if c.rejected]
    assert (len(explanation.candidates), explanation.considered) == (50, 120)
    assert len(rejected) == 39
    assert explanation.candidates[0].agent_id == "free-000"


def test_the_agent_of_the_conversations_last_assignment_is_preferred_when_free() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    offered = only(pool.request("wki_1", last_agent_id="budi"), Offered)
    assert offered.reservation.agent_id == "budi"
    assert offered.explanation.note == "had this conversation last"


def test_the_last_agent_is_not_waited_for() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu")
    assert only(pool.request("wki_1", last_agent_id="budi"), Offered).reservation.agent_id == "ayu"


def test_work_for_one_agent_waits_for_that_agent_and_asks_for_no_skill() -> None:
    pool = Pool(policy(spec("ayu", refund=5), spec("budi", queues=(SALES,))))
    pool.available("ayu")
    queued = only(pool.request("wki_1", only_agent_id="budi", skills={"refund": 3}), Queued)
    assert rejections(queued.explanation) == {"budi": "offline"}
    assert queued.explanation.considered == 1
    assert facts(pool.available("budi")) == ["offered budi"]


def test_work_for_an_agent_who_is_not_of_the_pool_is_for_anybody() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    decisions = pool.request("wki_1", only_agent_id="zaki")
    assert facts(decisions) == ["queued", "offered ayu"]
    assert only(decisions, Queued).explanation.note == "zaki is not in pool main"


def test_a_freed_agent_gets_the_first_in_waiting_order() -> None:
    pool = Pool(policy(spec("ayu")))
    now = pool.now
    pool.request("oldest", requested_at=now - seconds(90))
    pool.request("due-soon", requested_at=now - seconds(10), due_at=now + seconds(60))
    pool.request("urgent", requested_at=now, priority=5)
    pool.request("older-b", requested_at=now - seconds(60))
    pool.request("older-a", requested_at=now - seconds(60))
    pool.available("ayu")
    served = []
    for _ in range(5):
        served += pool.take("ayu")
        pool.withdraw(served[-1])
    assert served == ["urgent", "due-soon", "oldest", "older-a", "older-b"]


def test_an_item_without_deadline_is_not_passed_for_ever_by_items_with_one() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("undated")
    pool.advance(seconds(3600))
    pool.request("dated", due_at=pool.now + seconds(60))
    pool.available("ayu")
    assert pool.take("ayu") == ["undated"]


def test_an_agent_with_little_room_is_given_the_first_item_that_fits_it() -> None:
    pool = Pool(policy(spec("ayu", 1), channel_cost={Channel.WEBCHAT: 2}))
    pool.request("large", channel=Channel.WEBCHAT, priority=9)
    pool.request("small")
    assert facts(pool.available("ayu")) == ["offered ayu"]
    assert pool.where("small") == ("offered", "ayu")


def test_an_agent_who_comes_is_given_as_much_as_fits() -> None:
    pool = Pool(policy(spec("ayu", 3)))
    for n in range(5):
        pool.request(f"wki_{n}")
    assert facts(pool.available("ayu")) == ["offered ayu"] * 3
    assert [pool.where(f"wki_{n}")[0] for n in range(5)] == ["offered"] * 3 + ["queued"] * 2


def test_freed_capacity_goes_to_the_oldest_eligible_not_to_a_newer_one() -> None:
    pool = Pool(policy(spec("ayu", refund=1)))
    pool.available("ayu")
    pool.request("held")
    pool.take("ayu")
    pool.request("not-for-ayu", skills={"refund": 4})
    pool.request("older")
    pool.advance(seconds(1))
    pool.request("newer")
    decisions = pool.withdraw("held")
    assert only(decisions, Offered).item.work_item_id == "older"


def test_reprioritised_work_is_served_in_its_new_place() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("first")
    pool.advance(seconds(1))
    pool.request("second")
    pool.tell(inputs.Reprioritise("second", priority=3))
    pool.available("ayu")
    assert pool.take("ayu") == ["second"]


def test_a_missed_deadline_is_not_moved_later() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("late", due_at=pool.now + seconds(10))
    pool.advance(seconds(20))
    pool.tell(inputs.Reprioritise("late", due_at=pool.now + seconds(9000)))
    pool.request("fresh", due_at=pool.now + seconds(60))
    pool.available("ayu")
    assert pool.take("ayu") == ["late"]


def test_a_deadline_that_is_still_to_come_may_move_later() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("moved", due_at=pool.now + seconds(10))
    pool.tell(inputs.Reprioritise("moved", due_at=pool.now + seconds(900)))
    pool.request("fresh", due_at=pool.now + seconds(60))
    pool.available("ayu")
    assert pool.take("ayu") == ["fresh"]


def test_work_in_a_queue_nobody_serves_waits_and_says_so() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    explanation = only(pool.request("wki_1", queue="closed"), Queued).explanation
    assert rejections(explanation) == {"ayu": "not in queue closed", "budi": "not in queue closed"}


def test_a_request_that_is_known_already_is_ignored() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("wki_1")
    assert facts(pool.request("wki_1")) == []


def test_a_request_stamped_in_the_future_began_to_wait_now() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("wki_1", requested_at=pool.now + seconds(500))
    assert pool.items["wki_1"].waiting_since == pool.now


def test_a_queue_that_bills_more_units_counts_them_in_the_load() -> None:
    pool = Pool(policy(spec("ayu", 3), channel_cost={Channel.WEBCHAT: 2}))
    pool.available("ayu")
    pool.request("one", channel=Channel.WEBCHAT)
    assert facts(pool.request("two", channel=Channel.WEBCHAT)) == ["queued"]
    assert facts(pool.request("three", queue=BILLING)) == ["queued", "offered ayu"]
    assert pool.engine.book.load("ayu") == 3


def test_no_decision_is_made_twice_for_one_reservation() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.request("wki_1")
    first = pool.reservation("wki_1")
    pool.decline("ayu", first)
    second = pool.reservation("wki_1")
    assert first != second
    assert every(pool.accept("budi", second), ReservationEnded)[0].reservation_id == second


def test_a_takeover_does_not_make_absent_agents_count_as_there() -> None:
    """Else a step that is skipped where nobody fits would be waited for after a restart, and only then."""
    steps = (Relaxation(seconds(600), {"refund": 0}, skip_if_nobody=True),)
    pool = Pool(policy(spec("ayu", refund=2), spec("budi"), relaxations={BILLING: steps}))
    pool.available("ayu", "budi")
    pool.presence("ayu", Presence.OFFLINE)
    pool.rebuild()
    assert facts(pool.request("wki_1", skills={"refund": 2})) == ["queued", "offered budi"]


@pytest.mark.parametrize("wish", ["only_agent_id", "last_agent_id"])
def test_the_delay_of_a_queue_does_not_keep_an_agent_who_frees_up_from_work_that_is_theirs(wish: str) -> None:
    late = {BILLING: Terms(delay=seconds(30))}
    pool = Pool(policy(AgentSpec("ayu", {}, frozenset({BILLING}), 1, terms=late)))
    pool.available("ayu")
    pool.request("wki_1", last_agent_id="ayu")
    pool.request("wki_2", **{wish: "ayu"})
    assert facts(pool.withdraw("wki_1")) == ["rescinded ayu", "cancelled", "offered ayu"]


def test_who_waits_for_the_last_agent_who_could_help_skips_the_step_when_that_agent_goes() -> None:
    steps = (Relaxation(seconds(600), {"refund": 0}, skip_if_nobody=True),)
    pool = Pool(policy(spec("ayu", refund=2), spec("budi"), relaxations={BILLING: steps}))
    pool.available("ayu", "budi")
    pool.request("wki_1", skills={"refund": 2})
    assert facts(pool.request("wki_2", skills={"refund": 2})) == ["queued"]
    assert "offered budi" in facts(pool.presence("ayu", Presence.OFFLINE))
