"""Offers: accepted in time, too late, twice, by the wrong one; declined, missed, rescinded; and ended wrap-ups."""

from libs.contracts.vocabulary import Presence
from services.router.assignment.domain import inputs
from services.router.assignment.domain.decisions import (
    AgentChange,
    Assigned,
    Offered,
    Queued,
    ReservationEnded,
    Wrapping,
)
from tests.unit.router.assignment.pool import (
    SALES,
    Pool,
    code,
    every,
    facts,
    only,
    policy,
    rejections,
    seconds,
    spec,
)


def offered(*, agents: int = 1, capacity: int = 1) -> Pool:
    """wki_1 is offered to agent-0."""
    names = [f"agent-{n}" for n in range(agents)]
    pool = Pool(policy(*(spec(name, capacity) for name in names)))
    pool.available(*names)
    pool.request("wki_1")
    return pool


def test_an_accepted_offer_is_assigned_with_the_time_the_customer_waited() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("wki_1")
    pool.advance(seconds(40))
    pool.available("ayu")
    pool.advance(seconds(5))
    decisions = pool.accept("ayu", pool.reservation("wki_1"))
    assert facts(decisions) == ["accepted ayu", "assigned ayu"]
    item = only(decisions, Assigned).item
    assert (item.changed_at - item.waiting_since).total_seconds() == 45
    assert code(decisions) == "ok"


def test_an_accept_counts_by_when_it_was_given() -> None:
    pool = offered()
    reservation, given_at = pool.reservation("wki_1"), pool.now + seconds(29)
    pool.now += seconds(33)  # read late; the expiry has not been told yet
    assert code(pool.accept("agent-0", reservation, at=given_at)) == "ok"
    assert facts(pool.advance(seconds(10))) == []


def test_a_command_stamped_before_the_offer_by_a_slow_clock_does_not_move_time_back() -> None:
    pool = offered()
    offered_at = pool.now
    decisions = pool.accept("agent-0", pool.reservation("wki_1"), at=pool.now - seconds(5))
    assert only(decisions, Assigned).item.changed_at == offered_at


def test_accept_after_expiry_is_refused_as_expired() -> None:
    pool = offered()
    reservation = pool.reservation("wki_1")
    pool.now += seconds(30)
    assert code(pool.accept("agent-0", reservation)) == "expired"
    pool.advance(seconds(0))
    assert code(pool.accept("agent-0", reservation)) == "expired"


def test_two_accepts_at_once_assign_once() -> None:
    pool = offered()
    reservation = pool.reservation("wki_1")
    first, second = pool.accept("agent-0", reservation), pool.accept("agent-0", reservation)
    assert facts(first) == ["accepted agent-0", "assigned agent-0"]
    assert (facts(second), code(first), code(second)) == ([], "ok", "ok")


def test_only_the_agent_it_is_offered_to_may_accept_or_decline() -> None:
    pool = offered(agents=2)
    reservation = pool.reservation("wki_1")
    assert code(pool.accept("agent-1", reservation)) == "not_yours"
    assert code(pool.decline("agent-1", reservation)) == "not_yours"
    assert code(pool.accept("agent-0", "rsv_unheard_of")) == "not_yours"
    assert pool.where("wki_1") == ("offered", "agent-0")


def test_an_agent_of_another_pool_is_answered_and_not_recorded() -> None:
    pool = offered()
    decisions = pool.accept("stranger", pool.reservation("wki_1"))
    change = only(decisions, AgentChange)
    assert (code(decisions), change.agent.version, change.agent.presence) == (
        "unknown_agent",
        0,
        Presence.OFFLINE,
    )
    assert "stranger" not in pool.agents


def test_a_declined_item_goes_to_the_next_candidate_at_once_with_its_original_age() -> None:
    pool = offered(agents=2)
    since = pool.items["wki_1"].waiting_since
    pool.advance(seconds(10))
    decisions = pool.decline("agent-0", pool.reservation("wki_1"), "wrong language")
    assert facts(decisions) == ["declined agent-0", "offered agent-1"]
    assert only(decisions, ReservationEnded).reason == "wrong language"
    assert pool.items["wki_1"].waiting_since == since


def test_declined_by_the_only_agent_it_waits_and_is_offered_again_when_the_memory_lapses() -> None:
    pool = offered()
    decisions = pool.decline("agent-0", pool.reservation("wki_1"))
    assert facts(decisions) == ["declined agent-0", "queued"]
    queued = only(decisions, Queued)
    assert queued.reason == "declined"
    assert rejections(queued.explanation) == {"agent-0": "declined 0 s ago"}
    heard = []
    for _ in range(29):
        heard += facts(pool.advance(seconds(10)))
        pool.beat("agent-0")
    assert heard == []
    assert facts(pool.advance(seconds(10))) == ["offered agent-0"]


def test_declining_one_item_leaves_the_agent_free_for_another() -> None:
    pool = offered()
    pool.request("wki_2")
    decisions = pool.decline("agent-0", pool.reservation("wki_1"))
    assert facts(decisions) == ["declined agent-0", "queued", "offered agent-0"]
    assert pool.where("wki_2") == ("offered", "agent-0")


def test_a_decline_is_remembered_for_this_item_only() -> None:
    pool = offered()
    pool.decline("agent-0", pool.reservation("wki_1"))
    assert facts(pool.request("wki_2")) == ["queued", "offered agent-0"]


def test_a_repeated_decline_is_fine_and_an_accept_after_it_is_not() -> None:
    pool = offered()
    reservation = pool.reservation("wki_1")
    pool.decline("agent-0", reservation)
    assert code(pool.decline("agent-0", reservation)) == "ok"
    assert code(pool.accept("agent-0", reservation)) == "declined"


def test_a_decline_after_the_accept_is_refused() -> None:
    pool = offered()
    reservation = pool.reservation("wki_1")
    pool.accept("agent-0", reservation)
    assert code(pool.decline("agent-0", reservation)) == "ended"
    assert pool.where("wki_1") == ("assigned", "agent-0")


def test_a_missed_offer_goes_to_the_next_and_makes_the_agent_busy() -> None:
    pool = offered(agents=2)
    decisions = pool.advance(seconds(30))
    assert facts(decisions) == ["expired agent-0", "offered agent-1"]
    assert (pool.agent("agent-0").presence, pool.agent("agent-0").reason) == (Presence.BUSY, "missed")
    assert rejections(only(decisions, Offered).explanation)["agent-0"] == "busy (missed)"


def test_an_agent_who_missed_an_offer_gets_work_again_on_saying_so() -> None:
    pool = offered()
    decisions = pool.advance(seconds(30))
    assert facts(decisions) == ["expired agent-0", "queued"]
    assert facts(pool.available("agent-0")) == ["offered agent-0"]


def test_missing_one_offer_takes_back_the_others() -> None:
    pool = offered(capacity=2)
    pool.advance(seconds(10))
    pool.request("wki_2")
    decisions = pool.advance(seconds(20))
    assert facts(decisions) == ["expired agent-0", "rescinded agent-0", "queued", "queued"]
    assert pool.engine.book.load("agent-0") == 0


def test_where_missing_has_no_penalty_the_item_still_does_not_come_back_at_once() -> None:
    pool = Pool(policy(spec("ayu"), missed_becomes_busy=False))
    pool.available("ayu")
    pool.request("wki_1")
    decisions = pool.advance(seconds(30))
    assert facts(decisions) == ["expired ayu", "queued"]
    assert pool.agent("ayu").presence is Presence.AVAILABLE
    assert facts(pool.request("wki_2")) == ["queued", "offered ayu"]


def test_an_expiry_is_stamped_with_the_time_it_was_due_and_told_once() -> None:
    pool = offered()
    due = pool.items["wki_1"].reservations[0].expires_at
    decisions = pool.stall(seconds(3600))
    expired = only([d for d in decisions if facts([d]) == ["expired agent-0"]], ReservationEnded)
    assert expired.item.changed_at == due
    assert facts(pool.stall(seconds(20))) == []


def test_an_expiry_that_this_system_slept_through_is_not_held_against_the_agent() -> None:
    pool = offered()
    decisions = pool.stall(seconds(3600))
    assert facts(decisions) == ["expired agent-0", "offered agent-0"]
    assert pool.items["wki_1"].reservations[0].expires_at == pool.now + seconds(30)


def test_an_agent_freed_by_an_expiry_gets_the_first_in_waiting_order_not_the_expired_item() -> None:
    pool = offered()
    pool.request("urgent", priority=9)
    assert facts(pool.stall(seconds(3600))) == ["expired agent-0", "offered agent-0", "queued"]
    assert pool.where("urgent") == ("offered", "agent-0")


def test_the_latest_endings_are_remembered_and_no_more() -> None:
    pool = offered()
    reservations = []
    for n in range(2, 12):
        reservations.append(pool.reservation(f"wki_{n - 1}"))
        pool.decline("agent-0", reservations[-1])
        pool.request(f"wki_{n}")
    codes = [code(pool.accept("agent-0", r)) for r in reservations]
    assert codes == ["not_yours"] * 2 + ["declined"] * 8


def test_withdrawn_while_offered_rescinds_the_offer_and_frees_the_agent() -> None:
    pool = offered()
    reservation = pool.reservation("wki_1")
    pool.request("wki_2")
    decisions = pool.withdraw("wki_1", "resolved")
    assert facts(decisions) == ["rescinded agent-0", "cancelled", "offered agent-0"]
    assert code(pool.accept("agent-0", reservation)) == "rescinded"


def test_withdrawn_while_waiting_is_cancelled() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("wki_1")
    assert facts(pool.withdraw("wki_1")) == ["cancelled"]
    assert pool.items == {}


def test_withdrawn_with_wrap_up_keeps_the_capacity_until_the_wrap_up_ends() -> None:
    pool = offered()
    pool.take("agent-0")
    pool.request("wki_2")
    decisions = pool.withdraw("wki_1", wrap_up=True)
    assert facts(decisions) == ["wrapping agent-0"]
    assert only(decisions, Wrapping).until == pool.now + seconds(60)
    pool.advance(seconds(30))
    pool.beat("agent-0")
    assert facts(pool.advance(seconds(30))) == ["completed agent-0", "offered agent-0"]


def test_completing_ends_the_wrap_up_at_once() -> None:
    pool = offered()
    pool.take("agent-0")
    pool.withdraw("wki_1", wrap_up=True)
    decisions = pool.complete("agent-0", "wki_1")
    assert (facts(decisions), code(decisions)) == (["completed agent-0"], "ok")
    assert not any(name.startswith("wrap-up/") for name in pool.reminders)
    assert code(pool.complete("agent-0", "wki_1")) == "ok"


def test_only_the_holder_completes_and_only_after_the_end() -> None:
    pool = offered(agents=2)
    pool.take("agent-0")
    assert code(pool.complete("agent-0", "wki_1")) == "not_wrapping"
    pool.withdraw("wki_1", wrap_up=True)
    assert code(pool.complete("agent-1", "wki_1")) == "not_yours"
    assert code(pool.complete("agent-0", "wki_9")) == "not_yours"


def test_withdrawn_without_wrap_up_is_completed_and_frees_at_once() -> None:
    pool = offered()
    pool.take("agent-0")
    pool.request("wki_2")
    assert facts(pool.withdraw("wki_1", "transferred")) == ["completed agent-0", "offered agent-0"]


def test_a_queue_without_wrap_up_has_none() -> None:
    pool = Pool(policy(spec("ayu", queues=(SALES,))))
    pool.available("ayu")
    pool.request("wki_1", queue=SALES)
    pool.take("ayu")
    assert facts(pool.withdraw("wki_1", wrap_up=True)) == ["completed ayu"]


def test_withdrawing_again_or_what_was_never_there_changes_nothing() -> None:
    pool = offered()
    pool.take("agent-0")
    pool.withdraw("wki_1", wrap_up=True)
    assert facts(pool.withdraw("wki_1")) == []
    assert facts(pool.withdraw("wki_9")) == []
    assert facts(pool.tell(inputs.WrapUpEnded("wki_9"))) == []


def test_direct_work_that_is_declined_is_for_anybody() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.request("wki_1", only_agent_id="budi")
    assert facts(pool.decline("budi", pool.reservation("wki_1"))) == ["declined budi", "offered ayu"]


def test_direct_work_that_is_missed_is_for_anybody() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.request("wki_1", only_agent_id="budi")
    assert facts(pool.advance(seconds(30))) == ["expired budi", "offered ayu"]


def test_each_change_of_an_agent_is_told_once_with_load_and_items() -> None:
    pool = offered()
    decisions = pool.accept("agent-0", pool.reservation("wki_1"))
    change = only(decisions, AgentChange)
    assert (change.load, change.work_item_ids) == (1, ("wki_1",))
    versions = [c.agent.version for _, _, _, made in pool.history for c in every(made, AgentChange)]
    assert versions == list(range(versions[0], versions[0] + len(versions)))
