"""This file says how much open time a calendar has, and refuses targets that it does not reach."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

import yaml

from libs.workspace.calendars import calendar
from libs.workspace.durations import format_duration, parse_duration
from libs.workspace.model import Calendar
from libs.workspace.public_holidays import YEARS, public_holidays
from libs.workspace.reading import Place, Reading, Unusable

TARGETS = ("first_response", "next_response", "resolution")


@cache
def open_time(calendar: Calendar) -> dict[int, timedelta]:
    """By year, the hours on the wall of all its days; what a change of the clock adds or takes is left out."""
    own = {day.date: day.spans for day in calendar.days}
    shut = set(calendar.closed)
    if calendar.holidays is not None:
        shut |= {holiday.date for holiday in public_holidays(calendar.holidays)}
    week = [sum(span.closes - span.opens for span in spans) for spans in calendar.week]
    minutes = dict.fromkeys(YEARS, 0)
    for year in YEARS:
        first, after = date(year, 1, 1), date(year + 1, 1, 1)
        for number in range((after - first).days):
            minutes[year] += week[(first.weekday() + number) % 7]
    for day in shut - own.keys():
        minutes[day.year] -= week[day.weekday()]
    for day, spans in own.items():
        minutes[day.year] += sum(span.closes - span.opens for span in spans) - week[day.weekday()]
    return {year: timedelta(minutes=found) for year, found in minutes.items()}


def least_of_two_years(calendar: Calendar) -> tuple[timedelta, int]:
    """The open time of the two years with the least, and the first of them."""
    by_year = open_time(calendar)
    return min((by_year[year] + by_year[year + 1], year) for year in YEARS[:-1])


def check_reach(reading: Reading, root: yaml.Node) -> None:
    """Report calendars that never open, and targets that the open time of two years does not reach.

    Reads the nodes again, silently: a mistake elsewhere must not hide these.
    """
    calendars: dict[str, Calendar] = {}
    for place, name in _members(Place(root, ""), "calendars"):
        try:
            found = Reading(reading.file).read(calendar(name), place)
        except Unusable:
            continue
        if any(open_time(found).values()):
            calendars[name] = found
        else:
            reading.report(place, "expected hours, or days with hours, at which it is open")
    for place, _ in _members(Place(root, ""), "sla_policies"):
        parts = {name: part for part, name in _parts(place)}
        named = parts.get("calendar")
        known = calendars.get(str(named.node.value)) if named else None
        if known is None:
            continue
        for target in TARGETS:
            if target in parts:
                _check_target(reading, parts[target], known)


def _check_target(reading: Reading, place: Place, calendar: Calendar) -> None:
    try:
        target = parse_duration(str(place.node.value))
    except ValueError:
        return
    least, year = least_of_two_years(calendar)
    if target > least:
        told = format_duration(least)
        reading.report(
            place,
            f"expected at most {told} of open time, all that {calendar.id} has in {year} and {year + 1}",
        )


def _members(root: Place, section: str) -> Iterator[tuple[Place, str]]:
    for place, name in _parts(root):
        if name == section:
            yield from _parts(place)


def _parts(place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(place.node, yaml.MappingNode):
        for key, node in place.node.value:
            if isinstance(key, yaml.ScalarNode):
                yield place.at(key.value, node), key.value
