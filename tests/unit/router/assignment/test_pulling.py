"""Queues that do not offer their work: agents ask for the next, or take an item of a manual queue."""

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain.decisions import Assigned, Queued
from services.router.assignment.domain.policy import Mode
from tests.unit.router.assignment.pool import (
    BILLING,
    SALES,
    Pool,
    answer,
    code,
    facts,
    only,
    policy,
    seconds,
    spec,
)


def crew(mode: Mode = Mode.PULL, capacity: int = 1) -> Pool:
    pool = Pool(
        policy(spec("ayu", capacity), spec("budi", capacity, queues=(BILLING, SALES)), modes={BILLING: mode})
    )
    pool.available("ayu", "budi")
    return pool


def test_work_of_a_pull_queue_is_not_offered_by_itself() -> None:
    pool = crew()
    decisions = pool.request("wki_1")
    assert facts(decisions) == ["queued"]
    assert only(decisions, Queued).explanation.note == "queue billing is pull: waits to be taken"
    pool.presence("ayu", Presence.BREAK)
    assert facts(pool.available("ayu")) == []


def test_the_next_item_is_the_first_in_waiting_order_and_is_assigned_at_once() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.request("wki_2", priority=3)
    decisions = pool.next("ayu")
    assert facts(decisions) == ["assigned ayu"]
    assert (answer(decisions).code.value, answer(decisions).work_item_id) == ("ok", "wki_2")
    assert only(decisions, Assigned).explanation.note == "asked for the next"


def test_the_next_item_is_one_that_the_agent_can_take() -> None:
    pool = crew()
    pool.request("wki_1", skills={"refund": 1})
    pool.request("wki_2", excluded_agent_ids=("ayu",))
    pool.request("wki_3")
    assert answer(pool.next("ayu")).work_item_id == "wki_3"


def test_where_nothing_waits_the_answer_says_so() -> None:
    pool = crew()
    assert code(pool.next("ayu")) == "nothing_waiting"
    pool.request("wki_1", skills={"refund": 1})
    assert code(pool.next("ayu")) == "nothing_waiting"


def test_the_next_is_refused_without_room_and_to_who_is_not_available() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.request("wki_2")
    pool.next("ayu")
    said = answer(pool.next("ayu"))
    assert (said.code.value, said.text) == ("full", "capacity 1/1")
    pool.presence("budi", Presence.BUSY)
    assert code(pool.next("budi")) == "not_available"


def test_a_pull_queue_does_not_stand_in_the_way_of_others() -> None:
    pool = crew()
    pool.request("wki_1")
    assert facts(pool.request("wki_2", queue=SALES)) == ["queued", "offered budi"]


def test_work_transferred_to_one_agent_is_offered_to_that_one_whatever_the_queue() -> None:
    assert facts(crew().request("wki_1", only_agent_id="budi")) == ["queued", "offered budi"]


def test_pulled_work_of_a_lost_agent_waits_to_be_pulled_again() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.next("ayu")
    pool.tell_lost("ayu")
    assert pool.where("wki_1") == ("queued", None)
    pool.available("budi")
    assert answer(pool.next("budi")).work_item_id == "wki_1"


def test_a_manual_queue_gives_nothing_to_who_asks_for_the_next() -> None:
    pool = crew(Mode.MANUAL)
    pool.request("wki_1")
    assert code(pool.next("ayu")) == "nothing_waiting"


def test_an_agent_takes_a_named_item_of_a_manual_queue() -> None:
    pool = crew(Mode.MANUAL)
    pool.request("wki_1")
    decisions = pool.pick("budi", "wki_1")
    assert (facts(decisions), code(decisions)) == (["assigned budi"], "ok")
    assert only(decisions, Assigned).explanation.note == "taken by the agent"
    assert code(pool.pick("budi", "wki_1")) == "ok"
    assert code(pool.pick("ayu", "wki_1")) == "taken"


def test_taking_is_refused_in_stable_words() -> None:
    pool = crew(Mode.MANUAL)
    pool.request("wki_1", skills={"refund": 1})
    pool.request("wki_2")
    pool.request("wki_3")
    said = answer(pool.pick("ayu", "wki_1"))
    assert (said.code.value, said.text) == ("not_for_you", "skill refund 0 < 1")
    assert code(pool.pick("ayu", "wki_9")) == "unknown_work"
    pool.pick("ayu", "wki_2")
    assert code(pool.pick("ayu", "wki_3")) == "full"
    pool.presence("budi", Presence.BREAK)
    assert code(pool.pick("budi", "wki_3")) == "not_available"


def test_a_queue_that_offers_its_work_is_not_picked_from() -> None:
    pool = crew(Mode.PULL)
    pool.request("wki_1")
    assert code(pool.pick("ayu", "wki_1")) == "not_manual"


def test_a_supervisor_assigns_work_of_a_manual_queue() -> None:
    pool = crew(Mode.MANUAL)
    pool.request("wki_1")
    assert facts(pool.force("ayu", "wki_1")) == ["assigned ayu"]


def test_work_is_matched_when_the_workspace_makes_its_queue_push() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.rebuild(policy(spec("ayu"), spec("budi"), version="v2"))
    assert facts(pool.beat("ayu")) == ["offered ayu"]


def test_pulling_takes_units_as_the_channel_costs() -> None:
    pool = Pool(policy(spec("ayu", 1), modes={BILLING: Mode.PULL}, channel_cost={Channel.WEBCHAT: 2}))
    pool.available("ayu")
    pool.request("wki_1", channel=Channel.WEBCHAT)
    assert answer(pool.next("ayu")).text == "capacity 0/1, 2 needed"
    pool.advance(seconds(1))
    pool.request("wki_2")
    assert answer(pool.next("ayu")).work_item_id == "wki_2"
