"""This file shows that a policy is not shown what no router can know."""

import gc
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from bench.routing.catalogue import NAMES, make_policy
from bench.routing.engine import Engine
from bench.routing.floor import Conversation, Floor
from bench.routing.policy import Assignment, Ranked
from bench.routing.rules import longest_idle
from bench.routing.world import Truth, World
from tests.unit.routing_bench.days import Contact, Silent, agent, day


def reachable(start: Any) -> Iterator[Any]:
    """Every object that can be got at from one: of functions what they have closed over, no types and modules."""
    seen, waiting = {id(start)}, [start]
    while waiting:
        found = waiting.pop()
        yield found
        held = (found.__closure__, found.__defaults__) if isinstance(found, FunctionType) else [found]
        for other in gc.get_referents(*(h for h in held if h is not None)):
            if id(other) not in seen and not isinstance(other, type | ModuleType):
                seen.add(id(other))
                waiting.append(other)


class Spy(Silent):
    """Serves at once, and looks at all that can be reached from what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: list[Any] = []
        self.future: list[int] = []

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        for found in (*reachable(self.floor), *reachable(conversation)):
            if isinstance(found, Truth | World | Engine):
                self.hidden.append(found)
            if isinstance(found, Conversation) and found.arrived_at > now:
                self.future.append(found.id)
        return ((conversation, 0),)


def test_neither_work_nor_patience_nor_speed_nor_the_future_can_be_reached_from_the_floor() -> None:
    world = day([agent(0)], [Contact(0.0), Contact(10.0), Contact(20.0)], capacity=3)
    spy = Spy()
    Engine(world, spy).run()
    assert spy.hidden == []
    assert spy.future == []


def test_the_search_finds_what_a_policy_has_closed_over() -> None:
    world = day([agent(0)], [Contact(0.0)])
    policy = Ranked(lambda floor: lambda c, agent, now: (world.truth.work[c.id],), longest_idle)
    assert any(isinstance(found, Truth) for found in reachable(policy))


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_cannot_reach_them_either_unless_it_is_clairvoyant_by_name(name: str) -> None:
    world = day([agent(0)], [Contact(0.0)])
    policy = make_policy(name, world)
    policy.start(Floor(world.staff))
    known = [found for found in reachable(policy) if isinstance(found, Truth | World | Engine | Conversation)]
    assert known == []
