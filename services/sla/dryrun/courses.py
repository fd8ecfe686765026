"""This file makes one thing of what is said about a clock, be it told on the topic or computed: its course.

The last word counts: a breach that is corrected is none, and a clock that should never have been started has no course.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEscalated,
    ClockEvent,
    ClockMet,
    ClockRetargeted,
    ClockStarted,
    ClockWarned,
)
from services.sla.domain.clock import Clock
from services.sla.domain.standing import SUPERSEDED, Happened, Happening

End = tuple[str, datetime, str | None]
"""met or cancelled, when, and why cancelled."""


@dataclass(frozen=True, slots=True)
class Said:
    """One word about a clock."""

    what: Happened
    at: datetime
    due_at: datetime
    policy: str = ""
    target_seconds: float = 0.0
    fraction: float = 0.0
    step: int = 0
    reason: str | None = None
    corrects_breach: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a clock."""

    clock_id: str
    conversation_id: str
    metric: str
    started_at: datetime
    policy: str
    target_seconds: float
    due_at: datetime
    warned: frozenset[tuple[float, datetime]] = field(default_factory=frozenset)
    """(share of the target, when)"""
    steps: frozenset[tuple[str, int, datetime]] = field(default_factory=frozenset)
    """(policy, number, when)"""
    breached_at: datetime | None = None
    end: End | None = None

    @property
    def moments(self) -> tuple[datetime, ...]:
        """Of all that there is to say of it."""
        found = [self.started_at, *(at for _, at in self.warned), *(at for _, _, at in self.steps)]
        return (
            *found,
            *((self.breached_at,) if self.breached_at else ()),
            *((self.end[1],) if self.end else ()),
        )


def told(events: Iterable[ClockEvent]) -> dict[str, Course]:
    """By clock id, what a reader of the topic holds at last."""
    by_clock: dict[str, list[ClockEvent]] = {}
    for event in events:
        by_clock.setdefault(event.clock_id, []).append(event)
    found = {}
    for name, of_clock in by_clock.items():
        of_clock.sort(key=lambda event: event.version)
        first = of_clock[0]
        course = _course(name, first.conversation_id, first.metric, [_said(event) for event in of_clock])
        if course is not None:
            found[name] = course
    return found


def computed(
    clock_id: str, conversation_id: str, clock: Clock, happenings: Iterable[Happening]
) -> Course | None:
    said = [_word(happening, clock) for happening in happenings]
    return _course(clock_id, conversation_id, clock.metric, said)


def _course(clock_id: str, conversation_id: str, metric: str, said: Iterable[Said]) -> Course | None:
    """None where it begins in the middle, or is taken back at last."""
    course: Course | None = None
    for word in said:
        if word.what is Happened.STARTED:
            course = Course(
                clock_id, conversation_id, metric, word.at, word.policy, word.target_seconds, word.due_at
            )
        elif course is not None:
            course = None if word.reason == SUPERSEDED else _go_on(course, word)
    if course is None or course.end is None:
        return course
    ended_at = course.end[1]  # what was said of later moments turned out not to have happened
    return replace(
        course,
        warned=frozenset(one for one in course.warned if one[1] < ended_at),
        steps=frozenset(one for one in course.steps if one[2] < ended_at),
    )


def _go_on(course: Course, word: Said) -> Course:
    if word.corrects_breach:
        course = replace(course, breached_at=None)
    match word.what:
        case Happened.WARNED:
            return replace(course, warned=course.warned | {(word.fraction, word.at)})
        case Happened.ESCALATED:
            return replace(course, steps=course.steps | {(word.policy, word.step, word.at)})
        case Happened.RETARGETED:
            course = replace(course, policy=word.policy, target_seconds=word.target_seconds)
        case Happened.BREACHED:
            course = replace(course, breached_at=word.at)
        case Happened.MET | Happened.CANCELLED:
            course = replace(course, end=(word.what.value, word.at, word.reason))
        case _:
            pass
    return replace(course, due_at=word.due_at)


def _said(event: ClockEvent) -> Said:
    what = Happened(event.type.removeprefix("clock.").removesuffix(".v1"))
    plain = Said(what, event.occurred_at, event.due_at, event.policy, corrects_breach=event.corrects_breach)
    match event:
        case ClockStarted() | ClockRetargeted():
            return replace(plain, target_seconds=event.target_seconds)
        case ClockWarned():
            return replace(plain, fraction=event.fraction)
        case ClockEscalated():
            return replace(plain, step=event.step)
        case ClockCancelled():
            return replace(plain, reason=event.reason)
        case ClockMet() | ClockBreached() | _:
            return plain


def _word(happening: Happening, clock: Clock) -> Said:
    terms, step = happening.terms, happening.step
    return Said(
        what=happening.what,
        at=happening.at,
        due_at=happening.due_at,
        policy=(terms.policy if terms else happening.policy) or clock.policy,
        target_seconds=terms.target.total_seconds() if terms else 0.0,
        fraction=happening.fraction or 0.0,
        step=step.number if step else 0,
        reason=clock.reason if happening.what is Happened.CANCELLED else None,
        corrects_breach=happening.corrects_breach,
    )
