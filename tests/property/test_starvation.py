"""Whoever arrives, however pressing, whenever agents are free: nobody is passed for longer than the order states."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain import decisions as made
from services.router.assignment.domain.decisions import Decision
from services.router.assignment.domain.inputs import Reprioritise
from services.router.assignment.domain.strategies import FIT_WORTH, ORDERS, passed_at_most
from tests.unit.router.assignment.pool import Pool, policy, spec

HIGHEST = 2
"""Levels of priority between the patient customer and the most important rival."""
MINUTES = st.integers(-90, 90).map(lambda minutes: timedelta(minutes=minutes))


@dataclass(frozen=True)
class Rival:
    """One who comes while the patient customer waits. Times count from the arrival; `sooner`: the deadline is moved later on."""

    age: timedelta
    due: timedelta | None
    sooner: timedelta | None
    known: bool
    """Had the agent last: matching prefers such a pair."""
    for_one: bool
    """Transferred to that agent alone."""
    priority: int = 0


@dataclass(frozen=True)
class Turn:
    """Some time, then arrivals, then the agents end some of what they hold."""

    after: timedelta
    rivals: list[Rival]
    ended: int


RIVALS = st.builds(
    Rival,
    age=st.integers(0, 40).map(lambda minutes: timedelta(minutes=minutes)),
    due=st.none() | MINUTES,
    sooner=st.none() | MINUTES,
    known=st.booleans(),
    for_one=st.booleans(),
    priority=st.integers(0, HIGHEST),
)
TURNS = st.builds(
    Turn,
    after=st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=20), timedelta(minutes=61)]),
    rivals=st.lists(RIVALS, min_size=1, max_size=3),
    ended=st.integers(0, 2),
)


class Race:
    """A patient customer without any deadline among rivals, served by two agents who are always at work."""

    def __init__(self, order: str) -> None:
        rules = policy(
            spec("ayu"), spec("budi"), order=order, auto_accept=True, wrap_up={}, presence_lease=timedelta(days=1)
        )  # fmt: skip
        self.bound = passed_at_most(rules, HIGHEST) or timedelta.max
        self.pool = Pool(rules)
        self.pool.available("ayu", "budi")
        self.passed_by: list[timedelta] = []
        """How much later those came who were served before the patient customer."""
        self._rivals = 0
        for number in range(2):
            self.pool.request(f"wki_first_{number}")
        self.pool.request("wki_patient")

    @property
    def waits(self) -> bool:
        patient = self.pool.items.get("wki_patient")
        return patient is not None and patient.state is WorkState.QUEUED

    def take(self, turn: Turn) -> None:
        self.pool.advance(turn.after)
        for rival in turn.rivals:
            self._come(rival)
        for _ in range(turn.ended):
            self.end_one()

    def end_one(self) -> None:
        """The agent who has held something for longest is free for the next."""
        held = [item for item in self.pool.items.values() if item.agent_id is not None]
        if not held:
            return
        oldest = min(held, key=lambda item: (item.changed_at, item.work_item_id))
        self._served(self.pool.withdraw(oldest.work_item_id))

    def _come(self, rival: Rival) -> None:
        self._rivals += 1
        name, now = f"wki_rival_{self._rivals}", self.pool.now
        told = self.pool.request(
            name,
            requested_at=now - rival.age,
            due_at=None if rival.due is None else now + rival.due,
            priority=rival.priority,
            last_agent_id="ayu" if rival.known else None,
            only_agent_id="ayu" if rival.for_one else None,
        )
        self._served(told)
        if rival.sooner is not None:
            self._served(self.pool.tell(Reprioritise(name, due_at=now + rival.sooner)))

    def _served(self, told: list[Decision]) -> None:
        if self.waits:
            since = self.pool.items["wki_patient"].waiting_since
            given = [fact.item for fact in told if isinstance(fact, made.Assigned)]
            self.passed_by += [item.waiting_since - since for item in given]


BOUNDED = sorted(order for order in ORDERS if passed_at_most(policy(order=order), 0) is not None)


def test_every_order_but_gcmu_states_a_bound() -> None:
    assert ORDERS.keys() - set(BOUNDED) == {"gcmu"}


@pytest.mark.parametrize("order", BOUNDED)
@settings(deadline=None, max_examples=60)
@given(turns=st.lists(TURNS, min_size=3, max_size=12))
def test_nobody_is_passed_by_one_who_came_later_than_the_bound_of_the_order(
    order: str, turns: list[Turn]
) -> None:
    race = Race(order)
    for turn in turns:
        if race.waits:
            race.take(turn)
    left = len(race.pool.items)
    while race.waits:
        assert left > 0, "more were served than there were"
        race.end_one()
        left -= 1
    assert max(race.passed_by, default=timedelta(0)) <= race.bound


@pytest.mark.parametrize("order", BOUNDED)
def test_one_who_comes_just_within_the_bound_and_is_as_pressing_as_can_be_does_pass(order: str) -> None:
    """So that the bound is not one that nobody ever comes near."""
    race = Race(order)
    fit = 2 * FIT_WORTH if ORDERS[order].fits else timedelta(0)
    after = race.bound - fit - timedelta(seconds=1)
    pressing = Rival(timedelta(0), timedelta(0), None, known=False, for_one=False, priority=HIGHEST)
    race.take(Turn(after, [pressing], ended=1))
    assert race.waits
    assert race.passed_by == [after]
