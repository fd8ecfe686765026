"""This file is one SLA clock: when it ran, under which terms, and what follows from that for its deadline.

running ⇄ paused      running or paused ─▶ met | cancelled
Warned, escalated and breached are no states: they say which shares of the target were used up before the end.

New terms (another queue, policy, priority or calendar): the open time used up so far stays used up, and the deadline is
where the rest of the new target is; what the new target allows and is used up already is due at the change, not before. A
breach that has happened, be it at that very moment, is not moved: terms that come after it do not count for this clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.vocabulary import Metric
from services.sla.domain.calendar import Calendars
from services.sla.domain.policy import Policy, Step

WHOLE = 1.0
"""The share of the target that is used up at the deadline."""
ZERO = timedelta(0)


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
    reason: str = "on_hold"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a clock is measured against until it changes."""

    policy: str
    workspace_version: str
    calendar: str
    target: timedelta
    warn_at: tuple[float, ...] = ()
    steps: tuple[tuple[float, Step], ...] = ()
    """Share of the target -> what is done then."""
    pause_on: tuple[str, ...] | None = None
    human_only: bool = True

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the target, at which something is due, ascending."""
        if not self.steps:
            return (*self.warn_at, WHOLE)
        return tuple(sorted({*self.warn_at, WHOLE, *(share for share, _ in self.steps)}))


@dataclass(frozen=True, slots=True)
class Mark:
    """A share that was used up at `at`, under the terms that began at `since` (None: with the clock)."""

    since: datetime | None
    share: float
    at: datetime


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
    steps: tuple[tuple[float, Step], ...] = ()
    pause_on: tuple[str, ...] | None = None
    """Reasons that pause it; None, of clocks kept before there was a choice, means that a snooze pauses a resolution."""
    human_only: bool = True
    earlier: tuple[tuple[datetime, Terms], ...] = ()
    """The terms before the present ones, each with the moment until which they held."""

    @property
    def open(self) -> bool:
        return self.ended_at is None

    @property
    def terms(self) -> Terms:
        """The latest."""
        return Terms(
            self.policy,
            self.workspace_version,
            self.calendar,
            self.target,
            self.warn_at,
            self.steps,
            self.pause_on,
            self.human_only,
        )

    @property
    def changes(self) -> tuple[datetime, ...]:
        """When each of the terms but the first began."""
        return tuple(until for until, _ in self.earlier)

    def numbered(self, number: int) -> Terms:
        return self.earlier[number][1] if number < len(self.earlier) else self.terms

    def ruling(self, calendars: Calendars) -> int:
        """The number of the terms that count: the latest, but for what came after a breach."""
        for number, (until, _) in enumerate(self.earlier):
            moment, used_up = self._walk(number, WHOLE, calendars)
            if used_up and moment <= until:
                return number
        return len(self.earlier)

    def due_at(self, calendars: Calendars) -> datetime:
        return self.moment(WHOLE, calendars)

    def moment(self, share: float, calendars: Calendars) -> datetime:
        """When that share of the target is used up; of a paused clock, when it would be if it went on at once.

        Raises KeyError where `calendars` lacks the version that the clock was started with.
        """
        return self._walk(self.ruling(calendars), share, calendars)[0]

    def crossed(self, share: float, reached: datetime, calendars: Calendars) -> bool:
        """Whether the share was used up before the clock ended, with time having reached `reached`.

        An end at that very moment comes first: exactly at the deadline is met. One in the closed hours after it is late,
        though no more of the open time was used up.
        """
        moment, used_up = self._walk(self.ruling(calendars), share, calendars)
        return used_up and moment <= reached

    def marks(self, reached: datetime, calendars: Calendars) -> list[Mark]:
        """All shares at which something is due that were used up, under whatever terms, in the order of the terms.

        A share that was used up once and is so again at the very change of the terms is not marked twice.
        """
        found, given, last = list[Mark](), set[float](), self.ruling(calendars)
        for number in range(last + 1):
            since = self.earlier[number - 1][0] if number else None
            for share in self.numbered(number).shares:
                moment, used_up = self._walk(number, share, calendars)
                until = self.earlier[number][0] if number < last else None
                if not used_up or moment > reached or (until is not None and moment > until):
                    continue
                if moment != since or share not in given:
                    found.append(Mark(since, share, moment))
            given |= {mark.share for mark in found}
        return found

    def paused(self, at: datetime, reason: str = "on_hold") -> "Clock":
        if self.state is not State.RUNNING:
            return self
        return replace(self, state=State.PAUSED, pauses=(*self.pauses, Pause(at, None, reason)))

    def resumed(self, at: datetime) -> "Clock":
        if self.state is not State.PAUSED:
            return self
        *before, last = self.pauses
        return replace(self, state=State.RUNNING, pauses=(*before, Pause(last.start, at, last.reason)))

    def ended(self, at: datetime, state: State, reason: str | None = None) -> "Clock":
        if not self.open:
            return self
        return replace(self.resumed(at), state=state, ended_at=at, reason=reason)

    def under(self, terms: Terms, at: datetime) -> "Clock":
        """The same clock, measured against other terms from `at` on."""
        if terms == self.terms:
            return self
        return replace(self._of(terms), earlier=(*self.earlier, (at, self.terms)))

    def as_of(self, at: datetime, terms: int | None = None) -> "Clock":
        """The clock as it was known at a moment of its life, running; under the terms of a number, or the last of then."""
        past = tuple(pause for pause in self.pauses if pause.end is not None and pause.end <= at)
        kept = tuple(change for change in self.earlier if change[0] <= at)[:terms]
        found = self if len(kept) == len(self.earlier) else self._of(self.numbered(len(kept)))
        return replace(found, earlier=kept, pauses=past, state=State.RUNNING, ended_at=None)

    def _of(self, terms: Terms) -> "Clock":
        return replace(
            self,
            policy=terms.policy,
            workspace_version=terms.workspace_version,
            calendar=terms.calendar,
            target=terms.target,
            warn_at=terms.warn_at,
            steps=terms.steps,
            pause_on=terms.pause_on,
            human_only=terms.human_only,
        )

    def _walk(self, number: int, share: float, calendars: Calendars) -> tuple[datetime, bool]:
        """The moment of a share under the terms of a number, and whether the clock's running time reaches it."""
        since, used = self.started_at, ZERO
        if self.earlier:
            calendar = calendars[self.numbered(number).calendar]
            left = self.numbered(number).target * share
            for until, terms in self.earlier[:number]:
                used += self._used(since, until, terms, calendars)
                since = until
            left = max(left - used, ZERO)
        else:
            calendar, left = calendars[self.calendar], self.target * share
        last = since
        for start, end in self._runs(since):
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

    def _used(self, since: datetime, until: datetime, terms: Terms, calendars: Calendars) -> timedelta:
        """Open time in which the clock ran under the terms that held in [since, until)."""
        calendar, used = calendars[terms.calendar], ZERO
        for start, end in self._runs(since):
            if start < until:
                used += calendar.elapsed(start, until if end is None or until < end else end)
        return used

    def _runs(self, since: datetime) -> Iterator[tuple[datetime, datetime | None]]:
        """The stretches in which it ran, as far as they are not before `since`."""
        start = self.started_at
        for pause in self.pauses:
            if since <= pause.start:
                yield max(start, since), pause.start
            if pause.end is None:
                return
            start = pause.end
        yield max(start, since), self.ended_at


def terms_of(policy: Policy, metric: Metric, target: timedelta) -> Terms:
    return Terms(
        policy.id,
        policy.workspace_version,
        policy.calendar,
        target,
        policy.warnings(target),
        policy.steps(metric, target),
        policy.pauses(metric),
        policy.human_only,
    )
