"""This file shows the two orders of matching: which item first, which agent first, and that nobody waits for ever."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.workspace import Terms
from services.router.assignment.domain.decisions import Offered
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.strategies import ORDERS, PICKS, passed_at_most
from tests.unit.router.assignment.pool import BILLING, SALES, START, Pool, only, policy, seconds, spec

LONG = seconds(86_400)


def patient(*specs: object, **changes: object) -> Policy:
    """Presence does not lapse and offers stand all day."""
    return policy(*specs, presence_lease=LONG, reservation_lease=LONG, **changes)  # type: ignore[arg-type]


def served(order: str, waits: Sequence[tuple[str, float, int, float | None]], **changes: object) -> list[str]:
    """The order in which one agent gets what waits: (id, asked after s, priority, due so many s after that)."""
    pool = Pool(patient(spec("ayu"), order=order, auto_accept=True, wrap_up={}, **changes))
    pool.available("ayu")
    pool.request("wki_0")
    for name, after, priority, due in waits:
        pool.now = START + seconds(after)
        pool.request(name, priority=priority, due_at=pool.now + seconds(due) if due else None)
    pool.now = START + seconds(200)
    found = ["wki_0"]
    while len(found) <= len(waits):
        pool.withdraw(found[-1])
        [held] = (
            pool.items.values()
            if len(pool.items) == 1
            else [i for i in pool.items.values() if i.agent_id == "ayu"]
        )
        found.append(held.work_item_id)
    return found[1:]


WAITS = [("wki_1", 0, 0, 600.0), ("wki_2", 10, 0, 60.0), ("wki_3", 20, 1, 900.0), ("wki_4", 30, 0, None)]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("longest_wait", ["wki_3", "wki_1", "wki_2", "wki_4"]),  # a level is worth ten minutes
        ("priority", ["wki_3", "wki_2", "wki_1", "wki_4"]),  # an hour
        ("deadline", ["wki_2", "wki_1", "wki_3", "wki_4"]),  # nothing
        ("slack", ["wki_2", "wki_3", "wki_1", "wki_4"]),  # ten minutes
        (
            "gcmu",
            ["wki_2", "wki_3", "wki_1", "wki_4"],
        ),  # wait over the square of the target, ten minutes a level
    ],
)
def test_each_order_serves_what_waits_as_it_says(order: str, first: list[str]) -> None:
    assert served(order, WAITS) == first


def test_a_head_start_of_days_makes_priority_strict() -> None:
    waits = [("wki_1", 0, 0, 30.0), ("wki_2", 190, 1, None)]
    assert served("longest_wait", waits, head_start=timedelta(days=9)) == ["wki_2", "wki_1"]


def test_late_ones_stand_behind_who_can_still_be_in_time_until_the_guard() -> None:
    waits = [("wki_late", 110, 0, 60.0), ("wki_in_time", 150, 0, 60.0)]
    assert served("deadline", waits) == ["wki_late", "wki_in_time"]
    assert served("deadline", waits, late_behind=1.0) == ["wki_in_time", "wki_late"]
    # Three targets after it began to wait it stands where it would.
    assert served("deadline", [("wki_late", 10, 0, 60.0), waits[1]], late_behind=1.0) == [
        "wki_late",
        "wki_in_time",
    ]


@given(
    order=st.sampled_from([name for name in ORDERS if name != "gcmu"]),
    first=st.tuples(st.integers(0, 3), st.none() | st.integers(1, 7200)),
    later=st.tuples(st.integers(0, 3), st.none() | st.integers(1, 7200)),
    after=st.integers(0, 40_000),
)
def test_an_item_is_passed_only_by_those_who_came_within_the_stated_bound(
    order: str, first: tuple[int, int | None], later: tuple[int, int | None], after: int
) -> None:
    """Whatever is asked for meanwhile: what begins to wait after the bound does not go before."""
    bound = passed_at_most(policy(order=order), max(0, later[0] - first[0]))
    assert bound is not None
    pool = Pool(patient(spec("ayu"), order=order, auto_accept=True, wrap_up={}))
    for name, (priority, due), at in (("wki_1", first, 0), ("wki_2", later, after)):
        pool.now = START + seconds(at)
        pool.request(name, priority=priority, due_at=pool.now + seconds(due) if due else None)
    pool.available("ayu")
    passed = pool.where("wki_2")[1] == "ayu"
    assert bound is not None
    assert not (passed and seconds(after) > bound)


@pytest.mark.parametrize(
    ("pick", "first"),
    [
        ("longest_idle", "citra"),
        ("round_robin", "budi"),
        ("least_loaded", "budi"),
        ("most_spare", "dimas"),
        ("best_skill", "ayu"),
        ("best_fit", "budi"),  # nothing learned yet: as least loaded
    ],
)
def test_each_pick_takes_the_agent_that_it_names(pick: str, first: str) -> None:
    agents = (
        spec("ayu", 2, refund=5),
        spec("citra", 2, refund=3),
        spec("dimas", 9, refund=1),
        spec("budi", 3, refund=2),
    )
    pool = Pool(patient(*agents, pick="longest_idle", auto_accept=True, wrap_up={}))
    pool.available("ayu", "dimas", "citra", "budi")
    for n in range(3):
        pool.request(f"wki_{n}", only_agent_id=["ayu", "dimas", "citra"][n])
    pool.withdraw(
        "wki_2"
    )  # citra was given work last and is idle for the shortest time, but for who comes now
    pool.available("budi")
    pool.request("wki_3", only_agent_id="dimas")
    pool.rebuild(patient(*agents, pick=pick, auto_accept=True, wrap_up={}))
    if pick == "longest_idle":
        first = "budi"
    pool.request("wki_9", skills={"refund": 1})
    assert pool.where("wki_9")[1] == first
    assert set(PICKS) >= {pick}


def test_preferred_skills_come_before_the_pick_and_are_not_insisted_on() -> None:
    pool = Pool(patient(spec("ayu"), spec("budi", refund=3), auto_accept=True))
    pool.available("ayu", "budi")
    pool.request("wki_1", preferred_skills={"refund": 2})
    pool.request("wki_2", preferred_skills={"refund": 2})
    assert (pool.where("wki_1")[1], pool.where("wki_2")[1]) == ("budi", "ayu")


def test_an_agent_takes_a_queue_of_theirs_sooner_or_only_after_a_delay() -> None:
    terms = {SALES: Terms(priority=1), BILLING: Terms(delay=seconds(30))}
    agent = spec("ayu", queues=(BILLING, SALES))
    pool = Pool(
        patient(
            type(agent)(agent.agent_id, agent.skills, agent.queues, 1, {}, terms),
            auto_accept=True,
            wrap_up={},
        )
    )
    pool.available("ayu")
    pool.request("wki_1")
    assert pool.where("wki_1") == ("queued", None)
    pool.advance(seconds(10))
    pool.request("wki_2", queue=SALES)
    assert pool.where("wki_2")[1] == "ayu"
    pool.withdraw("wki_2")
    assert pool.where("wki_1") == ("queued", None)
    pool.advance(seconds(20))
    assert pool.where("wki_1")[1] == "ayu"


def test_a_delayed_queue_is_named_in_the_explanation() -> None:
    agent = spec("ayu")
    delayed = type(agent)("ayu", {}, agent.queues, 1, {}, {BILLING: Terms(delay=seconds(30))})
    pool = Pool(patient(delayed, spec("budi", capacity=0)))
    pool.available("ayu", "budi")
    decisions = pool.request("wki_1")
    reasons = {c.agent_id: c.rejected for c in decisions[0].explanation.candidates}  # type: ignore[union-attr]
    assert reasons == {"ayu": "queue delayed, 30 s more", "budi": "capacity 0/0"}
    assert only(pool.advance(seconds(30)), Offered).reservation.agent_id == "ayu"
