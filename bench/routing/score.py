"""This file turns the outcome of a day into the measures of CCR-1."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.routing.engine import Outcome

SMALLEST_POOL = 50
"""Scored conversations below which a pool does not count as the worst one: chance, not routing."""
AT_DEADLINE = 1e-9
"""A wait this much over the target is the target, rounded."""
GOOD_LEVEL = 4

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Score:
    """One day of one policy. Shares are 0 to 1, times seconds; `_ch0` is of the first channel alone.

    n               scored conversations: all that arrive after the warm-up; `counted` of them in the base of the breaches
    breach          answered late or abandoned late, of all but those abandoned in time; of VIPs; of the worst pool
    tardiness       mean seconds past the target, over the same base
    abandoned       of all scored
    asa, p95        mean and 95th percentile of the wait of those answered
    good_match      answered at level 4 or 5
    affinity        answered repeat contacts that met their last agent
    utilisation     share of their time on duty with something open, mean over agents; `jain` of the same
    gini            of the number of assignments by agent
    longest_wait    of anybody scored
    """

    n: int
    counted: int
    breach: float
    breach_vip: float
    breach_ch0: float
    worst_pool: float
    tardiness: float
    abandoned: float
    asa: float
    p95: float
    asa_ch0: float
    p95_ch0: float
    good_match: float
    affinity: float
    utilisation: float
    jain: float
    gini: float
    longest_wait: float


def score(outcome: Outcome, warm_up: float | None = None) -> Score:
    """Score a day, after the warm-up of its world where none is given. A measure over nobody is 0."""
    world = outcome.world
    talk, warm_up = world.conversations, world.warm_up if warm_up is None else warm_up
    arrived, sla = np.array([c.arrived_at for c in talk]), np.array([c.sla for c in talk])
    started, abandoned_at = np.array(outcome.started_at), np.array(outcome.abandoned_at)
    agent, level = np.array(outcome.agent), np.array(outcome.level)
    vip, pool = np.array([c.vip for c in talk]), np.array([c.pool for c in talk])
    first_channel = np.array([c.channel == 0 for c in talk])
    last = np.array([c.last_agent for c in talk])

    served = ~np.isnan(started)
    wait = np.where(served, started, abandoned_at) - arrived
    late = wait > sla + AT_DEADLINE
    scored = arrived >= warm_up
    base = scored & (served | late)
    answered = scored & served
    chatted = answered & first_channel
    repeated = answered & (last >= 0)
    pools = [base & (pool == p) for p in range(len(world.staff.forecast))]
    share_busy = np.array([busy / world.on_duty(a) for a, busy in enumerate(outcome.busy)])
    return Score(
        n=int(scored.sum()),
        counted=int(base.sum()),
        breach=_mean(late, base),
        breach_vip=_mean(late, base & vip),
        breach_ch0=_mean(late, base & first_channel),
        worst_pool=max((_mean(late, p) for p in pools if p.sum() >= SMALLEST_POOL), default=0.0),
        tardiness=_mean(np.maximum(wait - sla, 0.0), base),
        abandoned=_mean(~served, scored),
        asa=_mean(wait, answered),
        p95=_p95(wait[answered]),
        asa_ch0=_mean(wait, chatted),
        p95_ch0=_p95(wait[chatted]),
        good_match=_mean(level >= GOOD_LEVEL, answered),
        affinity=_mean(agent == last, repeated),
        utilisation=float(share_busy.mean()),
        jain=jain(share_busy),
        gini=gini(np.array(outcome.assignments, dtype=np.float64)),
        longest_wait=float(wait[scored].max(initial=0.0)),
    )


def jain(shares: Floats) -> float:
    """Jain's index, (sum x)^2 / (n sum x^2): 1 where all have the same, 1/n where one has all."""
    squares = float((shares**2).sum())
    return float(shares.sum()) ** 2 / (len(shares) * squares) if squares else 1.0


def gini(counts: Floats) -> float:
    """Gini's coefficient: 0 where all have the same, towards 1 where one has all."""
    total, n = float(counts.sum()), len(counts)
    ranks = 2 * np.arange(1, n + 1) - n - 1
    return float(ranks @ np.sort(counts)) / (n * total) if total else 0.0


def _mean(values: Floats | Flags, where: Flags) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _p95(waits: Floats) -> float:
    return float(np.percentile(waits, 95)) if len(waits) else 0.0
