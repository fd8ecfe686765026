"""Warm transfers: another is asked, the holder keeps the work until they accept; refusals in stable words."""

import pytest

from libs.contracts.vocabulary import Presence
from services.router.assignment.domain.decisions import AgentChange, Assigned, Offered
from tests.unit.router.assignment.pool import (
    SALES,
    Pool,
    answer,
    code,
    every,
    facts,
    only,
    policy,
    rejections,
    seconds,
    spec,
)


def held(**changes: object) -> Pool:
    """ayu holds wki_1; budi serves another queue, citra has the skill refund."""
    pool = Pool(policy(spec("ayu"), spec("budi", queues=(SALES,)), spec("citra", refund=3), **changes))
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.available("budi", "citra")
    return pool


def test_a_consulted_agent_is_offered_what_the_holder_keeps() -> None:
    pool = held()
    decisions = pool.consult("ayu", "wki_1", to="budi")
    assert (facts(decisions), code(decisions)) == (["offered budi"], "ok")
    assert pool.where("wki_1") == ("assigned", "ayu")
    loads = {c.agent.agent_id: c.load for c in every(decisions, AgentChange)}
    assert loads == {"ayu": 1, "budi": 1}
    explanation = only(decisions, Offered).explanation
    assert (explanation.note, rejections(explanation)) == ("asked by ayu", {"budi": None})


def test_the_holder_is_released_when_the_consulted_agent_accepts() -> None:
    pool = held()
    pool.consult("ayu", "wki_1", to="budi")
    pool.request("wki_2")
    pool.take("citra")
    pool.request("wki_3")
    decisions = pool.accept("budi", pool.reservation("wki_1"))
    assert facts(decisions) == ["accepted budi", "assigned budi", "offered ayu"]
    assert only(decisions, Assigned).taken_over_from == "ayu"
    assert pool.where("wki_1") == ("assigned", "budi")


def test_a_consulted_agent_who_declines_leaves_it_with_the_holder_who_is_told() -> None:
    pool = held()
    pool.consult("ayu", "wki_1", to="budi")
    decisions = pool.decline("budi", pool.reservation("wki_1"))
    assert facts(decisions) == ["declined budi"]
    assert {c.agent.agent_id for c in every(decisions, AgentChange)} == {"ayu", "budi"}
    assert pool.where("wki_1") == ("assigned", "ayu")
    assert code(pool.consult("ayu", "wki_1", to="budi")) == "ok"


def test_a_consultation_that_is_missed_leaves_it_with_the_holder() -> None:
    pool = held()
    pool.consult("ayu", "wki_1", to="budi")
    assert facts(pool.advance(seconds(30))) == ["expired budi"]
    assert pool.where("wki_1") == ("assigned", "ayu")
    assert pool.agent("budi").presence is Presence.BUSY


def test_a_skill_finds_its_agent() -> None:
    pool = held()
    decisions = pool.consult("ayu", "wki_1", refund=3)
    assert (facts(decisions), code(decisions)) == (["offered citra"], "ok")


def test_a_supervisor_may_have_held_work_taken_over() -> None:
    pool = held()
    assert code(pool.consult("ayu", "wki_1", to="budi", by="sup")) == "ok"


def test_being_asked_by_name_goes_past_an_exclusion_and_an_earlier_decline() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu", "budi")
    pool.request("wki_1", excluded_agent_ids=("budi",))
    pool.take("ayu")
    assert code(pool.consult("ayu", "wki_1", to="budi")) == "ok"


@pytest.mark.parametrize(
    ("asked", "refused", "words"),
    [
        ({"to": "budi", "by": "citra"}, "forbidden", "citra is neither the holder nor a supervisor"),
        ({"to": "ayu"}, "already_theirs", "ayu holds this work"),
        ({"to": "zaki"}, "unknown_agent", "zaki is not in pool main"),
        ({}, "invalid", "a consultation names either an agent or skills"),
        ({"to": "budi", "refund": 3}, "invalid", "a consultation names either an agent or skills"),
        ({"refund": 5}, "nobody_free", "nobody with refund 5 is free"),
    ],
)
def test_a_consultation_is_refused_in_stable_words(
    asked: dict[str, object], refused: str, words: str
) -> None:
    said = answer(held().consult("ayu", "wki_1", **asked))  # type: ignore[arg-type]
    assert (said.code.value, said.text) == (refused, words)


def test_a_consultation_of_who_is_not_free_says_why() -> None:
    pool = held()
    pool.presence("budi", Presence.BREAK, "lunch")
    said = answer(pool.consult("ayu", "wki_1", to="budi"))
    assert (said.code.value, said.text) == ("nobody_free", "budi: break (lunch)")


def test_a_consultation_is_refused_for_work_that_is_unknown_ended_or_anothers() -> None:
    pool = held()
    assert code(pool.consult("ayu", "wki_9", to="budi")) == "unknown_work"
    assert code(pool.consult("citra", "wki_1", to="budi")) == "not_yours"
    pool.consult("ayu", "wki_1", to="budi")
    assert code(pool.consult("ayu", "wki_1", to="citra")) == "already_offered"
    pool.withdraw("wki_1", wrap_up=True)
    assert code(pool.consult("ayu", "wki_1", to="citra")) == "ended"


def test_a_conversation_that_ends_meanwhile_takes_the_consultation_back() -> None:
    pool = held()
    pool.consult("ayu", "wki_1", to="budi")
    reservation = pool.reservation("wki_1")
    assert facts(pool.withdraw("wki_1", wrap_up=True)) == ["rescinded budi", "wrapping ayu"]
    assert code(pool.accept("budi", reservation)) == "rescinded"


def test_a_consultation_ends_with_the_holder_who_is_lost() -> None:
    pool = held()
    pool.consult("ayu", "wki_1", to="budi")
    pool.presence("citra", Presence.OFFLINE)
    pool.tell_lost("ayu")
    assert pool.where("wki_1") == ("queued", None)
    assert pool.engine.book.load("budi") == 0


def test_a_transferred_request_says_so_and_leaves_out_who_gave_it() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    decisions = pool.request("wki_2", reason="transferred", excluded_agent_ids=("ayu",))
    assert facts(decisions) == ["queued"]
    [queued] = [d for d in decisions if facts([d])]
    assert queued.reason == "transferred"  # type: ignore[union-attr]
    assert rejections(queued.explanation) == {"ayu": "excluded"}  # type: ignore[union-attr]
