"""Somebody's own system is asked who shall get work: what it may choose, what is told of it, and that nothing depends on it."""

from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.vocabulary import Presence, WorkState
from libs.workspace import Relaxation, Terms
from services.router.assignment.domain import inputs
from services.router.assignment.domain.asking import CONTENDERS
from services.router.assignment.domain.decisions import (
    Ask,
    Assigned,
    Decision,
    HookAnswer,
    Ignored,
    Lent,
    Offered,
    Queued,
)
from services.router.assignment.domain.policy import AgentSpec, Mode
from tests.unit.router.assignment.pool import (
    BILLING,
    SALES,
    START,
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

WITHIN = timedelta(milliseconds=500)


def crew(*specs: AgentSpec, **changes: Any) -> Pool:
    """Ayu has been idle for longest; work of `billing` is asked about, work of `sales` is not."""
    found = specs or tuple(spec(name, queues=(BILLING, SALES)) for name in ("ayu", "budi", "citra"))
    pool = Pool(policy(*found, **{"hooks": {BILLING: WITHIN}, **changes}))
    for agent in found:
        pool.available(agent.agent_id)
        pool.advance(seconds(1))
    return pool


def answers(
    pool: Pool, item: str, *agent_ids: str, ask: int = 1, reason: str | None = None, fault: str | None = None
) -> list[Decision]:
    return pool.tell(inputs.HookAnswered(item, ask, agent_ids, reason, fault))


def test_work_is_told_as_queued_and_waits_while_its_hook_is_asked_though_agents_are_free() -> None:
    pool = crew()
    decisions = pool.request("wki_1")
    assert facts(decisions) == ["queued"]
    assert only(decisions, Queued).explanation.note == "allocation hook: asked, for 500 ms at most"
    asked = only(decisions, Ask)
    assert (asked.item.hook_until, asked.item.hook_asks) == (pool.now + WITHIN, 1)
    assert [c.agent_id for c in asked.contenders] == ["ayu", "budi", "citra"]
    assert facts(pool.advance(seconds(0.4))) == []


def test_the_agent_whom_the_hook_chose_is_offered_the_work_and_the_explanation_says_why() -> None:
    pool = crew()
    pool.request("wki_1")
    offered = only(answers(pool, "wki_1", "budi", reason="vip customer"), Offered)
    assert offered.reservation.agent_id == offered.explanation.chosen == "budi"
    assert offered.explanation.note == "allocation hook chose budi: vip customer"
    assert offered.explanation.hook == HookAnswer(1, ("budi",), "vip customer", None)
    assert "hook/wki_1" not in pool.reminders


def test_with_auto_accept_the_chosen_agent_has_the_work_at_once() -> None:
    pool = crew(auto_accept=True)
    pool.request("wki_1")
    assert facts(answers(pool, "wki_1", "citra")) == ["assigned citra"]


def test_a_choice_of_somebody_who_cannot_take_it_is_refused_with_its_reason_and_matching_decides() -> None:
    pool = crew()
    pool.presence("budi", Presence.OFFLINE)
    pool.request("wki_1")
    offered = only(answers(pool, "wki_1", "budi", reason="vip"), Offered)
    assert offered.reservation.agent_id == "ayu"
    assert offered.explanation.note == "allocation hook chose budi, who is offline: vip"
    assert rejections(offered.explanation)["budi"] == "offline"


def test_the_first_of_several_named_who_can_take_it_gets_it() -> None:
    pool = crew()
    pool.presence("budi", Presence.BREAK, "lunch")
    pool.request("wki_1")
    offered = only(answers(pool, "wki_1", "budi", "zaki", "citra", "ayu"), Offered)
    assert offered.reservation.agent_id == "citra"
    assert offered.explanation.note == (
        "allocation hook chose budi, who is break (lunch), then zaki, who is not in pool main, then citra"
    )


@pytest.mark.parametrize(
    ("wanted", "note"),
    [
        ("budi", "allocation hook chose budi, who has skill refund 1 < 2"),
        ("citra", "allocation hook chose citra, who has capacity 1/1"),
        ("dimas", "allocation hook chose dimas, who is excluded"),
        ("zaki", "allocation hook chose zaki, who is not in pool main"),
    ],
)
def test_a_refused_choice_that_leaves_nobody_is_told_and_the_work_waits(wanted: str, note: str) -> None:
    pool = crew(spec("budi", refund=1), spec("citra", refund=3), spec("dimas", refund=3))
    pool.request("busy", skills={"refund": 3}, excluded_agent_ids=("dimas",))
    answers(pool, "busy", "citra")
    pool.request("wki_1", skills={"refund": 2}, excluded_agent_ids=("dimas",))
    queued = only(answers(pool, "wki_1", wanted), Queued)
    assert (queued.reason, queued.explanation.note) == ("allocation_hook", note)
    assert pool.where("wki_1") == ("queued", None)


def test_who_declined_is_not_chosen_again_and_the_hook_is_asked_again_once_it_is_back() -> None:
    pool = crew()
    pool.request("wki_1")
    answers(pool, "wki_1", "budi")
    decisions = pool.decline("budi", pool.reservation("wki_1"))
    assert facts(decisions) == ["declined budi", "queued"]
    assert only(decisions, Queued).reason == "declined"
    asked = only(decisions, Ask)
    assert (asked.item.hook_asks, [c.agent_id for c in asked.contenders]) == (2, ["ayu", "citra"])
    pool.advance(seconds(0.1))
    offered = only(answers(pool, "wki_1", "budi", ask=2), Offered)
    assert offered.explanation.note == "allocation hook chose budi, who declined 0 s ago"
    assert offered.reservation.agent_id == "ayu"


def test_without_an_opinion_matching_decides() -> None:
    pool = crew()
    pool.request("wki_1")
    offered = only(answers(pool, "wki_1", reason="nobody known"), Offered)
    assert offered.reservation.agent_id == "ayu"
    assert offered.explanation.note == "allocation hook: no opinion: nobody known"


def test_a_fault_of_the_hook_is_told_and_matching_decides_at_once() -> None:
    pool = crew()
    pool.request("wki_1", last_agent_id="citra")
    offered = only(answers(pool, "wki_1", fault="answered 503"), Offered)
    assert offered.reservation.agent_id == "citra"
    assert offered.explanation.note == "allocation hook: answered 503; had this conversation last"


def test_after_its_time_limit_matching_decides_and_a_later_answer_changes_nothing() -> None:
    pool = crew()
    pool.request("wki_1")
    offered = only(pool.advance(WITHIN), Offered)
    assert offered.item.changed_at == START + seconds(3) + WITHIN
    assert offered.explanation.note == "allocation hook: no answer within 500 ms"
    assert answers(pool, "wki_1", "budi") == [Ignored("late_hook_answer")]
    assert pool.where("wki_1") == ("offered", "ayu")


def test_an_answer_to_an_earlier_ask_is_not_taken_for_one_to_the_next() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.advance(WITHIN)
    pool.decline("ayu", pool.reservation("wki_1"))
    assert answers(pool, "wki_1", "budi", ask=1) == [Ignored("late_hook_answer")]
    assert facts(answers(pool, "wki_1", "citra", ask=2)) == ["offered citra"]


def test_other_work_is_matched_while_a_hook_is_asked() -> None:
    pool = crew(spec("ayu", queues=(BILLING, SALES)))
    pool.request("wki_1", priority=9)
    assert facts(pool.request("wki_2", queue=SALES)) == ["queued", "offered ayu"]
    queued = only(answers(pool, "wki_1", "ayu"), Queued)
    assert queued.explanation.note == "allocation hook chose ayu, who has capacity 1/1"


def test_work_for_one_agent_alone_is_not_asked_about() -> None:
    pool = crew()
    assert facts(pool.request("wki_1", only_agent_id="budi")) == ["queued", "offered budi"]


def test_work_of_a_lost_agent_is_asked_about_anew_with_its_age() -> None:
    pool = crew()
    pool.request("wki_1")
    answers(pool, "wki_1", "budi")
    pool.take("budi")
    asked = only(pool.tell_lost("budi"), Ask)
    assert (asked.item.last_agent_id, asked.item.waiting_since) == ("budi", START + seconds(3))


def test_a_choice_goes_past_the_delay_of_a_queue_for_the_agent() -> None:
    late = AgentSpec("budi", {}, frozenset({BILLING}), 1, terms={BILLING: Terms(delay=seconds(60))})
    pool = crew(spec("ayu"), late)
    asked = only(pool.request("wki_1"), Ask)
    assert {c.agent_id for c in asked.contenders} == {"ayu", "budi"}
    assert facts(answers(pool, "wki_1", "budi")) == ["offered budi"]


def test_only_the_chosen_one_is_offered_work_that_is_else_offered_to_several() -> None:
    pool = crew(offers_at_once=2)
    pool.request("wki_1")
    assert facts(answers(pool, "wki_1", "budi")) == ["offered budi"]
    pool.request("wki_2")
    assert facts(answers(pool, "wki_2")) == ["offered ayu", "offered citra"]


@pytest.mark.parametrize("ending", ["withdrawn", "forced", "taken", "next"])
def test_what_people_do_meanwhile_works_and_makes_the_answer_moot(ending: str) -> None:
    mode = Mode.MANUAL if ending == "taken" else Mode.PULL if ending == "next" else Mode.PUSH
    pool = crew(modes={BILLING: mode})
    pool.request("wki_1")
    match ending:
        case "withdrawn":
            assert facts(pool.withdraw("wki_1")) == ["cancelled"]
        case "forced":
            assert code(pool.force("citra", "wki_1")) == "ok"
        case "taken":
            assert code(pool.pick("citra", "wki_1")) == "ok"
        case "next":
            assert code(pool.next("citra")) == "ok"
    assert answers(pool, "wki_1", "budi") == [Ignored("late_hook_answer")]
    assert "hook/wki_1" not in pool.reminders
    assert facts(pool.advance(seconds(1))) == []
    if ending != "withdrawn":
        assert pool.where("wki_1") == ("assigned", "citra")


def test_next_gives_the_first_of_what_waits_and_of_what_is_asked_about() -> None:
    pool = crew(modes={BILLING: Mode.PULL})
    pool.request("old")
    answers(pool, "old")
    pool.advance(seconds(1))
    pool.request("urgent", priority=5)
    assert facts(pool.next("ayu")) == ["assigned ayu"]
    assert pool.where("urgent") == ("assigned", "ayu")
    assert pool.where("old") == ("queued", None)


def test_the_hook_of_a_manual_queue_may_choose_and_without_an_opinion_the_work_waits_to_be_taken() -> None:
    pool = crew(modes={BILLING: Mode.MANUAL})
    asked = only(pool.request("wki_1"), Ask)
    assert [c.agent_id for c in asked.contenders] == ["ayu", "budi", "citra"]
    assert facts(answers(pool, "wki_1", "citra")) == ["offered citra"]
    pool.request("wki_2")
    queued = only(answers(pool, "wki_2"), Queued)
    assert queued.explanation.note == (
        "allocation hook: no opinion; queue billing is manual: waits to be taken"
    )


def test_priority_and_deadline_may_change_while_the_hook_is_asked() -> None:
    pool = crew(spec("ayu"))
    pool.request("wki_1")
    pool.request("wki_2")
    pool.tell(inputs.Reprioritise("wki_2", priority=5))
    # Both fall due at one moment: the first to be told gets the agent, and the other waits.
    pool.advance(WITHIN)
    assert sorted(i.state for i in pool.items.values()) == [WorkState.OFFERED, WorkState.QUEUED]
    assert pool.items["wki_2"].priority == 5


def test_a_rebuilt_engine_waits_for_the_same_answer() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.rebuild()
    assert facts(pool.beat("ayu")) == []
    assert facts(answers(pool, "wki_1", "citra")) == ["offered citra"]


def test_a_hook_is_told_of_the_best_agents_only_with_what_they_have_and_can() -> None:
    specs = [spec(f"a{number:03}", capacity=2, refund=number % 3 + 1) for number in range(150)]
    pool = Pool(policy(*specs, hooks={BILLING: WITHIN}))
    pool.available(*(s.agent_id for s in specs))
    asked = only(pool.request("wki_1", skills={"refund": 2}), Ask)
    assert len(asked.contenders) == CONTENDERS
    first = asked.contenders[0]
    assert (first.agent_id, first.skills, first.load, first.capacity) == ("a001", {"refund": 2}, 0, 2)
    assert first.idle_since == START
    assert all(c.skills["refund"] >= 2 for c in asked.contenders)
    assert every(pool.advance(WITHIN), Offered)[0].reservation.agent_id == "a001"


def test_a_hook_that_is_no_longer_configured_still_ends_in_time() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.rebuild(policy(*(spec(name, queues=(BILLING,)) for name in ("ayu", "budi", "citra"))))
    offered = only(pool.advance(WITHIN), Offered)
    assert offered.explanation.note == "allocation hook: no answer in time"
    assert every(pool.decline("ayu", pool.reservation("wki_1")), Assigned) == []
    assert pool.where("wki_1") == ("offered", "budi")


def test_work_is_lent_to_other_pools_only_once_its_hook_has_had_its_say() -> None:
    joins = Relaxation(seconds(30), pools=("second",), skip_if_nobody=True)
    pool = Pool(policy(spec("ayu"), hooks={BILLING: WITHIN}, relaxations={BILLING: (joins,)}))
    assert every(pool.request("wki_1"), Lent) == []
    assert [lent.to for lent in every(answers(pool, "wki_1"), Lent)] == ["second"]
