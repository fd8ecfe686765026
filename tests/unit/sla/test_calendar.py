"""This file proves the rules of business calendars, one test a rule."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from libs.contracts.vocabulary import Metric
from libs.workspace import Calendar, Holidays, OwnDay, SlaPolicy, Span, Workspace
from libs.workspace.public_holidays import public_holidays
from services.sla.calendars import KnownCalendars, defined, offsets
from services.sla.domain.calendar import ALWAYS_OPEN, Calendars
from services.sla.domain.clock import Clock, Pause, State
from services.sla.domain.definition import Day, Definition, version_of
from services.sla.domain.hours import NeverOpen, OpenHours

HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)
JAKARTA = "Asia/Jakarta"
NINE_TO_FIVE = (Span(9 * 60, 17 * 60),)
NIGHT = (Span(22 * 60, 30 * 60),)
OFFICE = Calendar("kantor", JAKARTA, (NINE_TO_FIVE,) * 5 + ((), ()))


def opened(calendar: Calendar) -> OpenHours:
    return OpenHours(defined(calendar))


def at(text: str, zone: str = JAKARTA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def every_day(spans: tuple[Span, ...], zone: str = JAKARTA, **more: object) -> OpenHours:
    return opened(Calendar("c", zone, (spans,) * 7, **more))  # type: ignore[arg-type]


def test_two_hours_of_office_time_from_friday_evening_are_due_on_monday_morning() -> None:
    assert opened(OFFICE).after(at("2026-03-06 16:40"), 2 * HOUR) == at("2026-03-09 10:40")


def test_results_are_in_utc_to_the_microsecond() -> None:
    due = opened(OFFICE).after(at("2026-03-06 16:40") + TICK, 2 * HOUR)
    assert due == at("2026-03-09 10:40") + TICK
    assert due.tzinfo is UTC


def test_a_start_in_closed_time_counts_from_the_next_opening() -> None:
    assert opened(OFFICE).after(at("2026-03-07 12:00"), HOUR) == at("2026-03-09 10:00")


def test_no_time_at_all_is_over_at_once_also_while_closed() -> None:
    assert opened(OFFICE).after(at("2026-03-07 12:00"), timedelta(0)) == at("2026-03-07 12:00")


def test_what_is_used_up_when_hours_close_is_due_then_and_not_at_the_next_opening() -> None:
    assert opened(OFFICE).after(at("2026-03-06 16:00"), HOUR) == at("2026-03-06 17:00")


def test_time_does_not_count_over_lunch() -> None:
    hours = every_day((Span(480, 720), Span(780, 1020)))
    assert hours.after(at("2026-03-06 11:30"), HOUR) == at("2026-03-06 13:30")
    assert hours.elapsed(at("2026-03-06 11:30"), at("2026-03-06 13:30")) == HOUR


def test_hours_that_touch_are_one() -> None:
    assert every_day((Span(480, 720), Span(720, 1020))).after(at("2026-03-06 11:30"), HOUR) == at(
        "2026-03-06 12:30"
    )


def test_the_three_zones_of_indonesia_are_an_hour_apart() -> None:
    nine = [
        every_day(NINE_TO_FIVE, zone).after(at("2026-03-06 00:00"), HOUR)
        for zone in ("Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura")
    ]
    assert [moment.hour for moment in nine] == [3, 2, 1]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 2),
        ("Europe/Berlin", "2026-10-25", 4),
        ("Australia/Sydney", "2026-10-04", 2),
        ("Australia/Sydney", "2026-04-05", 4),
        ("Australia/Lord_Howe", "2026-10-04", 2.5),
        ("Australia/Lord_Howe", "2026-04-05", 3.5),
        ("Europe/Berlin", "2026-03-30", 3),
    ],
)
def test_a_night_in_which_the_clock_changes_is_shorter_or_longer(zone: str, day: str, hours: float) -> None:
    shift = every_day((Span(60, 240),), zone)
    assert shift.elapsed(at(f"{day} 00:00", zone), at(f"{day} 12:00", zone)) == hours * HOUR


def test_hours_that_the_change_leaves_out_do_not_come_that_day() -> None:
    shift = every_day((Span(120, 180),), "Europe/Berlin")
    assert shift.after(at("2026-03-28 02:30", "Europe/Berlin"), HOUR) == at(
        "2026-03-30 02:30", "Europe/Berlin"
    )


def test_hours_that_begin_in_what_the_change_leaves_out_begin_after_it() -> None:
    shift = every_day((Span(150, 240),), "Europe/Berlin")
    midnight = at("2026-03-29 00:00", "Europe/Berlin")
    assert shift.after(midnight, TICK) == at("2026-03-29 03:00", "Europe/Berlin") + TICK
    assert shift.elapsed(midnight, midnight + 12 * HOUR) == HOUR


def test_hours_that_the_change_repeats_come_twice() -> None:
    shift = every_day((Span(120, 150),), "Europe/Berlin")
    midnight = at("2026-10-25 00:00", "Europe/Berlin")
    assert shift.elapsed(midnight, midnight + 12 * HOUR) == HOUR
    assert shift.after(midnight, 0.75 * HOUR) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Sydney", "America/Santiago", JAKARTA])
@pytest.mark.parametrize("opens", range(0, 24 * 60, 90))
def test_half_an_hour_a_day_comes_once_a_day_around_changes_and_new_years(zone: str, opens: int) -> None:
    """Except where the change leaves it out or repeats it."""
    hours = every_day((Span(opens, opens + 30),), zone)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    days = [
        hours.elapsed(noon + timedelta(days=n), noon + timedelta(days=n + 1)) / HOUR for n in range(2 * 365)
    ]
    assert days.count(0.5) >= 2 * 365 - 8
    assert set(days) <= {0, 0.5, 1}
    starts = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    assert all(hours.after(start, 0.5 * HOUR) <= start + timedelta(days=1) for start in starts)


def test_a_night_shift_belongs_to_the_day_on_which_it_begins_also_across_a_holiday() -> None:
    """Nyepi, Thursday 19 March 2026: the night before it goes on into it, its own night does not begin."""
    hours = every_day(NIGHT, holidays=Holidays("ID"))
    assert hours.after(at("2026-03-18 23:00"), 7 * HOUR) == at("2026-03-19 06:00")
    assert hours.after(at("2026-03-18 23:00"), 7 * HOUR + TICK) == at("2026-03-20 22:00") + TICK
    assert hours.elapsed(at("2026-03-19 06:00"), at("2026-03-20 22:00")) == timedelta(0)


def test_a_half_day_has_its_own_hours_also_on_a_holiday() -> None:
    christmas = (OwnDay(date(2026, 12, 25), (Span(480, 720),)), OwnDay(date(2026, 12, 31), (Span(480, 720),)))
    hours = every_day(NINE_TO_FIVE, holidays=Holidays("ID"), closed=(date(2026, 12, 24),), days=christmas)
    assert hours.after(at("2026-12-23 16:00"), 2 * HOUR) == at("2026-12-25 09:00")
    assert hours.elapsed(at("2026-12-31 00:00"), at("2027-01-01 00:00")) == 4 * HOUR
    assert hours.elapsed(at("2027-01-01 00:00"), at("2027-01-02 00:00")) == timedelta(0)


def test_indonesia_has_seventeen_public_holidays_in_2026() -> None:
    found = [holiday for holiday in public_holidays(Holidays("ID")) if holiday.date.year == 2026]
    assert len(found) == 17
    hours = every_day((Span(0, 1440),), holidays=Holidays("ID"))
    assert hours.elapsed(at("2026-01-01 00:00"), at("2027-01-01 00:00")) == timedelta(days=365 - 17)


def test_joint_holidays_are_closed_where_the_category_is_named() -> None:
    both = Holidays("ID", categories=("public", "government"))
    christmas_eve = at("2026-12-24 00:00"), at("2026-12-25 00:00")
    assert every_day(NINE_TO_FIVE, holidays=both).elapsed(*christmas_eve) == timedelta(0)
    assert every_day(NINE_TO_FIVE, holidays=Holidays("ID")).elapsed(*christmas_eve) == 8 * HOUR


def test_estimated_holidays_are_marked_as_such() -> None:
    days = {day.date: day for day in defined(Calendar("c", JAKARTA, holidays=Holidays("ID"))).days}
    assert days[date(2026, 3, 21)] == Day(date(2026, 3, 21), (), "Eid al-Fitr")
    assert days[date(2027, 3, 10)] == Day(date(2027, 3, 10), (), "Eid al-Fitr (estimated)", estimated=True)


def test_a_subdivision_has_its_own_holidays() -> None:
    epiphany = date(2026, 1, 6)
    assert epiphany in {holiday.date for holiday in public_holidays(Holidays("DE", "BY"))}
    assert epiphany not in {holiday.date for holiday in public_holidays(Holidays("DE"))}


def test_a_calendar_may_be_asked_of_any_year_in_any_order() -> None:
    hours = opened(OFFICE)
    for year in (2026, 2024, 2031, 2020, 2060):
        start, end = (datetime(year, 5, day, tzinfo=UTC) for day in (1, 29))
        assert hours.elapsed(start, end) == 20 * 8 * HOUR


def test_a_time_from_before_our_time_counts_from_the_year_2000_on() -> None:
    hours, nobody_knows = opened(OFFICE), datetime(1, 1, 1, tzinfo=UTC)
    year = datetime(2000, 12, 31, 12, tzinfo=UTC)
    used = hours.elapsed(nobody_knows, year)
    assert used == hours.elapsed(datetime(2000, 1, 1, tzinfo=UTC), year) == 260 * 8 * HOUR
    assert hours.after(nobody_knows, used) == at("2000-12-29 17:00")
    assert hours.elapsed(nobody_knows, datetime(1970, 1, 1, tzinfo=UTC)) == timedelta(0)


def test_a_calendar_that_never_opens_again_says_so_instead_of_searching_for_ever() -> None:
    once = opened(Calendar("c", JAKARTA, days=(OwnDay(date(2026, 3, 6), NINE_TO_FIVE),)))
    assert once.after(at("2024-01-01 00:00"), 8 * HOUR) == at("2026-03-06 17:00")
    with pytest.raises(NeverOpen, match="not open"):
        once.after(at("2024-01-01 00:00"), 8 * HOUR + TICK)


def test_a_duration_below_zero_and_a_time_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="below zero"):
        opened(OFFICE).after(at("2026-03-06 16:40"), -TICK)
    with pytest.raises(ValueError, match="without a zone"):
        opened(OFFICE).after(datetime(2026, 3, 6), HOUR)  # noqa: DTZ001


def test_a_version_changes_with_whatever_open_time_depends_on() -> None:
    def version(**more: object) -> str:
        return version_of(defined(Calendar(**{"id": "c", "zone": JAKARTA, "week": OFFICE.week} | more)))  # type: ignore[arg-type]

    versions = [
        version(),
        version(zone="Asia/Bangkok"),  # the same offset for all these years, and still another promise
        version(zone="Asia/Makassar"),
        version(week=(NINE_TO_FIVE,) * 7),
        version(holidays=Holidays("ID")),
        version(holidays=Holidays("ID", categories=("public", "government"))),
        version(closed=(date(2026, 12, 24),)),
        version(days=(OwnDay(date(2026, 12, 24), NINE_TO_FIVE),)),
    ]
    assert len(set(versions)) == len(versions)
    assert version(id="another") == version()


def test_a_newer_list_of_holidays_is_another_version_and_a_mark_that_goes_is_not() -> None:
    definition = defined(Calendar("c", JAKARTA, OFFICE.week, Holidays("ID")))
    moved = [Day(date(2027, 3, 9)) if day.date == date(2027, 3, 10) else day for day in definition.days]
    seen = [Day(day.date, day.spans, day.name.removesuffix(" (estimated)")) for day in definition.days]
    assert version_of(replaced(definition, moved)) != version_of(definition)
    assert version_of(replaced(definition, seen)) == version_of(definition)


def replaced(definition: Definition, days: list[Day]) -> Definition:
    return Definition(definition.zone, definition.offsets, definition.week, tuple(days))


def test_a_definition_read_back_from_json_is_the_same_calendar() -> None:
    kept = TypeAdapter(Definition)
    calendar = Calendar(
        "c", "Australia/Lord_Howe", (NIGHT,) * 7, Holidays("AU", "NSW"), days=(OwnDay(date(2026, 1, 2), ()),)
    )
    definition = defined(calendar)
    again = kept.validate_json(kept.dump_json(definition))
    assert again == definition
    assert version_of(again) == version_of(definition)


def test_the_changes_of_a_zone_are_found_to_the_second() -> None:
    assert [(offset.since.year, offset.seconds) for offset in offsets(JAKARTA)] == [(2020, 25_200)]
    in_2026 = [offset for offset in offsets("Europe/Berlin") if offset.since.year == 2026]
    assert [(offset.since, offset.seconds) for offset in in_2026] == [
        (datetime(2026, 3, 29, 1, tzinfo=UTC), 7200),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), 3600),
    ]


def test_a_workspaces_calendars_are_known_by_version_and_all_hours_always() -> None:
    policy = SlaPolicy("p", first_response=HOUR, calendar="kantor")
    known = KnownCalendars(Workspace("w", calendars={"kantor": OFFICE}, sla_policies={"p": policy}))
    version = known.current("kantor")
    assert known.definition(version) == defined(OFFICE)
    assert set(known.calendars) == {version, ALWAYS_OPEN.version}
    assert known.calendars[version].version == version
    assert (known.current(None), known.definition(ALWAYS_OPEN.version)) == (ALWAYS_OPEN.version, None)


# -- clocks that count by a calendar ------------------------------------------------------------------------------------

HOURS = opened(OFFICE)
KNOWN: Calendars = {HOURS.version: HOURS}
FRIDAY_FOUR = at("2026-03-06 16:00").astimezone(UTC)


def clock(target: timedelta) -> Clock:
    return Clock(
        Metric.FIRST_RESPONSE, 1, "q", "p", "v1", HOURS.version, target, (0.5,), started_at=FRIDAY_FOUR
    )


def test_warnings_and_deadline_are_shares_of_open_time() -> None:
    assert clock(4 * HOUR).moment(0.5, KNOWN) == at("2026-03-09 10:00")
    assert clock(4 * HOUR).due_at(KNOWN) == at("2026-03-09 12:00")


def test_an_answer_in_the_closed_hours_after_the_deadline_is_late() -> None:
    due = at("2026-03-06 17:00")
    for answered, late in ((due, False), (due + TICK, True), (at("2026-03-09 09:00"), True)):
        met = clock(HOUR).ended(answered, State.MET)
        assert met.due_at(KNOWN) == due
        assert met.crossed(1.0, at("2026-03-20 00:00"), KNOWN) is late


def test_an_answer_in_closed_hours_before_the_deadline_is_in_time() -> None:
    met = clock(HOUR + TICK).ended(at("2026-03-07 12:00"), State.MET)
    assert not met.crossed(1.0, at("2026-03-20 00:00"), KNOWN)


def test_a_pause_takes_away_only_the_open_hours_in_it() -> None:
    paused = clock(2 * HOUR).paused(at("2026-03-06 16:30"))
    assert paused.due_at(KNOWN) == at("2026-03-09 10:00")
    assert paused.resumed(at("2026-03-09 09:30")).due_at(KNOWN) == at("2026-03-09 11:00")
    over_the_weekend = clock(2 * HOUR).paused(at("2026-03-06 18:00")).resumed(at("2026-03-08 12:00"))
    assert over_the_weekend.due_at(KNOWN) == clock(2 * HOUR).due_at(KNOWN) == at("2026-03-09 10:00")


def test_a_pause_that_begins_in_the_closed_hours_after_the_deadline_does_not_move_it() -> None:
    late = clock(HOUR).paused(at("2026-03-06 20:00"))
    assert late.pauses == (Pause(at("2026-03-06 20:00")),)
    assert late.due_at(KNOWN) == at("2026-03-06 17:00")
    assert late.crossed(1.0, at("2026-03-06 20:00"), KNOWN)


def test_a_clock_whose_calendar_is_not_known_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(KeyError):
        clock(HOUR).due_at({ALWAYS_OPEN.version: ALWAYS_OPEN})
