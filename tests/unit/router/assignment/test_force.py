"""A supervisor's order: past skills and capacity, labelled, and never unnoticed."""

from libs.contracts.vocabulary import Presence
from services.router.assignment.domain.decisions import AgentChange, Assigned
from tests.unit.router.assignment.pool import SALES, Pool, code, every, facts, only, policy, seconds, spec


def crew() -> Pool:
    pool = Pool(policy(spec("ayu"), spec("budi", queues=(SALES,))))
    pool.available("ayu", "budi")
    return pool


def test_forced_work_may_exceed_the_capacity_and_is_labelled_with_what_it_overruled() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.take("ayu")
    pool.request("wki_2")
    decisions = pool.force("ayu", "wki_2")
    assigned = only(decisions, Assigned)
    assert (assigned.agent_id, assigned.forced_by) == ("ayu", "sup")
    assert assigned.explanation.candidates[0].rejected == "capacity 1/1"
    assert assigned.explanation.note == "forced by sup"
    assert (only(decisions, AgentChange).load, code(decisions)) == (2, "ok")


def test_an_agent_above_capacity_gets_nothing_more_until_there_is_room() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.take("ayu")
    pool.request("wki_2")
    pool.force("ayu", "wki_2")
    pool.request("wki_3")
    assert pool.engine.book.over == {"ayu": 1}
    assert facts(pool.withdraw("wki_1")) == ["completed ayu"]
    assert pool.engine.book.over == {}
    assert facts(pool.withdraw("wki_2")) == ["completed ayu", "offered ayu"]


def test_forced_work_goes_past_queue_and_skills() -> None:
    pool = crew()
    pool.presence("ayu", Presence.BREAK)
    pool.request("wki_1", skills={"refund": 5})
    assert (
        only(pool.force("budi", "wki_1"), Assigned).explanation.candidates[0].rejected
        == "not in queue billing"
    )


def test_forcing_offered_work_rescinds_the_offer_and_frees_that_agent() -> None:
    pool = crew()
    pool.request("wki_1")
    reservation = pool.reservation("wki_1")
    pool.request("wki_2")
    assert facts(pool.force("budi", "wki_1")) == ["rescinded ayu", "assigned budi", "offered ayu"]
    assert code(pool.accept("ayu", reservation)) == "rescinded"


def test_forcing_held_work_moves_it_and_tells_both() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.take("ayu")
    decisions = pool.force("budi", "wki_1")
    assert facts(decisions) == ["assigned budi"]
    assert {c.agent.agent_id: c.load for c in every(decisions, AgentChange)} == {"ayu": 0, "budi": 1}


def test_forcing_work_on_its_holder_changes_nothing() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.take("ayu")
    decisions = pool.force("ayu", "wki_1")
    assert (facts(decisions), code(decisions)) == ([], "ok")


def test_only_a_supervisor_may_force() -> None:
    pool = crew()
    pool.request("wki_1")
    assert code(pool.force("budi", "wki_1", by="ayu")) == "forbidden"
    assert pool.where("wki_1") == ("offered", "ayu")


def test_force_is_refused_for_unknown_or_ended_work_and_for_who_is_not_there() -> None:
    pool = crew()
    pool.request("wki_1")
    assert code(pool.force("budi", "wki_9")) == "unknown_work"
    assert code(pool.force("zaki", "wki_1")) == "unknown_agent"
    pool.presence("budi", Presence.OFFLINE)
    assert code(pool.force("budi", "wki_1")) == "offline"
    pool.take("ayu")
    pool.withdraw("wki_1", wrap_up=True)
    pool.presence("budi", Presence.BREAK)
    assert code(pool.force("budi", "wki_1")) == "ended"


def test_forced_work_of_an_agent_who_is_lost_goes_back_like_any_other() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.force("budi", "wki_1")
    for _ in range(5):
        pool.advance(seconds(15))
        pool.beat("ayu")
    assert pool.where("wki_1") == ("offered", "ayu")
