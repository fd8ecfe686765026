"""This file compares a clock with what was last said of it, and says what is new."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.sla.domain.calendar import Calendars
from services.sla.domain.clock import WHOLE, Clock, Mark, Pause, State, Terms
from services.sla.domain.policy import Step

SUPERSEDED = "superseded"
"""Reason of a clock that, by what came late, should never have been started."""

ENDED = (State.MET, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a clock stood when time had come to a certain point."""

    started_at: datetime
    state: State
    due_at: datetime
    warned: tuple[float, ...] = ()
    breached: bool = False
    pauses: tuple[Pause, ...] = ()
    ended_at: datetime | None = None
    reason: str | None = None
    marks: tuple[Mark, ...] = ()
    """All shares that were used up, also under earlier terms."""
    changes: tuple[datetime, ...] = ()
    """When other terms began that count."""

    @property
    def marked(self) -> frozenset[tuple[datetime | None, float]]:
        """Of `marks`; of a clock kept before there were any, what follows from its warnings."""
        if self.marks:
            return frozenset((mark.since, mark.share) for mark in self.marks)
        return frozenset((None, share) for share in (*self.warned, *((WHOLE,) if self.breached else ())))


class Happened(StrEnum):
    STARTED = "started"
    RESUMED = "resumed"
    RETARGETED = "retargeted"
    WARNED = "warned"
    ESCALATED = "escalated"
    BREACHED = "breached"
    PAUSED = "paused"
    MET = "met"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something to say of a clock. `at` is when it happened, `due_at` the deadline as it was then."""

    what: Happened
    at: datetime
    due_at: datetime
    fraction: float | None = None
    corrects_breach: bool = False
    reason: str | None = None
    """Of a pause."""
    policy: str | None = None
    """By whose terms it is said, where that is not the one that rules."""
    step: Step | None = None
    terms: Terms | None = None
    """Those that begin."""


def standing(clock: Clock, reached: datetime, calendars: Calendars) -> Standing:
    marks, last = clock.marks(reached, calendars), clock.ruling(calendars)
    crossed = {mark.share for mark in marks} if last == 0 else None
    return Standing(
        started_at=clock.started_at,
        state=clock.state,
        due_at=clock.due_at(calendars),
        warned=tuple(
            share
            for share in (clock.warn_at if last == len(clock.earlier) else clock.numbered(last).warn_at)
            if (clock.crossed(share, reached, calendars) if crossed is None else share in crossed)
        ),
        breached=clock.crossed(WHOLE, reached, calendars) if crossed is None else WHOLE in crossed,
        pauses=clock.pauses,
        ended_at=clock.ended_at,
        reason=clock.reason,
        marks=tuple(marks),
        changes=clock.changes[:last],
    )


def passed(
    before: Standing, share: float, at: datetime, warn_at: tuple[float, ...]
) -> tuple[Standing, Happening | None]:
    """How a running clock stands when another share of its target, without a step of escalation, is used up; and what to say.

    It is what `standing` and `news` find where nothing but time came, without folding anything. `warn_at` are the shares to
    be warned at under the terms that count. A share that was told is not told again: then the clock stands as before.
    """
    since = before.changes[-1] if before.changes else None
    if before.state is not State.RUNNING or (since, share) in before.marked:
        return before, None
    marks = (*before.marks, Mark(since, share, at))
    if share == WHOLE:
        return replace(before, breached=True, marks=marks), Happening(Happened.BREACHED, at, before.due_at)
    warned = tuple(known for known in warn_at if known == share or known in before.warned)
    return replace(before, warned=warned, marks=marks), Happening(Happened.WARNED, at, before.due_at, share)


def superseded(before: Standing) -> Standing:
    """Of a clock that is not among the conversation's clocks any more."""
    return Standing(before.started_at, State.CANCELLED, before.due_at, reason=SUPERSEDED)


def news(before: Standing | None, clock: Clock, after: Standing, calendars: Calendars) -> list[Happening]:
    """What to say of a clock that was last said to stand at `before` (None: never mentioned) and stands at `after`.

    In order of time; a reader who takes the last word on a clock knows how it stands. A clock that was ended and is open
    again, or was started at another time, is told from its start. Of one that has ended, a pause that comes late is not
    told, but its end again.
    """
    known = None if before is None or _begins_anew(before, after) else before
    found = sorted(_new(known, clock, after, calendars), key=lambda happening: happening.at)
    if before and before.breached and found:
        again = [place for place, happening in enumerate(found) if happening.what is Happened.BREACHED]
        # A breach that is told with another deadline takes the place of the one before.
        if again or not after.breached:
            place = again[0] if again else -1
            found[place] = replace(found[place], corrects_breach=True)
    return found


def _begins_anew(before: Standing, after: Standing) -> bool:
    if before.started_at != after.started_at or before.reason == SUPERSEDED:
        return True
    return before.state in ENDED and after.state not in ENDED


def _new(known: Standing | None, clock: Clock, after: Standing, calendars: Calendars) -> Iterator[Happening]:
    """Where several happened at one moment, in the order in which they are to be told."""
    if known is None:
        due = _due(clock, clock.started_at, calendars)
        yield Happening(Happened.STARTED, clock.started_at, due, terms=clock.as_of(clock.started_at).terms)
    if clock.open or known is None:
        yield from _changes(known.changes if known else (), clock, after, calendars)
    marked = known.marked if known else frozenset()
    fresh = [mark for mark in after.marks if (mark.since, mark.share) not in marked]
    for mark in fresh:
        number = _number(after, mark)
        terms = clock.numbered(number)
        if mark.share in terms.warn_at:
            due = clock.as_of(mark.at, number).due_at(calendars)
            yield Happening(Happened.WARNED, mark.at, due, mark.share, policy=terms.policy)
    if after.breached and not (known and known.breached and known.due_at == after.due_at):
        yield Happening(Happened.BREACHED, after.due_at, after.due_at)
    for mark in fresh:
        number = _number(after, mark)
        terms = clock.numbered(number)
        for share, step in terms.steps:
            if share == mark.share:
                due = clock.as_of(mark.at, number).due_at(calendars)
                yield Happening(Happened.ESCALATED, mark.at, due, share, policy=terms.policy, step=step)
    if clock.open or known is None:
        yield from _pauses(known.pauses if known else (), clock, calendars)
    if clock.ended_at is not None and not (known and _same_end(known, after)):
        what = Happened.MET if after.state is State.MET else Happened.CANCELLED
        yield Happening(what, clock.ended_at, after.due_at)


def _number(after: Standing, mark: Mark) -> int:
    """Of the terms of a mark. Of those that began at one moment the last ones count."""
    return 0 if mark.since is None else bisect_right(after.changes, mark.since)


def _changes(
    told: tuple[datetime, ...], clock: Clock, after: Standing, calendars: Calendars
) -> Iterator[Happening]:
    """From the first change of terms that was told otherwise; one that was taken back is told as the terms before it."""
    agreed = 0
    while agreed < min(len(told), len(after.changes)) and told[agreed] == after.changes[agreed]:
        agreed += 1
    first = agreed if len(after.changes) > agreed or len(told) == agreed else agreed - 1
    for index in range(first, len(after.changes)):
        at = clock.started_at if index < 0 else after.changes[index]
        due = _due(clock, at, calendars)
        yield Happening(Happened.RETARGETED, at, due, terms=clock.numbered(index + 1))


def _pauses(told: tuple[Pause, ...], clock: Clock, calendars: Calendars) -> Iterator[Happening]:
    """From the first pause that was told otherwise, so that the last word is how the clock stands."""
    agreed = 0
    while agreed < min(len(told), len(clock.pauses)) and told[agreed] == clock.pauses[agreed]:
        agreed += 1
    for index, pause in enumerate(clock.pauses[agreed:], agreed):
        if index >= len(told) or told[index].start != pause.start or told[index].end is not None:
            due = _due(clock, pause.start, calendars)
            yield Happening(Happened.PAUSED, pause.start, due, reason=pause.reason)
        # The end of the clock ends its pause without a word of its own.
        if pause.end is not None and pause.end != clock.ended_at:
            yield Happening(Happened.RESUMED, pause.end, _due(clock, pause.end, calendars))


def _same_end(known: Standing, after: Standing) -> bool:
    return (known.state, known.ended_at, known.due_at) == (after.state, after.ended_at, after.due_at)


def alarms(clock: Clock, after: Standing, calendars: Calendars) -> dict[float, datetime]:
    """Share -> when it will be used up, of a clock that runs."""
    if clock.state is not State.RUNNING:
        return {}
    told = {*after.warned, *((WHOLE,) if after.breached else ())}
    told |= {
        mark.share for mark in after.marks if mark.since == (after.changes[-1] if after.changes else None)
    }
    last = len(after.changes)
    shares = clock.shares if last == len(clock.earlier) else clock.numbered(last).shares
    return {share: clock.moment(share, calendars) for share in shares if share not in told}


def _due(clock: Clock, at: datetime, calendars: Calendars) -> datetime:
    """The deadline as it was at a moment of the clock's life."""
    return clock.as_of(at).due_at(calendars)
