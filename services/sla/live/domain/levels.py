"""This file keeps the figures of every queue and channel: buckets of one second by event time, and who waits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.sla.live.domain.course import Conversation, Counted, Measure, Waiting
from services.sla.live.domain.facts import Fact

WINDOWS = (timedelta(minutes=5), timedelta(minutes=30))
LONGEST = max(WINDOWS)
KEPT = 2 * LONGEST
"""Buckets, and conversations with nothing waiting, are forgotten when they are older; what is later than this is not counted."""


class Key(NamedTuple):
    queue: str
    channel: str


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of [as_of - length, as_of) by event time. `waited` is the sum over `answered`."""

    length: timedelta
    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    within: int = 0
    missed: int = 0
    waited: timedelta = timedelta(0)

    @property
    def average_speed_of_answer(self) -> timedelta | None:
        """Mean wait of those answered; None where none was."""
        return self.waited / self.answered if self.answered else None


@dataclass(frozen=True, slots=True)
class Level:
    """How one queue does on one channel. `waiting` is as of the last fact read, not of the windows' end."""

    key: Key
    windows: tuple[Window, ...]
    waiting: int = 0
    oldest_since: datetime | None = None

    @property
    def idle(self) -> bool:
        """True where there is nothing but zeros to tell."""
        return not self.waiting and all(window == Window(window.length) for window in self.windows)


class Levels:
    """The fold. The same facts in any order, each once or more, give the same `at` for the same moment, as long as none
    comes later than KEPT after it happened."""

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}
        self._buckets: dict[Key, dict[int, list[int]]] = {}
        self._waiting: dict[Key, dict[str, datetime]] = {}
        self._floor = 0

    def __len__(self) -> int:
        return len(self._conversations)

    def add(self, fact: Fact) -> None:
        """Take one fact in."""
        known = self._conversations.get(fact.conversation_id)
        if known is None:
            known = self._conversations[fact.conversation_id] = Conversation(fact.at)
        else:
            self._count(known, -1)
        known.add(fact)
        self._count(known, 1)

    def at(self, moment: datetime) -> list[Level]:
        """The figures at a whole second, of every queue and channel that was ever seen."""
        return [self._level(key, _second(moment)) for key in sorted(self._buckets)]

    def forget(self, moment: datetime) -> None:
        """Let go of what no window at or after that moment can reach."""
        before = moment - KEPT
        self._floor = max(self._floor, _second(before))
        for known_id, known in list(self._conversations.items()):
            if known.touched_at < before and not known.waiting():
                del self._conversations[known_id]
        for buckets in self._buckets.values():
            for second in [s for s in buckets if s < self._floor]:
                del buckets[second]

    def _count(self, known: Conversation, sign: int) -> None:
        for one in known.counted():
            self._bucket(Key(one.queue, known.channel), one, sign)
        for waiting in known.waiting():
            self._wait(Key(waiting.queue, known.channel), waiting, sign)

    def _bucket(self, key: Key, one: Counted, sign: int) -> None:
        buckets = self._buckets.setdefault(key, {})
        second = _second(one.at)
        if second >= self._floor:
            buckets.setdefault(second, [0] * len(Measure))[one.measure] += sign * one.amount

    def _wait(self, key: Key, waiting: Waiting, sign: int) -> None:
        self._buckets.setdefault(key, {})
        those = self._waiting.setdefault(key, {})
        if sign > 0:
            those[waiting.work_item_id] = waiting.since
        else:
            those.pop(waiting.work_item_id, None)

    def _level(self, key: Key, end: int) -> Level:
        sums = [[0] * len(Measure) for _ in WINDOWS]
        starts = [end - int(length.total_seconds()) for length in WINDOWS]
        for second, counts in self._buckets[key].items():
            for start, total in zip(starts, sums, strict=True):
                if start <= second < end:
                    for measure, amount in enumerate(counts):
                        total[measure] += amount
        waiting = self._waiting.get(key, {})
        return Level(
            key,
            tuple(_window(length, total) for length, total in zip(WINDOWS, sums, strict=True)),
            len(waiting),
            min(waiting.values(), default=None),
        )


def _window(length: timedelta, total: list[int]) -> Window:
    return Window(
        length,
        offered=total[Measure.OFFERED],
        answered=total[Measure.ANSWERED],
        abandoned=total[Measure.ABANDONED],
        within=total[Measure.WITHIN],
        missed=total[Measure.MISSED],
        waited=timedelta(microseconds=total[Measure.WAITED]),
    )


def _second(at: datetime) -> int:
    """Whole seconds since 1970, rounded down: a bucket holds what happened in [second, second + 1)."""
    return int(at.timestamp())
