"""This file learns from finished work: how handle time depends on skill level, and how much work asks for what.

Figures change once a period, from what was observed in the periods before, so that a decision can be explained and
repeated. What is observed is kept by cells, each a row of its own, so that a crash forgets nothing.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

PERIOD = timedelta(minutes=5)
KEPT = 0.995
"""What counts of older observations after each further period: half of it after eleven and a half hours."""
DOUBT = 100.0
"""Observations' worth of the assumption that level does not matter; a gap must show against it."""
LONGEST_EFFECT = 1.0
"""Bound on the logarithm of a handle time's multiple."""
DEMAND, HANDLING = "demand", "handling"

Demand = tuple[str, tuple[tuple[str, int], ...]]
"""A queue and the skills with lowest levels that work in it asks for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What was observed of one thing; also a row of the table `learned`.

    `n` and `total` are of the open period; `past_n` and `past_total` of those before, faded. For demand `n` counts work
    items; for handling `total` is the sum of the logarithms of handle times in seconds at one level of one skill.
    """

    pool: str
    kind: str
    name: str
    lane: int
    period: int
    """The open period, counted from the epoch."""
    n: float = 0.0
    total: float = 0.0
    past_n: float = 0.0
    past_total: float = 0.0

    def rolled(self, period: int) -> "Cell":
        """The same cell in a later period."""
        if period <= self.period:
            return self
        fade = KEPT ** (period - self.period)
        return replace(
            self,
            period=period,
            n=0.0,
            total=0.0,
            past_n=(self.past_n + self.n) * fade,
            past_total=(self.past_total + self.total) * fade,
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """What was learned: `effects`, the logarithm of the multiple of handle time by level; `demand`, by what is asked for."""

    effects: Mapping[int, float] = field(default_factory=dict)
    demand: Mapping[Demand, float] = field(default_factory=dict)


def period_of(now: datetime) -> int:
    return int(now.timestamp() // PERIOD.total_seconds())


class Learning:
    """The cells of one pool. `graded`: skills in which agents differ; only those tell something about levels."""

    def __init__(self, pool: str, lane: int, graded: frozenset[str], cells: Iterable[Cell] = ()) -> None:
        self._pool, self._lane, self._graded = pool, lane, graded
        self._cells = {(cell.kind, cell.name): cell for cell in cells}
        self._changed: dict[tuple[str, str], Cell] = {}
        self.period = max((cell.period for cell in self._cells.values()), default=0)
        self.figures = self._conclude()

    def roll(self, now: datetime) -> bool:
        """Begin a new period when one is due; whether the figures changed."""
        period = period_of(now)
        if period <= self.period:
            return False
        self.period = period
        for key, cell in self._cells.items():
            self._put(key, cell.rolled(period))
        self.figures = self._conclude()
        return True

    def asked(self, demand: Demand) -> None:
        """One more work item asks for this."""
        queue, skills = demand
        self._add(DEMAND, json.dumps([queue, dict(skills)]), 0.0)

    def handled(self, skills: Iterable[str], levels: Mapping[str, int], taken: timedelta) -> None:
        """An agent with these levels handled work that asked for these skills."""
        seconds = max(1.0, taken.total_seconds())
        for skill in skills:
            if skill in self._graded:
                self._add(HANDLING, f"{skill}:{levels.get(skill, 0)}", math.log(seconds))

    def take_changes(self) -> tuple[Cell, ...]:
        changed, self._changed = tuple(self._changed.values()), {}
        return changed

    def _add(self, kind: str, name: str, total: float) -> None:
        cell = self._cells.get((kind, name)) or Cell(self._pool, kind, name, self._lane, self.period)
        self._put((kind, name), replace(cell, n=cell.n + 1, total=cell.total + total))

    def _put(self, key: tuple[str, str], cell: Cell) -> None:
        self._cells[key] = self._changed[key] = cell

    def _conclude(self) -> Figures:
        """Effects by level: mean deviation from each skill's own mean, pooled over skills, drawn to 0 by DOUBT.

        Differences within a skill are what is looked at: that one topic takes longer than another says nothing about
        levels. For two levels the difference of their effects is an unbiased estimate but for the drawing to 0.
        """
        demand: dict[Demand, float] = {}
        by_skill: dict[str, dict[int, Cell]] = {}
        for (kind, name), cell in sorted(self._cells.items()):
            if cell.past_n <= 0:
                continue
            if kind == DEMAND:
                queue, skills = json.loads(name)
                demand[queue, tuple(sorted(skills.items()))] = cell.past_n
            else:
                skill, _, at = name.rpartition(":")
                by_skill.setdefault(skill, {})[int(at)] = cell
        n: dict[int, float] = {}
        total: dict[int, float] = {}
        for skill, levels in by_skill.items():
            if skill not in self._graded:
                continue
            mean = sum(c.past_total for c in levels.values()) / sum(c.past_n for c in levels.values())
            for level, cell in levels.items():
                n[level] = n.get(level, 0.0) + cell.past_n
                total[level] = total.get(level, 0.0) + cell.past_total - cell.past_n * mean
        effects = {
            level: max(-LONGEST_EFFECT, min(LONGEST_EFFECT, total[level] / (n[level] + DOUBT))) for level in n
        }
        return Figures(effects, demand)
