"""This file holds what service levels are computed from: what became of a work item, of a clock, and which channel it was."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class Step(Enum):
    """What an event says of a work item."""

    WAITING = "waiting"
    TAKEN = "taken"
    ENDED = "ended"
    """It is held no more, or wraps up."""
    ABANDONED = "abandoned"


class Course(Enum):
    """What an event says of a first-response clock."""

    GOES_ON = "goes_on"
    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OfWork:
    """`version` orders the facts of one work item. `since` is set of WAITING, `waited` of TAKEN."""

    conversation_id: str
    work_item_id: str
    version: int
    queue: str
    at: datetime
    step: Step
    since: datetime | None = None
    waited: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class OfClock:
    """`version` orders the facts of one clock. `corrects`: breaches told before did not happen."""

    conversation_id: str
    clock_id: str
    version: int
    queue: str
    at: datetime
    due_at: datetime
    course: Course
    corrects: bool = False


@dataclass(frozen=True, slots=True)
class OfChannel:
    """Which channel a conversation is on; every fact of one conversation says the same."""

    conversation_id: str
    channel: str
    at: datetime


Fact = OfWork | OfClock | OfChannel
