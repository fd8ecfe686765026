"""This file models `sla`: what happens to SLA clocks. Keyed by contact point."""

from libs.contracts.payloads.base import Payload, Time
from libs.contracts.vocabulary import Metric


class ClockEvent(Payload):
    """Common to all. `occurred_at` is event time: a breach carries the deadline, not the moment it was noticed."""

    clock_id: str
    conversation_id: str
    contact_point_id: str
    metric: Metric
    policy: str
    queue: str
    started_at: Time
    due_at: Time
    occurred_at: Time
    version: int
    """Counts this clock's events from 1 without gaps."""


class ClockStarted(ClockEvent):
    type = "clock.started.v1"
    target_seconds: float


class ClockPaused(ClockEvent):
    type = "clock.paused.v1"
    reason: str


class ClockResumed(ClockEvent):
    """`due_at` is the new deadline."""

    type = "clock.resumed.v1"


class ClockWarned(ClockEvent):
    type = "clock.warned.v1"
    fraction: float
    """Share of the target that is used up, e.g. 0.8."""


class ClockMet(ClockEvent):
    """With `corrects_breach`, an answer that was in time arrived late on the stream and takes a breach back."""

    type = "clock.met.v1"
    corrects_breach: bool = False


class ClockBreached(ClockEvent):
    type = "clock.breached.v1"


class ClockCancelled(ClockEvent):
    type = "clock.cancelled.v1"
    reason: str
