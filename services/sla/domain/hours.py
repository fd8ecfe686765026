"""This file computes with the open hours of a business calendar: deadlines and elapsed time by look-up.

A moment is open if the clock on the wall then shows an open time. So a wall time that a change of the clock leaves out does
not count, and one that it repeats counts twice: a shift over the night of the change is an hour shorter or longer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from services.sla.domain.definition import Definition, Span, version_of

ZERO = timedelta(0)
LAST = datetime.max.replace(tzinfo=UTC)
BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Nothing is open before: a time so long past is a mistake of somebody's clock, and must not have centuries laid out."""
FARTHEST = 100
"""Years that a deadline is looked for; hours that do not reach it by then never will."""

Interval = tuple[datetime, datetime]
"""[start, end)"""


class NeverOpen(ValueError):
    """So much open time does not come within a hundred years."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The open intervals of some whole years (UTC), ascending, none touching the next."""

    low: datetime
    high: datetime
    first: int
    """The ordinal of the first date."""
    of_date: list[int]
    """By date (UTC) from the first on: the first interval that ends after its midnight."""
    starts: list[datetime]
    ends: list[datetime]
    """And at last one that no moment reaches."""
    before: list[timedelta]
    """Open time from `low` to the start of each interval, and at last to `high`."""

    def until(self, moment: datetime) -> tuple[timedelta, int]:
        """Open time in [low, moment), and the interval that the moment is in or before; it lies within the stretch."""
        index = self.of_date[moment.toordinal() - self.first]
        while self.ends[index] <= moment:
            index += 1
        start = self.starts[index]
        return (self.before[index] + (moment - start) if start < moment else self.before[index]), index


class OpenHours:
    """A Calendar by definition. Years are laid out when they are first asked for, and kept."""

    def __init__(self, definition: Definition, version: str = "") -> None:
        self.definition = definition
        self.version = version or version_of(definition)
        self._own = {day.date: day.spans for day in definition.days}
        self._stretch: Stretch | None = None

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """Open time in [start, end); negative where the end comes first."""
        if start.tzinfo is not UTC or end.tzinfo is not UTC:
            start, end = _utc(start), _utc(end)
        stretch = self._stretch
        if stretch is None or not (
            stretch.low <= start <= stretch.high and stretch.low <= end <= stretch.high
        ):
            start, end = max(start, BEGIN), max(end, BEGIN)
            stretch = self._laid_out(min(start, end).year, max(start, end).year)
        return stretch.until(end)[0] - stretch.until(start)[0]

    def after(self, start: datetime, duration: timedelta) -> datetime:
        """The earliest moment with so much open time since the start. Raises NeverOpen, and ValueError below zero."""
        if start.tzinfo is not UTC:
            start = _utc(start)
        if duration <= ZERO:
            if duration:
                raise ValueError("a duration below zero")
            return start
        stretch = self._stretch
        if stretch is None or not stretch.low <= start <= stretch.high:
            start = max(start, BEGIN)
            stretch = self._laid_out(start.year, start.year + 1)
        used, index = stretch.until(start)
        goal, before = used + duration, stretch.before
        if goal > before[-1]:
            return self._farther(start, duration)
        # Most targets are reached within the same or the next interval: a look there is cheaper than a search everywhere.
        index += 1
        if before[index] < goal:
            index += 1
            if before[index] < goal:
                index = bisect_left(before, goal, index)
        return stretch.ends[index - 1] - (before[index] - goal)

    def _farther(self, start: datetime, duration: timedelta) -> datetime:
        """`after`, with more years laid out."""
        years = 1
        while years <= FARTHEST:
            stretch = self._laid_out(start.year, start.year + years)
            if stretch.until(start)[0] + duration <= stretch.before[-1]:
                return self.after(start, duration)
            years *= 2
        raise NeverOpen(f"calendar {self.version} is not open for {duration} from {start} on")

    def _laid_out(self, first: int, last: int) -> Stretch:
        """A stretch with these years and all that are laid out already."""
        known = self._stretch
        if known is not None:
            first, last = min(first, known.low.year), max(last, known.high.year - 1)
        low, high = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
        found = _united(self._open(low, high))
        ends = [end for _, end in found]
        dates = (low + timedelta(days=number) for number in range((high - low).days + 1))
        lengths = (end - start for start, end in found)
        self._stretch = Stretch(
            low=low,
            high=high,
            first=low.toordinal(),
            of_date=[bisect_right(ends, midnight) for midnight in dates],
            starts=[*(start for start, _ in found), LAST],
            ends=[*ends, LAST],
            before=list(accumulate(lengths, initial=ZERO)),
        )
        return self._stretch

    def _open(self, low: datetime, high: datetime) -> Iterator[Interval]:
        """Open intervals within [low, high), offset by offset; one may touch the next."""
        wall = _united(sorted(self._on_the_wall(low, high)))
        offsets = self.definition.offsets
        for index, offset in enumerate(offsets):
            since = max(low, offset.since) if index else low
            until = min(high, offsets[index + 1].since) if index + 1 < len(offsets) else high
            ahead = timedelta(seconds=offset.seconds)
            # Times on the wall are written as if they were UTC, so that they are only shifted.
            first = bisect_right(wall, since + ahead, key=lambda interval: interval[1])
            for start, end in wall[first:]:
                if start >= until + ahead or since >= until:
                    break
                yield max(start - ahead, since), min(end - ahead, until)

    def _on_the_wall(self, low: datetime, high: datetime) -> Iterator[Interval]:
        """What the calendar says for each date, two days wider than asked: no zone is farther from UTC, no span longer."""
        midnight, last = low - timedelta(days=3), high + timedelta(days=2)
        while midnight <= last:
            for span in self._spans(midnight):
                yield midnight + timedelta(minutes=span.opens), midnight + timedelta(minutes=span.closes)
            midnight += timedelta(days=1)

    def _spans(self, midnight: datetime) -> tuple[Span, ...]:
        own = self._own.get(midnight.date())
        return self.definition.week[midnight.weekday()] if own is None else own


def _united(intervals: Iterator[Interval] | list[Interval]) -> list[Interval]:
    """Ascending intervals, where those that overlap or touch are one."""
    found: list[Interval] = []
    for start, end in intervals:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)
