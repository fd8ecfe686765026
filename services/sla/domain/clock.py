"""This file is one SLA clock: when it ran, and what follows from that for its deadline.

running ⇄ paused      running or paused ─▶ met | cancelled
Warned and breached are no states: they say which shares of the target were used up before the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.vocabulary import Metric
from services.sla.domain.calendar import Calendars

WHOLE = 1.0
"""The share of the target that is used up at the deadline."""


class State(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    """Ended by what it waited for, be it in time or not."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Pause:
    """Time that does not count: [start, end)."""

    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """`number` is the version of the conversation's event that started it, so that the same history names the same clock."""

    metric: Metric
    number: int
    queue: str
    policy: str
    workspace_version: str
    calendar: str
    target: timedelta
    warn_at: tuple[float, ...]
    started_at: datetime
    pauses: tuple[Pause, ...] = ()
    state: State = State.RUNNING
    ended_at: datetime | None = None
    reason: str | None = None
    """Why it was cancelled."""

    @property
    def open(self) -> bool:
        return self.ended_at is None

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the target, at which something is due: each warning, then the deadline."""
        return (*self.warn_at, WHOLE)

    def due_at(self, calendars: Calendars) -> datetime:
        return self.moment(WHOLE, calendars)

    def moment(self, share: float, calendars: Calendars) -> datetime:
        """When that share of the target is used up; of a paused clock, when it would be if it went on at once.

        Raises KeyError where `calendars` lacks the version that the clock was started with.
        """
        return self._walk(share, calendars)[0]

    def crossed(self, share: float, reached: datetime, calendars: Calendars) -> bool:
        """Whether the share was used up before the clock ended, with time having reached `reached`.

        An end at that very moment comes first: exactly at the deadline is met. One in the closed hours after it is late,
        though no more of the open time was used up.
        """
        moment, used_up = self._walk(share, calendars)
        return used_up and moment <= reached

    def paused(self, at: datetime) -> "Clock":
        if self.state is not State.RUNNING:
            return self
        return replace(self, state=State.PAUSED, pauses=(*self.pauses, Pause(at)))

    def resumed(self, at: datetime) -> "Clock":
        if self.state is not State.PAUSED:
            return self
        *before, last = self.pauses
        return replace(self, state=State.RUNNING, pauses=(*before, Pause(last.start, at)))

    def ended(self, at: datetime, state: State, reason: str | None = None) -> "Clock":
        if not self.open:
            return self
        return replace(self.resumed(at), state=state, ended_at=at, reason=reason)

    def _walk(self, share: float, calendars: Calendars) -> tuple[datetime, bool]:
        """The moment of a share, and whether the clock's running time reaches it."""
        calendar = calendars[self.calendar]
        left = self.target * share
        last = self.started_at
        for start, end in self._runs():
            last = start
            if end is None:
                return calendar.after(start, left), True
            used = calendar.elapsed(start, end)
            if used >= left:
                moment = calendar.after(start, left)
                return moment, not moment == end == self.ended_at
            left -= used
            last = end
        return calendar.after(last, left), False

    def _runs(self) -> Iterator[tuple[datetime, datetime | None]]:
        start = self.started_at
        for pause in self.pauses:
            yield start, pause.start
            if pause.end is None:
                return
            start = pause.end
        yield start, self.ended_at
