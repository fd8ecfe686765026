"""This file runs policies through worlds and seeds, on all cores, each seed's world made once for all policies."""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

from bench.routing.calls.day import August
from bench.routing.catalogue import make_policy
from bench.routing.engine import Engine
from bench.routing.scenario import SCENARIOS
from bench.routing.score import Score, score
from bench.routing.world import World, make_world

T = TypeVar("T")
R = TypeVar("R")

NAME = re.compile(r"(?P<scenario>S\d)(?P<variant>-flat|-pooled)?(?:@(?P<rho>\d?\.\d+))?")


@dataclass(frozen=True, slots=True)
class WorldName:
    """A world but for its seed: `S1`, `S2-flat`, `S2@.95`, `S1-pooled`."""

    scenario: str
    rho: float = 0.90
    flat: bool = False
    pooled: bool = False

    @classmethod
    def parse(cls, text: str) -> "WorldName":
        """Raises ValueError for a name that is none."""
        found = NAME.fullmatch(text)
        if found is None or found["scenario"] not in SCENARIOS:
            raise ValueError(
                f"{text!r} is no world: expected {'|'.join(SCENARIOS)}[-flat|-pooled][@.90], or calls"
            )
        variant = found["variant"]
        return cls(found["scenario"], float(found["rho"] or 0.90), variant == "-flat", variant == "-pooled")

    def __str__(self) -> str:
        variant = "-flat" if self.flat else "-pooled" if self.pooled else ""
        return f"{self.scenario}{variant}@{self.rho:.2f}"

    def make(self, seed: int) -> World:
        return make_world(SCENARIOS[self.scenario], self.rho, seed, flat=self.flat, pooled=self.pooled)


AnyWorld = WorldName | August
"""A world but for its seed."""
CALLS = ("calls", str(August()))


def parse_world(text: str) -> AnyWorld:
    """A world of CCR-1, or `calls`, the real ones of August 1999. Raises ValueError for a name that is none."""
    return August() if text in CALLS else WorldName.parse(text)


@dataclass(frozen=True, slots=True)
class Run:
    """One policy of one day to simulate. `clairvoyant`: see `make_policy`; only for comparing with the reference."""

    policy: str
    clairvoyant: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """One world and seed, and the policies that live through it."""

    world: AnyWorld
    seed: int
    runs: tuple[Run, ...]


Scores = dict[tuple[AnyWorld, Run], dict[int, Score]]
"""By seed."""


def live(day: Day) -> list[Score]:
    """The score of each policy of the day, in their order."""
    world = day.world.make(day.seed)
    return [
        score(Engine(world, make_policy(run.policy, world, clairvoyant=run.clairvoyant)).run())
        for run in day.runs
    ]


def days(worlds: Iterable[AnyWorld], seeds: Iterable[int], runs: Iterable[Run]) -> list[Day]:
    """Every seed of every world, the worlds in turns."""
    names, taken = tuple(worlds), tuple(runs)
    return [Day(name, seed, taken) for seed in seeds for name in names]


def campaign(of: Sequence[Day], processes: int, advance: Callable[[], object] = lambda: None) -> Scores:
    """Live all days; `advance` is called after each."""
    scores: Scores = {}
    for day, found in spread(live, of, processes, advance):
        for run, value in zip(day.runs, found, strict=True):
            scores.setdefault((day.world, run), {})[day.seed] = value
    return {key: dict(sorted(by_seed.items())) for key, by_seed in scores.items()}


def spread(
    work: Callable[[T], R], items: Sequence[T], processes: int, advance: Callable[[], object]
) -> list[tuple[T, R]]:
    """Each item with what `work`, a function of a module, made of it; in this process where one is enough."""
    done: list[tuple[T, R]] = []
    if processes <= 1:
        for item in items:
            done.append((item, work(item)))
            advance()
        return done
    with ProcessPoolExecutor(processes) as pool:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            done.append((futures[future], future.result()))
            advance()
    return done
