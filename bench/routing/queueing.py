"""This file checks the simulation against closed forms: worlds of one queue and equal agents, and how far off they come out."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.routing.catalogue import make_policy
from bench.routing.engine import Engine, Outcome
from bench.routing.erlang import Steady, erlang_a, erlang_c, mean_wait, shared_agent
from bench.routing.floor import Agent, Conversation, Staff
from bench.routing.paired import Interval, interval
from bench.routing.scenario import FLAT
from bench.routing.world import NO_PATIENCE_LIMIT, Truth, World

WARM_UP = 14_400.0
"""Seconds until the queue has forgotten that it began empty: six of its relaxation times at 90 % load."""
TOLERANCE, OFF = 0.02, "OFF"
SERVICE = 300.0


@dataclass(frozen=True, slots=True)
class Line:
    """One queue: `load` in units of what its agents can do at full rate, seconds for the rest; no patience is for ever."""

    agents: int
    load: float
    capacity: int = 1
    slow_down: float = 0.0
    patience: float | None = None

    @property
    def arrival_rate(self) -> float:
        together = self.capacity / (1 + self.slow_down * (self.capacity - 1))
        return self.load * self.agents * together / SERVICE

    @property
    def steady(self) -> Steady:
        """The closed form. A shared agent's is known for a single one."""
        if self.capacity > 1:
            return shared_agent(self.capacity, self.arrival_rate, 1 / SERVICE, self.slow_down)
        if self.patience is not None:
            return erlang_a(self.agents, self.arrival_rate, 1 / SERVICE, 1 / self.patience)
        p_wait = erlang_c(self.agents, self.arrival_rate * SERVICE)
        return Steady(p_wait, mean_wait(self.agents, self.arrival_rate, 1 / SERVICE), 0.0)


LINES: Mapping[str, Line] = MappingProxyType(
    {
        "M/M/10, 80 %": Line(10, 0.80),
        "M/M/50, 90 %": Line(50, 0.90),
        "M/M/50 + M, 90 %": Line(50, 0.90, patience=300.0),
        "M/M/50 + M, 110 %": Line(50, 1.10, patience=300.0),
        "one agent, 3 open, 70 %": Line(1, 0.70, capacity=3, slow_down=0.20),
    }
)


@dataclass(frozen=True, slots=True)
class Replication:
    """What one simulated line came to, and the work that came to it by chance, per unit of what was to be expected."""

    steady: Steady
    traffic: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure of one line beside its closed form."""

    line: str
    measure: str
    exact: float
    found: Interval

    @property
    def off(self) -> float:
        """Relative difference."""
        return self.found.mean / self.exact - 1

    @property
    def verdict(self) -> str:
        """`within 2 %`, `OFF`, or `unsure` where the difference may be chance and chance alone makes more than 2 %."""
        if abs(self.off) <= TOLERANCE:
            return "within 2 %"
        wide = self.found.half_width > TOLERANCE * self.exact
        return "unsure" if wide and self.found.has(self.exact) else OFF


def make_line(line: Line, seconds: float, seed: int) -> World:
    """A world of Poisson arrivals with exponential work and patience before agents who are all alike."""
    rng = np.random.default_rng([seed, line.agents, line.capacity])
    expected = line.arrival_rate * seconds
    gaps = rng.exponential(1 / line.arrival_rate, int(expected + 6 * math.sqrt(expected) + 10))
    times = np.cumsum(gaps)
    times = times[times < seconds]
    n = len(times)
    work = rng.exponential(SERVICE, n)
    patience = rng.exponential(line.patience, n) if line.patience else np.full(n, NO_PATIENCE_LIMIT)
    staff = Staff(
        tuple(Agent(a, 0, {0: 3}, frozenset({0})) for a in range(line.agents)),
        ("voice",),
        line.capacity,
        line.slow_down,
        FLAT,
        (1.0, 0.0),
    )
    queue = staff.queue_of(0, False, 0)
    conversations = tuple(
        Conversation(i, at, 0, 0, 0, False, 0, queue, 60.0, -1) for i, at in enumerate(times.tolist())
    )
    truth = Truth(tuple(work.tolist()), tuple(patience.tolist()), (1.0,) * line.agents)
    return World(staff, conversations, truth, seconds)


def measure(outcome: Outcome) -> Steady:
    """The same three measures of a simulated line, of those who came after the warm-up."""
    waits, gone = [], 0
    for c in outcome.world.conversations:
        if c.arrived_at >= WARM_UP:
            started = outcome.started_at[c.id]
            gone += math.isnan(started)
            waits.append((outcome.abandoned_at[c.id] if math.isnan(started) else started) - c.arrived_at)
    n = len(waits)
    return Steady(sum(w > 0 for w in waits) / n, sum(waits) / n, gone / n)


def live(line: Line, conversations: int, seed: int) -> Replication:
    """Simulate one replication of about so many conversations under longest idle."""
    world = make_line(line, WARM_UP + conversations / line.arrival_rate, seed)
    steady = measure(Engine(world, make_policy("lia", world)).run())
    work = sum(world.truth.work[c.id] for c in world.conversations if c.arrived_at >= WARM_UP)
    return Replication(steady, work / (conversations * SERVICE))


MEASURES: Mapping[str, Callable[[Steady], float]] = MappingProxyType(
    {
        "share who wait": lambda s: s.p_wait,
        "mean wait, s": lambda s: s.mean_wait,
        "share who give up": lambda s: s.p_abandon,
    }
)


def findings(name: str, replications: Sequence[Replication], confidence: float = 0.95) -> Iterator[Finding]:
    """Beside the closed form; a line in which nobody can give up has no such share.

    What chance made of the traffic is taken out by regression on it (a control variate, of mean 1; Lavenberg and Welch
    1981): more work than was to be expected makes longer waits, and how much more is known of each replication.
    """
    exact, traffic = LINES[name].steady, [r.traffic for r in replications]
    for measure_name, pick in MEASURES.items():
        if pick(exact):
            values = [pick(r.steady) for r in replications]
            slope = statistics.linear_regression(traffic, values).slope
            found = interval(
                [v - slope * (t - 1.0) for v, t in zip(values, traffic, strict=True)], confidence
            )
            yield Finding(name, measure_name, pick(exact), found)
