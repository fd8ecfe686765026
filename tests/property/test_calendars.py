"""This file proves open hours against a walker that goes minute by minute and asks the wall clock of the zone each time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.workspace import Calendar, Holidays, OwnDay, Span
from libs.workspace.public_holidays import public_holidays
from services.sla.calendars import defined, offsets
from services.sla.domain.hours import OpenHours

UNHURRIED = settings(deadline=None, max_examples=60)  # the machine is shared

DAY, MINUTE, TICK = 24 * 60, timedelta(minutes=1), timedelta(microseconds=1)
ZONES = [
    "Asia/Jakarta",
    "Asia/Makassar",
    "Asia/Jayapura",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # the south; its clocks change at midnight
    "Australia/Sydney",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Africa/Casablanca",  # four changes a year
    "Pacific/Chatham",  # UTC+12:45 and +13:45
    "America/St_Johns",
]

Piece = tuple[datetime, datetime, bool]


class Walker:
    """Knows a calendar only by asking of a moment whether it is open."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar, self.zone = calendar, ZoneInfo(calendar.zone)
        self.own = {day.date: day.spans for day in calendar.days}
        self.shut = set(calendar.closed)
        if calendar.holidays:
            self.shut |= {holiday.date for holiday in public_holidays(calendar.holidays)}
        self.spans = cache(self.spans_of)

    def spans_of(self, day: date) -> tuple[Span, ...]:
        if day in self.own:
            return self.own[day]
        return () if day in self.shut else self.calendar.week[day.weekday()]

    def open_at(self, moment: datetime) -> bool:
        wall = moment.astimezone(self.zone)
        minute, day = wall.hour * 60 + wall.minute, wall.date()
        return any(span.opens <= minute < span.closes for span in self.spans(day)) or any(
            minute + DAY < span.closes for span in self.spans(day - timedelta(days=1))
        )

    def pieces(self, start: datetime, end: datetime, step: timedelta = MINUTE) -> Iterator[Piece]:
        """[start, end) cut at whole minutes; within each the wall clock shows one minute only."""
        while start < end:
            after = min(start.replace(second=0, microsecond=0) + step, end)
            yield start, after, self.open_at(start)
            start = after

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        return sum((b - a for a, b, is_open in self.pieces(start, end) if is_open), timedelta(0))

    def after(self, start: datetime, duration: timedelta, end: datetime) -> datetime | None:
        """None where it is not before the end."""
        if not duration:
            return start
        for a, b, is_open in self.pieces(start, end):
            if is_open:
                if duration <= b - a:
                    return a + duration
                duration -= b - a
        return None


@st.composite
def spans(draw: st.DrawFn, step: int = 1) -> tuple[Span, ...]:
    """Of one day; the last may go on into the next day, and overlap with what that day says."""
    count = draw(st.integers(0, 3))
    edges = sorted(draw(st.sets(st.integers(0, DAY // step - 1), min_size=2 * count, max_size=2 * count)))
    found = [Span(a * step, b * step) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    into_the_night: bool = draw(st.booleans())
    if found and into_the_night:
        last = found.pop().opens
        found.append(Span(last, draw(st.integers(DAY // step, (last + DAY) // step)) * step))
    return tuple(found)


@st.composite
def calendars(draw: st.DrawFn, zone: str, around: date, step: int = 1) -> Calendar:
    """Anything that a workspace may say, with closed and own days near a date."""
    days = st.integers(-8, 8).map(lambda number: around + timedelta(days=number))
    own = draw(st.dictionaries(days, spans(step), max_size=3))
    closed = draw(st.sets(days, max_size=3))
    return Calendar(
        "any",
        zone,
        week=tuple(draw(spans(step)) for _ in range(7)),
        holidays=draw(st.sampled_from([None, None, Holidays("ID"), Holidays("DE", "BY")])),
        closed=tuple(closed - own.keys()),
        days=tuple(OwnDay(day, hours) for day, hours in own.items()),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Calendar, datetime, datetime]:
    """A calendar and a stretch of some days, every other one with a change of the clock in it."""
    zone = draw(st.sampled_from(ZONES))
    changes = [offset.since for offset in offsets(zone)[1:]]
    at_a_change: bool = draw(st.booleans())
    if changes and at_a_change:
        middle = draw(st.sampled_from(changes))
    else:
        middle = datetime(2020, 1, 10, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 29 * 365)))
    start = middle - timedelta(minutes=draw(st.integers(0, 4 * DAY)))
    start += draw(st.sampled_from([timedelta(0), TICK, timedelta(seconds=1), timedelta(seconds=59.999999)]))
    end = start + timedelta(
        minutes=draw(st.integers(0, 7 * DAY)), microseconds=draw(st.integers(0, 59_999_999))
    )
    return draw(calendars(zone, middle.date())), start, end


@UNHURRIED
@given(cases(), st.floats(0, 1))
def test_elapsed_times_and_deadlines_are_those_of_the_minute_walker(
    case: tuple[Calendar, datetime, datetime], share: float
) -> None:
    calendar, start, end = case
    hours, walker = OpenHours(defined(calendar)), Walker(calendar)
    total = walker.elapsed(start, end)
    assert hours.elapsed(start, end) == total
    for duration in (total * share, total, TICK if total else timedelta(0), total - TICK if total else total):
        assert hours.after(start, duration) == walker.after(start, duration, end)


@UNHURRIED
@given(cases(), st.integers(0, 10**13))
def test_elapsed_is_the_inverse_of_after_and_after_is_the_earliest_such_moment(
    case: tuple[Calendar, datetime, datetime], microseconds: int
) -> None:
    calendar, start, end = case
    hours, duration = OpenHours(defined(calendar)), timedelta(microseconds=microseconds)
    if any(calendar.week):
        due = hours.after(start, duration)
        assert hours.elapsed(start, due) == duration
        if duration:
            assert hours.elapsed(start, due - TICK) == duration - TICK
    assert hours.after(start, hours.elapsed(start, end)) <= end
    assert hours.elapsed(end, start) == -hours.elapsed(start, end)


@UNHURRIED
@given(cases(), st.floats(0, 1), st.sampled_from(ZONES))
def test_open_time_adds_up_and_the_zone_in_which_a_time_is_given_does_not_matter(
    case: tuple[Calendar, datetime, datetime], share: float, zone: str
) -> None:
    calendar, start, end = case
    hours, middle = OpenHours(defined(calendar)), start + (end - start) * share
    assert hours.elapsed(start, middle) + hours.elapsed(middle, end) == hours.elapsed(start, end)
    there = ZoneInfo(zone)
    assert hours.elapsed(start.astimezone(there), end.astimezone(there)) == hours.elapsed(start, end)
    used = hours.elapsed(start, end)
    assert hours.after(start.astimezone(there), used) == hours.after(start, used)


@UNHURRIED
@given(cases(), st.integers(2018, 2055))
@example((Calendar("c", "Europe/Berlin", ((Span(60, 240),),) * 7), datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)), 2019)  # fmt: skip
def test_what_was_asked_before_makes_no_difference(
    case: tuple[Calendar, datetime, datetime], year: int
) -> None:
    calendar, start, end = case
    asked, fresh = OpenHours(defined(calendar)), OpenHours(defined(calendar))
    asked.elapsed(datetime(year, 7, 1, tzinfo=UTC), datetime(year, 7, 2, tzinfo=UTC))
    assert asked.elapsed(start, end) == fresh.elapsed(start, end)
    used = fresh.elapsed(start, end)
    assert asked.after(start, used) == fresh.after(start, used)


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_four_years_is_that_of_a_walker(zone: str) -> None:
    """Hours on quarters of an hour, as every offset of these zones and years is."""
    week = (
        (Span(0, DAY),),
        (Span(60, 195), Span(1320, 1440 + 360)),
        (Span(480, 720), Span(780, 1020)),
        (),
        (Span(1380, 1440 + 135),),
        (Span(150, 165), Span(1425, 1440 + 1425)),
        (Span(150, 240),),
    )
    own = (OwnDay(date(2025, 3, 30), (Span(0, 150),)), OwnDay(date(2026, 12, 31), (Span(480, 720),)))
    calendar = Calendar("c", zone, week, Holidays("ID"), (date(2026, 4, 5),), own)
    hours, walker = OpenHours(defined(calendar)), Walker(calendar)
    first, used = datetime(2024, 1, 1, tzinfo=UTC), timedelta(0)
    start, step = first, timedelta(minutes=15)
    latest = first
    while start.year < 2028:
        if walker.open_at(start):
            used += step
            latest = start + step
        start += step
        if start.hour == start.minute == 0:
            assert hours.elapsed(first, start) == used
            assert hours.after(first, used) == latest
