"""This file models `service-levels`: how a queue does on a channel, lately and now. Keyed by queue."""

from libs.contracts.payloads.base import Payload, Time, Value
from libs.contracts.vocabulary import Channel


class WindowLevel(Value):
    """What happened in the half-open window [`as_of` - `seconds`, `as_of`), by event time."""

    seconds: int
    offered: int
    """Work items that began to wait."""
    answered: int
    """Work items that an agent took for the first time."""
    abandoned: int
    """Work items that ended without anybody having held them, other than by a transfer or a snooze."""
    within_target: int
    """First responses given by their deadline."""
    missed_target: int
    """First responses whose deadline passed without one, counted at the deadline; also where an answer came later."""
    average_speed_of_answer: float | None = None
    """Seconds that the `answered` waited on average; None where none was answered."""


class ServiceLevelMeasured(Payload):
    """The figures of one queue and channel. The newest by `as_of` replaces all before it."""

    type = "service_level.measured.v1"
    queue: str
    channel: Channel
    as_of: Time
    windows: tuple[WindowLevel, ...]
    waiting: int
    """Work items that nobody holds now, those on offer included."""
    oldest_waiting_since: Time | None = None
