"""This file compares with the figures that the reference implementation of CCR-1 published: worlds and scores."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.routing.campaign import Run, WorldName
from bench.routing.score import Score
from bench.routing.world import World, sums

FOLDER = Path("tests/fixtures/ccr1")
SEEDS = range(1, 31)

MEANS: Mapping[str, str] = {
    "n": "n",
    "breach": "breach",
    "breach_vip": "breach_vip",
    "worst_pool": "worst_pool",
    "tard": "tardiness",
    "aband": "abandoned",
    "ASA_ch0": "asa_ch0",
    "p95_ch0": "p95_ch0",
    "util": "utilisation",
    "match4": "good_match",
    "gini_cnt": "gini",
}
"""The reference's columns, printed to six significant digits, and our names for them."""
MEAN_ERROR = 5e-6
"""Half a unit of the sixth significant digit, relative."""
SEED_ERROR = 5e-7
"""Half a unit of the sixth decimal, in which a seed's breach is printed."""
ROUNDING = 1.001


@dataclass(frozen=True, slots=True)
class Published:
    """One row: the run it is of, the mean of each measure over 30 seeds, and the breach of each seed."""

    name: str
    world: WorldName
    run: Run
    means: Mapping[str, float]
    breaches: Mapping[int, float]


def published(folder: Path = FOLDER) -> list[Published]:
    """Raises OSError where the figures are not there."""
    with (folder / "expected.csv").open(newline="") as rows:
        return [_published(row) for row in csv.DictReader(rows)]


def _published(row: dict[str, str]) -> Published:
    """The reference priced agents by the load that really came, unless the policy's name says forecast."""
    name, pooled = row["policy"], row["policy"] == "pooled"
    world = WorldName(row["scen"], float(row["rho"]), row["flat"] == "1", pooled)
    policy, forecast = ("slack0", False) if pooled else (name.removesuffix("_forecast"), "_forecast" in name)
    return Published(
        name,
        world,
        Run(policy, clairvoyant=not forecast),
        {ours: float(row[theirs]) for theirs, ours in MEANS.items()},
        {seed: float(row[f"breach_s{seed}"]) for seed in SEEDS},
    )


def differences(row: Published, scores: Mapping[int, Score]) -> Iterator[str]:
    """Every figure that is not the published one to its printed digits, in words. Means only with all 30 seeds."""
    for seed, found in scores.items():
        wanted = row.breaches[seed]
        if abs(found.breach - wanted) > SEED_ERROR * ROUNDING:
            yield f"{row.world} {row.name}, seed {seed}: breach {found.breach:.6f}, published {wanted:.6f}"
    if set(scores) != set(SEEDS):
        return
    for measure, wanted in row.means.items():
        mean = sum(getattr(s, measure) for s in scores.values()) / len(scores)
        if abs(mean - wanted) > MEAN_ERROR * ROUNDING * abs(wanted):
            yield f"{row.world} {row.name}: {measure} {mean:.6g}, published {wanted:.6g}"


@dataclass(frozen=True, slots=True)
class WorldSums:
    """The check sums of one world, as printed."""

    world: WorldName
    seed: int
    sums: Mapping[str, str]


def published_worlds(folder: Path = FOLDER) -> list[WorldSums]:
    """Raises OSError where the check sums are not there."""
    found = []
    for line in (folder / "worlds.txt").read_text().splitlines():
        scenario, rho, seed, *rest = line.split()
        pairs = dict(part.split("=", 1) for part in rest)
        found.append(WorldSums(WorldName(scenario, float(rho)), int(seed), pairs))
    return found


def wrong_sums(wanted: WorldSums, world: World) -> Iterable[str]:
    """Every check sum that differs in its printed digits, in words."""
    found = sums(world)
    for name, printed in wanted.sums.items():
        decimals = len(printed.partition(".")[2])
        if f"{found[name]:.{decimals}f}" != printed:
            yield f"{wanted.world}, seed {wanted.seed}: {name} {found[name]:.{decimals}f}, published {printed}"
