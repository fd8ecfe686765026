"""This file holds the days of August 1999 to the reference's replay of them, and to what a policy may know."""

import csv
from pathlib import Path

import pytest

from bench.routing import rules
from bench.routing.calls.day import OPENS, August
from bench.routing.calls.records import records
from bench.routing.campaign import Day, Run, live, parse_world
from bench.routing.catalogue import make_policy
from bench.routing.engine import Engine, Illegal
from bench.routing.policy import Ranked
from bench.routing.world import Shift, World
from tests.unit.routing_bench.days import Contact, Silent, agent, day

REFERENCE = Path("tests/fixtures/ccr1/calls.csv")
DAYS = (1, 8, 24)
"""Seeds: the first, a short and the last day."""


@pytest.mark.parametrize("seed", DAYS)
def test_as_many_calls_are_late_on_a_day_as_the_reference_found(seed: int) -> None:
    date = records().days[seed - 1]
    with REFERENCE.open(newline="") as file:
        expected = {row["policy"]: row for row in csv.DictReader(file) if int(row["day"]) == date}
    scores = live(Day(August(), seed, tuple(Run(policy) for policy in expected)))
    for (policy, row), found in zip(expected.items(), scores, strict=True):
        figures = found.n, found.counted, round(found.breach * found.counted), f"{found.breach_vip:.6f}"
        wanted = int(row["calls"]), int(row["counted"]), int(row["late"]), row["breach_vip"]
        assert figures == wanted, policy


def test_the_router_gives_every_real_call_to_whom_longest_idle_gives_it() -> None:
    """Calls are timed to the second: of those who came in the same one, the router takes the lowest id."""
    world = August().make(3)
    oldest = Ranked(lambda floor: lambda c, agent, now: (not c.vip, c.arrived_at, c.id), rules.longest_idle)
    ours, theirs = Engine(world, make_policy("product_lia", world)).run(), Engine(world, oldest).run()
    waited = [c for c in world.conversations if theirs.started_at[c.id] > c.arrived_at]
    assert len(waited) > 500
    assert ours.agent == theirs.agent
    assert ours.started_at == theirs.started_at


def test_nobody_is_given_a_call_before_they_come_or_after_they_have_gone() -> None:
    world = August().make(1)
    out = Engine(world, make_policy("lia", world)).run()
    for number, who in enumerate(out.agent):
        if who >= 0:
            begins, ends = world.shifts[who]
            assert begins <= out.started_at[number] < ends


def test_the_25th_seed_is_the_first_day_with_other_draws() -> None:
    first, again = August().make(1), August().make(25)
    assert first.conversations == again.conversations
    assert first.truth.work != again.truth.work


def test_shares_and_paces_that_a_policy_sees_do_not_depend_on_the_day_itself_or_later_ones() -> None:
    first, last = August().make(1).staff, August().make(24).staff
    assert first.forecast == (1 / 6, 0.0) * 6
    assert {a.pace for a in first.agents} == {1.0}
    assert len({a.pace for a in last.agents}) == len(last.agents)
    before = [c for c in records().calls if c.day < records().days[-1] and c.asked >= OPENS]
    assert last.forecast[0] == pytest.approx(sum(c.type == 0 for c in before) / len(before), abs=1e-3)


def test_calls_is_the_name_of_the_real_days() -> None:
    assert parse_world("calls") == parse_world("calls@1999-08") == August()
    assert str(parse_world("calls")) == "calls@1999-08"


def with_shifts(world: World, *shifts: tuple[float, float]) -> World:
    return World(
        world.staff, world.conversations, world.truth, world.horizon, tuple(Shift(*s) for s in shifts), 0.0
    )


def test_who_comes_takes_what_waits_and_who_goes_ends_what_they_have() -> None:
    world = day([agent(0), agent(1)], [Contact(0.0), Contact(1.0), Contact(120.0)])
    out = Engine(with_shifts(world, (10, 50), (60, 900)), make_policy("lia", world)).run()
    assert out.agent == [0, 1, 1]
    assert out.started_at == pytest.approx([10, 60, 160])
    assert out.busy == pytest.approx([100, 200])


def test_an_assignment_to_who_has_gone_is_refused() -> None:
    class Blind(Silent):
        def on_arrival(self, conversation, now):  # type: ignore[no-untyped-def]
            return ((conversation, 0),)

    world = with_shifts(day([agent(0)], [Contact(70.0)]), (0, 60))
    with pytest.raises(Illegal):
        Engine(world, Blind()).run()


def test_slots_are_those_of_the_agents_on_duty() -> None:
    class Watching(Silent):
        slots: list[tuple[int, int]]

        def on_agent_on(self, agent, now):  # type: ignore[no-untyped-def]
            self.slots = [*getattr(self, "slots", []), (self.floor.free_slots[0], self.floor.total_slots[0])]
            return ()

        on_agent_off = on_agent_on

    watching = Watching()
    Engine(with_shifts(day([agent(0), agent(1)], []), (0, 60), (30, 90)), watching).run()
    assert watching.slots == [(1, 1), (2, 2), (1, 1), (0, 0)]
