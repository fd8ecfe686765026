"""This file proves that calendars are read as they are written, and that every mistake in them is told with its place, at once."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from libs.workspace import Holidays, OwnDay, Span, load
from libs.workspace.__main__ import estimated
from libs.workspace.hours import format_span, parse_days, parse_hours
from libs.workspace.public_holidays import public_holidays
from libs.workspace.reach import least_of_two_years, open_time
from tests.unit.test_workspace import EXAMPLE, KEY, SMALL, Write, problems_of

HEAD = len(SMALL.splitlines())
"""Lines before what a test adds."""

FULL = """\
calendars:
  kantor:
    zone: WIB
    hours:
      mon-thu: "08:00-12:00, 13:00-17:00"
      fri: 13:30-17:00, 08:00-11:30
      sat, sun: 22:00-06:00
    holidays: {country: ID, categories: [public, government]}
    closed: [2026-12-24]
    days: {2026-12-31: "08:00-12:00", 2026-12-30: 00:00-24:00}
sla_policies:
  emas: {first_response: 1h, calendar: kantor}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "workspace.yaml"
        path.write_text(text, "utf-8")
        return path

    return to_file


def test_a_calendar_is_read_as_it_is_written(write: Write) -> None:
    workspace = load(write(SMALL + FULL), KEY)
    kantor = workspace.calendars["kantor"]
    office, night = (Span(480, 720), Span(780, 1020)), (Span(1320, 1800),)
    assert kantor.week == (*[office] * 4, (Span(480, 690), Span(810, 1020)), night, night)
    assert (kantor.zone, kantor.closed) == ("Asia/Jakarta", (date(2026, 12, 24),))
    assert kantor.holidays == Holidays("ID", None, ("public", "government"))
    assert kantor.days == (
        OwnDay(date(2026, 12, 30), (Span(0, 1440),)),
        OwnDay(date(2026, 12, 31), (Span(480, 720),)),
    )
    assert workspace.sla_policies["emas"].calendar == "kantor"


def test_a_policy_without_a_calendar_counts_all_hours(write: Write) -> None:
    text = SMALL + "sla_policies:\n  emas: {first_response: 3650d}\n"
    assert load(write(text), KEY).sla_policies["emas"].calendar is None


@pytest.mark.parametrize(
    ("name", "zone"), [("WIB", "Jakarta"), ("WITA", "Makassar"), ("WIT", "Jayapura"), ("Asia/Tokyo", "Tokyo")]
)
def test_zones_have_their_indonesian_and_their_iana_names(name: str, zone: str, write: Write) -> None:
    text = SMALL + FULL.replace("zone: WIB", f"zone: {name}")
    assert load(write(text), KEY).calendars["kantor"].zone == f"Asia/{zone}"


def test_days_of_the_week_may_be_ranges_across_its_end_and_lists() -> None:
    assert parse_days("mon-fri") == (0, 1, 2, 3, 4)
    assert parse_days("sat-mon, thu") == (5, 6, 0, 3)
    assert parse_hours("22:00-00:00") == (Span(1320, 1440),)
    assert [format_span(span) for span in parse_hours("23:30-23:15, 00:00-23:00")] == [
        "00:00-23:00",
        "23:30-23:15",
    ]


def test_the_version_changes_with_a_calendar(write: Write) -> None:
    version = load(write(SMALL + FULL), KEY).version
    for old, new in (("17:00", "17:01"), ("12-24", "12-23"), ("WIB", "WIT"), ("12-30: 00", "12-30: 01")):
        assert load(write(SMALL + FULL.replace(old, new)), KEY).version != version


def test_every_mistake_in_calendars_is_told_at_once(write: Write) -> None:
    text = """\
calendars:
  kantor:
    zone: Asia/Jakart
    hours:
      mon-fri: "08:00-12:00, 11:30-17:00"
      fri: 09:00-10:00
      sat: 08:00-08:00, 25:00-26:00
    holidays: {country: XX}
    closed: [2026-02-30]
    days: {31.12.2026: "08:00-12:00"}
  malam:
    zone: WIB
    hours:
      mon-tue: 22:00-06:00
      wed: 05:00-12:00
  libur:
    zone: WITA
    holidays: {country: DE, subdivision: QQ}
  tutup:
    zone: WIT
  pagi:
    zone: Europe/Berlin
    hours: {mon: 08:00-10:00}
sla_policies:
  emas: {first_response: 1h, calendar: pagii}
  perak: {first_response: 207h, resolution: 250h, calendar: pagi}
  besi: {resolution: soon, calendar: kantor}
"""
    found = [problem.split(":", 1) for problem in problems_of(write(SMALL + text))]
    assert [f"{int(line) - HEAD}:{rest}" for line, rest in found] == [
        (
            "3:11 calendars.kantor.zone: 'Asia/Jakart' — expected WIB, WITA, WIT or an IANA zone such as "
            "Asia/Jakarta; did you mean Asia/Jakarta?"
        ),
        (
            "5:16 calendars.kantor.hours.mon-fri: '08:00-12:00, 11:30-17:00' — "
            "expected hours that do not overlap: 08:00-12:00 and 11:30-17:00"
        ),
        (
            "6:7 calendars.kantor.hours.fri: is given again — "
            "expected each day once; fri is already in calendars.kantor.hours.mon-fri"
        ),
        (
            "7:12 calendars.kantor.hours.sat: '08:00-08:00, 25:00-26:00' — expected hours of some length (all day is "
            "00:00-24:00), not '08:00-08:00'; expected times from 00:00 to 24:00, not '25:00-26:00'"
        ),
        (
            "8:25 calendars.kantor.holidays.country: 'XX' — "
            "expected a country as two capital letters (ISO 3166), such as ID"
        ),
        (
            "9:14 calendars.kantor.closed[0]: '2026-02-30' — "
            "expected a date such as 2026-12-24, of the years 2020 to 2049"
        ),
        (
            "10:12 calendars.kantor.days.31.12.2026: is no key here — "
            "expected a date such as 2026-12-24, of the years 2020 to 2049"
        ),
        (
            "15:12 calendars.malam.hours.wed: '05:00-12:00' — "
            "expected hours that do not overlap: 22:00-06:00 of tue goes on into 05:00-12:00 of wed"
        ),
        (
            "18:42 calendars.libur.holidays.subdivision: 'QQ' — "
            "expected one of BB, BE, BW, BY, HB, HE, HH, MV, NI, NW, RP, SH …"
        ),
        "20:5 calendars.tutup: a mapping — expected hours, or days with hours, at which it is open",
        (
            "25:40 sla_policies.emas.calendar: 'pagii' — expected an id from calendars; "
            "there is kantor, malam, libur, tutup or pagi; did you mean pagi?"
        ),
        (
            "26:45 sla_policies.perak.resolution: '250h' — "
            "expected at most 8d16h of open time, all that pagi has in 2020 and 2021"
        ),
        "27:22 sla_policies.besi.resolution: 'soon' — expected a duration such as 30s, 5m, 24h or 1h30m",
    ]


CHANGES = {
    "a Sunday night into Monday": ("sat, sun: 22:00-06:00", "sun: 22:00-08:30", "22:00-08:30 of sun goes on"),
    "a day that is closed and has hours": ("closed: [2026-12-24]", "closed: [2026-12-31]", "not closed too"),
    "a date too far": ("[2026-12-24]", "[2126-12-24]", "'2126-12-24' — expected a date"),
    "a date with a time": ("[2026-12-24]", "[2026-12-24 08:00]", "expected a date"),
    "no zone": ("    zone: WIB\n", "", "calendars.kantor.zone: is missing"),
    "a zone of this machine": ("zone: WIB", "zone: localtime", "'localtime' — expected WIB"),
    "a folder of zones": ("zone: WIB", "zone: Asia", "'Asia' — expected WIB"),
    "a zone outside": ("zone: WIB", "zone: ../Asia/Jakarta", "expected WIB"),
    "a day that is none": ("fri:", "jumat:", "hours.jumat: is no key here — expected days such as mon-fri"),
    "hours that are none": ("13:30-17:00, 08:00-11:30", "8-11", "not '8-11'"),
    "a minute that is none": ("13:30-17:00, 08:00-11:30", "08:60-11:00", "not '08:60-11:00'"),
    "no hours": ("13:30-17:00, 08:00-11:30", "", "hours.fri: nothing — expected text"),
    "a country in small letters": ("country: ID", "country: id", "'id' — expected a country"),
    "a province where none has lists": ("country: ID,", "country: ID, subdivision: JK,", "expected none"),
    "a category that is none": ("[public, government]", "[public, bank]", "categories[1]: 'bank' — expected"),
    "an unknown key": ("closed:", "shut:", "calendars.kantor.shut: is no known key"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_one_mistake_in_a_calendar_gives_one_problem(change: tuple[str, str, str], write: Write) -> None:
    old, new, expected = change
    assert FULL.count(old) == 1
    [problem] = problems_of(write(SMALL + FULL.replace(old, new)))
    assert expected in problem


def test_a_target_may_be_as_long_as_the_two_years_with_the_least_open_time(write: Write) -> None:
    kantor = load(write(SMALL + FULL), KEY).calendars["kantor"]
    least, _ = least_of_two_years(kantor)
    seconds = int(least / timedelta(seconds=1))
    load(write(SMALL + FULL.replace("first_response: 1h", f"first_response: {seconds}s")), KEY)
    [problem] = problems_of(
        write(SMALL + FULL.replace("first_response: 1h", f"first_response: {seconds + 1}s"))
    )
    assert "sla_policies.emas.first_response" in problem


def test_open_time_of_a_year_is_that_of_its_days(write: Write) -> None:
    calendar = load(write(SMALL + FULL), KEY).calendars["kantor"]
    assert calendar.holidays is not None
    shut = {holiday.date for holiday in public_holidays(calendar.holidays)} | set(calendar.closed)
    own = {day.date: day.spans for day in calendar.days}
    for year in (2024, 2026, 2027):
        days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
        spans = [
            span
            for day in days
            if day.year == year
            for span in own.get(day, () if day in shut else calendar.week[day.weekday()])
        ]
        minutes = sum(span.closes - span.opens for span in spans)
        assert open_time(calendar)[year] == timedelta(minutes=minutes)


def test_the_check_says_from_when_on_holidays_are_estimates(write: Write) -> None:
    [note] = estimated(load(EXAMPLE, secrets=False))
    assert "kantor: some holidays are estimates from 2027-03-10 on: Eid al-Fitr (estimated)" in note
    text = FULL.replace("{country: ID, categories: [public, government]}", "{country: US}")
    assert estimated(load(write(SMALL + text), KEY)) == []
