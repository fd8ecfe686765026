"""This file says how much of a stretch of time counts towards a target."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Calendar(Protocol):
    """Open hours. The two methods are inverse: `elapsed(a, after(a, d)) == d`, and `after` gives the earliest such moment.

    So nothing is due at once, also in closed time; a start in closed time counts from the next opening; and what is used up
    exactly when hours close is due then, not at the next opening. Times are aware, and results UTC.
    """

    @property
    def version(self) -> str:
        """Changes with the hours; pinned by each clock."""
        ...

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Open time in [start, end)."""
        ...

    def after(self, start: datetime, duration: timedelta) -> datetime:
        """When so much open time has passed since the start."""
        ...


Calendars = Mapping[str, Calendar]
"""By version, all that clocks may have pinned."""


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """24 hours on 7 days."""

    version: str = "24x7"

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        return end - start

    def after(self, start: datetime, duration: timedelta) -> datetime:
        return start + duration


ALWAYS_OPEN = AlwaysOpen()
