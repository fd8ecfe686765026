"""This file says how much of a stretch of time counts towards a target."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Calendar(Protocol):
    """Open hours. The two methods are inverse: `elapsed(a, after(a, d)) == d`, and `after` gives the earliest such moment."""

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


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """24 hours on 7 days."""

    version: str = "24x7"

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        return end - start

    def after(self, start: datetime, duration: timedelta) -> datetime:
        return start + duration


ALWAYS_OPEN = AlwaysOpen()

CALENDARS: dict[str, Calendar] = {ALWAYS_OPEN.version: ALWAYS_OPEN}
"""Every version that a clock may have pinned."""
