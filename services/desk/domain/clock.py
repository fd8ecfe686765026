"""This file is an SLA clock as agents see it: when something is due, and whether it is warned of or breached.

running ⇄ paused      running ─▶ warned ─▶ breached ─▶ (kept until the next clock of its metric)
met, cancelled: the clock is gone, also out of breached, when an answer in time arrived late
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from libs.contracts.vocabulary import Metric


class ClockState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    WARNED = "warned"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class Clock:
    """One row of clock_view."""

    clock_id: str
    conversation_id: str
    metric: Metric
    policy: str
    queue: str
    version: int
    state: ClockState
    started_at: datetime
    due_at: datetime
    fraction: float | None = None
    """Share of the target used up at the last warning."""


def superseded(known: tuple[Clock, ...], started: Clock) -> tuple[Clock, ...]:
    """Breached clocks that a new clock of their metric replaces, so that a conversation keeps a few clocks at most."""
    return tuple(
        c
        for c in known
        if c.metric is started.metric and c.clock_id != started.clock_id and c.state is ClockState.BREACHED
    )
