"""This file says what one conversation adds to the figures, from all facts about it in whatever order they came.

Of each work item and each clock only extremes by version are kept, so a repeated fact changes nothing and two orders of the
same facts end alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, TypeVar

from services.sla.live.domain.facts import Course, Fact, OfChannel, OfClock, OfWork, Step

UNKNOWN = "unknown"
"""The channel of a conversation of which only work or clocks have been read."""
V = TypeVar("V", OfWork, OfClock)


class Measure(IntEnum):
    """Column of a bucket."""

    OFFERED = 0
    ANSWERED = 1
    ABANDONED = 2
    WITHIN = 3
    MISSED = 4
    WAITED = 5
    """Microseconds that those in ANSWERED waited."""


class Counted(NamedTuple):
    queue: str
    measure: Measure
    at: datetime
    amount: int = 1


class Waiting(NamedTuple):
    queue: str
    work_item_id: str
    since: datetime


@dataclass(slots=True)
class Work:
    """One work item: the first fact that tells its wait, the first that somebody took it, the last of all."""

    begun: OfWork | None = None
    taken: OfWork | None = None
    abandoned: OfWork | None = None
    last: OfWork | None = None

    def add(self, fact: OfWork) -> None:
        if fact.step is Step.WAITING:
            self.begun = _earlier(self.begun, fact)
        elif fact.step is Step.TAKEN:
            self.taken = _earlier(self.taken, fact)
        elif fact.step is Step.ABANDONED:
            self.abandoned = _earlier(self.abandoned, fact)
        self.last = _later(self.last, fact)

    def counted(self) -> Iterator[Counted]:
        if self.begun is not None and self.begun.since is not None:
            yield Counted(self.begun.queue, Measure.OFFERED, self.begun.since)
        elif self.taken is not None:
            yield Counted(self.taken.queue, Measure.OFFERED, self.taken.at - self.taken.waited)
        if self.taken is not None:
            yield Counted(self.taken.queue, Measure.ANSWERED, self.taken.at)
            microseconds = round(self.taken.waited.total_seconds() * 1_000_000)
            yield Counted(self.taken.queue, Measure.WAITED, self.taken.at, microseconds)
        if self.abandoned is not None:
            yield Counted(self.abandoned.queue, Measure.ABANDONED, self.abandoned.at)

    def waiting(self) -> Waiting | None:
        last = self.last
        if last is None or last.step is not Step.WAITING or last.since is None:
            return None
        return Waiting(last.queue, last.work_item_id, last.since)


@dataclass(slots=True)
class Clock:
    """One first-response clock: its last breach, the last word that takes breaches back, the last fact of all."""

    breach: OfClock | None = None
    correction: OfClock | None = None
    last: OfClock | None = None

    def add(self, fact: OfClock) -> None:
        if fact.course is Course.BREACHED:
            self.breach = _later(self.breach, fact)
        elif fact.corrects:
            self.correction = _later(self.correction, fact)
        self.last = _later(self.last, fact)

    def counted(self) -> Iterator[Counted]:
        last, breach = self.last, self.breach
        if breach and self.correction and self.correction.version >= breach.version:
            breach = None
        met = last is not None and last.course is Course.MET
        if last is not None and met and last.at <= last.due_at:
            yield Counted(last.queue, Measure.WITHIN, last.at)
        elif breach is not None:
            yield Counted(breach.queue, Measure.MISSED, breach.at)
        elif last is not None and met:
            yield Counted(last.queue, Measure.MISSED, last.due_at)


@dataclass(slots=True)
class Conversation:
    """All that is known of one conversation. `touched_at` is the latest event time; nothing it counts is later."""

    touched_at: datetime
    channel: str = UNKNOWN
    work: dict[str, Work] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        self.touched_at = max(self.touched_at, fact.at)
        match fact:
            case OfWork():
                self.work.setdefault(fact.work_item_id, Work()).add(fact)
            case OfClock():
                self.clocks.setdefault(fact.clock_id, Clock()).add(fact)
            case OfChannel():
                self.channel = fact.channel

    def counted(self) -> list[Counted]:
        found = [one for work in self.work.values() for one in work.counted()]
        return found + [one for clock in self.clocks.values() for one in clock.counted()]

    def waiting(self) -> list[Waiting]:
        return [one for work in self.work.values() if (one := work.waiting()) is not None]


def _earlier(known: V | None, fact: V) -> V:
    return fact if known is None or fact.version < known.version else known


def _later(known: V | None, fact: V) -> V:
    return fact if known is None or fact.version > known.version else known
