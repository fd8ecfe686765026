"""This file shows that simulation, scores and baselines give the published figures; all seeds: `python -m bench.routing check`."""

import pytest

from bench.routing.campaign import Day, Run, WorldName, campaign, days, live
from bench.routing.catalogue import make_policy, realised_load
from bench.routing.reference import MEANS, differences, published

ROWS = published()
QUICK = {
    "S1@0.90": (1, {row.name for row in ROWS}),
    "S1-pooled@0.90": (2, {"pooled"}),
    "S1-flat@0.90": (5, {"lia", "gcmu", "slack_forecast"}),
    "S2@0.90": (7, {"lia_tuned", "connect_tuned", "bullseye_tuned", "slack_drop", "slack_forecast"}),
    "S2-flat@0.90": (9, {"gcmu_hold"}),
}


@pytest.mark.parametrize("world", QUICK)
def test_the_published_breaches_come_out_to_the_last_printed_digit(world: str) -> None:
    seed, names = QUICK[world]
    rows = [row for row in ROWS if str(row.world) == world and row.name in names]
    assert rows
    name = WorldName.parse(world)
    for row, found in zip(rows, live(Day(name, seed, tuple(r.run for r in rows))), strict=True):
        assert list(differences(row, {seed: found})) == []


def test_a_figure_that_differs_in_its_last_digit_is_found() -> None:
    row = next(r for r in ROWS if r.name == "lia" and str(r.world) == "S1@0.90")
    (found,) = live(Day(row.world, 2, (row.run,)))
    assert list(differences(row, {2: found})) == []
    assert list(differences(row, {1: found})) == ["S1@0.90 lia, seed 1: breach 0.174319, published 0.135436"]


def test_only_the_clairvoyant_index_knows_the_load_that_will_come() -> None:
    world = WorldName("S1").make(101)
    load = realised_load(world)
    assert sum(load) == pytest.approx(sum(world.truth.work))
    fair, seeing = Run("slack"), Run("slack", clairvoyant=True)
    one, other = live(Day(WorldName("S1"), 101, (fair, seeing)))
    assert one.breach != other.breach
    assert make_policy("lia", world, clairvoyant=True)


def test_a_campaign_gives_the_same_in_one_process_and_in_two() -> None:
    of = days([WorldName("S1", 0.80)], [101, 102], [Run("lia")])
    alone, together = campaign(of, 1), campaign(of, 2)
    assert alone == together
    assert list(alone[WorldName("S1", 0.80), Run("lia")]) == [101, 102]


@pytest.mark.parametrize("text", ["S1", "S2-flat", "S2@.95", "S1-pooled@0.85"])
def test_the_name_of_a_world_is_read_as_it_is_written(text: str) -> None:
    name = WorldName.parse(text)
    assert WorldName.parse(str(name)) == name


@pytest.mark.parametrize("text", ["S3", "S1-bent", "S1@9", "", "S1@"])
def test_what_is_no_world_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="is no world: expected"):
        WorldName.parse(text)


def test_every_published_measure_is_compared() -> None:
    assert all(set(row.means) == set(MEANS.values()) for row in ROWS)
    assert all(len(row.breaches) == 30 for row in ROWS)
