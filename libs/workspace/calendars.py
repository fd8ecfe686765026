"""This file is the schema of a calendar: zone, weekly hours, holidays, closed days and days with hours of their own."""

from collections.abc import Mapping
from datetime import date

import yaml

from libs.workspace.hours import DAY, DAYS, format_span, parse_date, parse_days, parse_hours, parse_zone
from libs.workspace.model import Calendar, Holidays, OwnDay, Span
from libs.workspace.public_holidays import categories, parse_country, subdivisions
from libs.workspace.reading import (
    Field,
    Place,
    Read,
    Reading,
    Unusable,
    entries,
    listed,
    listing,
    mapping,
    meant,
    record,
)
from libs.workspace.scalars import parsed, text

Week = tuple[tuple[Span, ...], ...]

_CLOSED: Week = ((),) * 7


def calendar(id: str) -> Read[Calendar]:
    """One calendar of the section."""

    def read(reading: Reading, place: Place) -> Calendar:
        found = record(
            lambda hours=_CLOSED, **values: Calendar(id=id, week=hours, **values),
            {
                "zone": Field(parsed(parse_zone), required=True),
                "hours": Field(_week),
                "holidays": Field(_holidays),
                "closed": Field(listing(parsed(parse_date))),
                "days": Field(_days),
            },
        )(reading, place)
        _check_closed(reading, place, found)
        return found

    return read


def _week(reading: Reading, place: Place) -> Week:
    before = len(reading.problems)
    week: dict[int, tuple[Span, ...]] = {}
    written: dict[int, Place] = {}
    for name, (key, node) in entries(reading, place).items():
        here = place.at(name, node)
        try:
            days = parse_days(name)
        except ValueError as fault:
            reading.report_key(place, key, "is no key here", str(fault))
            days = ()
        for day in days:
            if day in written:
                told = f"expected each day once; {DAYS[day]} is already in {written[day].path}"
                reading.report_key(place, key, "is given again", told)
                break
        else:
            written |= dict.fromkeys(days, here)
        try:
            week |= dict.fromkeys(days, reading.read(parsed(parse_hours), here))
        except Unusable:
            continue
    if len(reading.problems) == before:
        _check_nights(reading, week, written)
    if len(reading.problems) > before:
        raise Unusable
    return tuple(week.get(day, ()) for day in range(7))


def _check_nights(
    reading: Reading, week: Mapping[int, tuple[Span, ...]], written: Mapping[int, Place]
) -> None:
    """Hours that go on past midnight must end before those of the next day begin."""
    told: set[tuple[str, str]] = set()
    for day, spans in week.items():
        after = (day + 1) % 7
        for span in spans:
            for other in week.get(after, ()):
                places = (written[day].path, written[after].path)
                if other.opens < span.closes - DAY and places not in told:
                    told.add(places)
                    reading.report(
                        written[after],
                        f"expected hours that do not overlap: {format_span(span)} of {DAYS[day]} goes on into "
                        f"{format_span(other)} of {DAYS[after]}",
                    )


def _holidays(reading: Reading, place: Place) -> Holidays:
    found = record(
        Holidays,
        {
            "country": Field(parsed(parse_country), required=True),
            "subdivision": Field(text),
            "categories": Field(listing(text)),
        },
    )(reading, place)
    before, keys = len(reading.problems), entries(reading, place)
    if found.subdivision is not None:
        known = subdivisions(found.country)
        if found.subdivision not in known:
            there = f"one of {listed(known)}" if known else f"none, since {found.country} has no such lists"
            near = meant(found.subdivision, known)
            reading.report(place.at("subdivision", keys["subdivision"][1]), f"expected {there}{near}")
    known = categories(found.country)
    for number, category in enumerate(found.categories if "categories" in keys else ()):
        if category not in known:
            node = keys["categories"][1].value[number]
            told = f"expected {listed(known)}{meant(category, known)}"
            reading.report(Place(node, f"{place.path}.categories[{number}]"), told)
    if len(reading.problems) > before:
        raise Unusable
    return found


def _days(reading: Reading, place: Place) -> tuple[OwnDay, ...]:
    found: dict[date, tuple[Span, ...]] = mapping(parse_date, lambda _: parsed(parse_hours))(reading, place)
    return tuple(OwnDay(day, spans) for day, spans in sorted(found.items()))


def _check_closed(reading: Reading, place: Place, found: Calendar) -> None:
    both = {day.date for day in found.days} & set(found.closed)
    if not both:
        return
    days = entries(reading, place)["days"][1]
    assert isinstance(days, yaml.MappingNode)
    for key, _ in days.value:
        if parse_date(key.value.strip()) in both:
            reading.report_key(
                place.at("days", days), key, "is given again", "expected a date that is not closed too"
            )
    raise Unusable
