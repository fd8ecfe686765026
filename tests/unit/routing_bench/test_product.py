"""This file shows that the router's own engine, driven as a policy, decides a day as the baseline that it is set to be."""

import pytest

from bench.routing.catalogue import make_policy
from bench.routing.engine import Engine, Outcome
from bench.routing.scenario import MIXED, VOICE, Scenario
from bench.routing.world import World, make_world
from tests.unit.routing_bench.days import Contact, agent, day


def morning(scenario: Scenario, conversations: int) -> World:
    """The first conversations of a tuning seed's day, at a load at which many have to wait."""
    whole = make_world(scenario, 1.2, 104)
    return World(whole.staff, whole.conversations[:conversations], whole.truth, whole.horizon)


def lived(world: World, policy: str) -> Outcome:
    return Engine(world, make_policy(policy, world)).run()


@pytest.mark.parametrize(
    ("scenario", "baseline"),
    [(VOICE, "lia"), (MIXED, "lia"), (MIXED, "lia_tuned")],
    ids=lambda x: x.name if isinstance(x, Scenario) else x,
)
def test_longest_idle_in_the_router_gives_every_conversation_to_whom_the_baseline_gives_it(
    scenario: Scenario, baseline: str
) -> None:
    world = morning(scenario, 1200)
    ours, theirs = lived(world, f"product_{baseline}"), lived(world, baseline)
    waited = [c for c in world.conversations if theirs.started_at[c.id] > c.arrived_at]
    assert len(waited) > 100
    assert ours.agent == theirs.agent
    assert ours.started_at == theirs.started_at


def test_the_router_as_it_is_prefers_the_last_agent_who_is_free() -> None:
    world = day([agent(0), agent(1)], [Contact(0.0, last_agent=0)])
    assert lived(world, "product").agent == [0]
    assert lived(world, "product_lia").agent == [1]


def test_the_router_as_it_is_takes_the_nearest_deadline_of_equal_priority_first() -> None:
    world = day([agent(0)], [Contact(0.0), Contact(1.0, sla=900), Contact(2.0, sla=60)])
    assert lived(world, "product").started_at == pytest.approx([0, 200, 100])
    assert lived(world, "product_lia").started_at == pytest.approx([0, 100, 200])
