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
    corrects_breach: bool = False
    """What was in time came late on the stream: a breach of this clock that was published did not happen."""


class ClockStarted(ClockEvent):
    """Said again of a clock that had ended, where what came late on the stream shows that it goes on."""

    type = "clock.started.v1"
    target_seconds: float
    policy_version: str | None = None
    """Version of the workspace whose policy the clock keeps to its end."""


class ClockRetargeted(ClockEvent):
    """From `occurred_at` on it is measured against other terms: `due_at` is the new deadline. It stays running or paused."""

    type = "clock.retargeted.v1"
    target_seconds: float
    policy_version: str | None = None


class ClockPaused(ClockEvent):
    """`due_at` is the deadline as it would be if the clock went on at once."""

    type = "clock.paused.v1"
    reason: str
    """`on_hold` (snoozed) or `waiting_for_customer`."""


class ClockResumed(ClockEvent):
    """`due_at` is the new deadline."""

    type = "clock.resumed.v1"


class ClockWarned(ClockEvent):
    type = "clock.warned.v1"
    fraction: float
    """Share of the target that is used up, e.g. 0.8."""


class ClockMet(ClockEvent):
    """What the clock waited for happened; after a breach that is not corrected, too late. Said again with an earlier
    `occurred_at` where that came late on the stream."""

    type = "clock.met.v1"


class ClockEscalated(ClockEvent):
    """A step of the policy's escalation is due. It is said once of a clock, and not taken back; each of the four that is
    set is to be done by whoever can."""

    type = "clock.escalated.v1"
    step: int
    """Its place in the policy, from 0."""
    fraction: float
    """Share of the target that is used up; 1.0 is the breach, more is past it."""
    raise_priority: int | None = None
    """At least this priority."""
    move_to_queue: str | None = None
    notify: tuple[str, ...] = ()
    """Names of people or groups."""
    assign_supervisor: str | None = None
    """Gets the work whatever the capacity says."""


class ClockBreached(ClockEvent):
    type = "clock.breached.v1"


class ClockCancelled(ClockEvent):
    """`resolved`: nothing to answer any more; `merged`: goes on in another conversation; `no_policy`: no policy rules its
    metric any more; `superseded`: by what came late, it should never have been started."""

    type = "clock.cancelled.v1"
    reason: str
