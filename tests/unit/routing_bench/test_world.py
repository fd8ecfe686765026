"""This file shows that a seed makes the published world, and what its variants change."""

import pytest

from bench.routing.reference import WorldSums, published_worlds, wrong_sums
from bench.routing.scenario import MIXED, VOICE
from bench.routing.world import make_world


@pytest.mark.parametrize("wanted", [w for w in published_worlds() if w.seed in {1, 2, 30}], ids=str)
def test_worlds_have_the_published_check_sums(wanted: WorldSums) -> None:
    assert list(wrong_sums(wanted, wanted.world.make(wanted.seed))) == []


def test_a_flat_world_has_the_same_conversations_and_only_other_multipliers() -> None:
    plain, flat = make_world(VOICE, 0.9, 3), make_world(VOICE, 0.9, 3, flat=True)
    assert flat.conversations == plain.conversations
    assert flat.truth == plain.truth
    assert set(flat.staff.multiplier.values()) == {1.0}
    assert set(plain.staff.multiplier.values()) == {1.30, 1.15, 1.00, 0.90, 0.80}


def test_in_a_pooled_world_everybody_serves_everything_at_their_best_level() -> None:
    plain, pooled = make_world(VOICE, 0.9, 3), make_world(VOICE, 0.9, 3, pooled=True)
    everybody = tuple(range(100))
    assert all(eligible == everybody for eligible in pooled.staff.eligible)
    for before, after in zip(plain.staff.agents, pooled.staff.agents, strict=True):
        assert set(after.levels.values()) == {max(before.levels.values())}


def test_the_load_is_no_part_of_the_seed_so_the_staff_is_the_same() -> None:
    light, heavy = make_world(MIXED, 0.8, 4), make_world(MIXED, 0.95, 4)
    assert light.staff.agents == heavy.staff.agents
    assert light.truth.speed == heavy.truth.speed
    assert len(light.conversations) < len(heavy.conversations)


def test_every_pool_has_two_agents_and_last_agents_can_serve() -> None:
    for seed in (101, 102):
        world = make_world(VOICE, 0.8, seed)
        assert all(len(eligible) >= 2 for eligible in world.staff.eligible)
        met = [c for c in world.conversations if c.last_agent >= 0]
        assert len(met) > 1000
        assert all(c.last_agent in world.staff.eligible[c.pool] for c in met)
