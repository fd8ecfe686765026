"""This file shows how a queue asks for less while its customers wait."""

from libs.contracts.vocabulary import Presence
from libs.workspace import Relaxation
from services.router.assignment.domain.decisions import Offered, Queued
from services.router.assignment.domain.policy import Policy
from tests.unit.router.assignment.pool import BILLING, SALES, Pool, facts, only, policy, seconds, spec

DAY = seconds(86_400)


def relaxing(*steps: Relaxation) -> Policy:
    agents = spec("ayu", refund=4), spec("budi", refund=2), spec("citra", queues=(SALES,), refund=5)
    return policy(*agents, presence_lease=DAY, reservation_lease=DAY, relaxations={BILLING: steps})


LOWER = Relaxation(seconds(20), {"refund": 2})
WIDER = Relaxation(seconds(40), queues=(SALES,))


def test_each_step_lets_more_agents_in_at_its_moment() -> None:
    pool = Pool(relaxing(LOWER, WIDER))
    pool.available("budi", "citra")
    assert facts(pool.request("wki_1", skills={"refund": 3})) == ["queued"]
    assert facts(pool.advance(seconds(19.9))) == []
    assert only(pool.advance(seconds(0.1)), Offered).reservation.agent_id == "budi"
    pool.request("wki_2", skills={"refund": 3})
    pool.advance(seconds(39))
    assert pool.where("wki_2") == ("queued", None)
    pool.advance(seconds(1))
    assert pool.where("wki_2") == ("offered", "citra")


def test_a_step_that_finds_nobody_is_told_with_its_number_and_reasons() -> None:
    pool = Pool(relaxing(LOWER, WIDER))
    pool.available("citra")
    pool.request("wki_1", skills={"refund": 3})
    told = only(pool.advance(seconds(20)), Queued)
    assert (told.reason, told.explanation.step) == ("relaxed", 1)
    assert {c.agent_id: c.rejected for c in told.explanation.candidates} == {
        "ayu": "offline",
        "budi": "offline",
        "citra": "not in queue billing",
    }


def test_the_wait_counts_from_the_customers_first_request() -> None:
    pool = Pool(relaxing(LOWER, WIDER))
    pool.available("budi")
    pool.request("wki_1", skills={"refund": 3}, requested_at=pool.now - seconds(25))
    assert pool.where("wki_1") == ("offered", "budi")


def test_a_step_is_skipped_where_nobody_who_is_there_fits_what_comes_before() -> None:
    skipping = Relaxation(seconds(20), {"refund": 2}, skip_if_nobody=True)
    pool = Pool(relaxing(skipping, WIDER))
    pool.available("budi")
    pool.request("wki_1", skills={"refund": 3})
    assert pool.where("wki_1") == ("offered", "budi")
    pool.available("ayu")
    pool.presence("ayu", Presence.BUSY)
    pool.request("wki_2", skills={"refund": 3})
    assert pool.where("wki_2") == ("queued", None)  # ayu is there, and will be free


def test_what_is_relaxed_stays_relaxed_over_a_takeover() -> None:
    pool = Pool(relaxing(LOWER, WIDER))
    pool.request("wki_1", skills={"refund": 3})
    pool.advance(seconds(45))
    pool.rebuild()
    pool.available("citra")
    assert pool.where("wki_1") == ("offered", "citra")
