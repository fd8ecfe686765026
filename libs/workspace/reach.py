"""This file says how much open time a calendar has, and refuses targets that it does not reach."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

import yaml

from libs.workspace.calendars import calendar
from libs.workspace.durations import format_duration, parse_duration
from libs.workspace.model import Calendar, SlaPolicy
from libs.workspace.public_holidays import YEARS, public_holidays
from libs.workspace.reading import Place, Reading, Unusable

TARGETS = ("first_response", "next_response", "resolution", "time_to_assignment", "periodic_update")
"""The metrics that a policy may have a target for."""
DEFAULT = "default"
"""Stands, among targets by priority, for priorities below those named."""
PRIORITIES = re.compile(r"-?(?:0|[1-9][0-9]{0,5}|1000000)", re.ASCII)


def targets(policy: SlaPolicy) -> Iterator[tuple[str, int | None, timedelta]]:
    """(metric, priority from which on, target); None where the priority does not matter."""
    for metric in TARGETS:
        if (target := getattr(policy, metric)) is not None:
            yield metric, None, target
        for priority, target in policy.by_priority.get(metric, {}).items():
            yield metric, priority, target


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
                for written in _durations(parts[target]):
                    _check_target(reading, written, known)


def _durations(place: Place) -> Iterator[Place]:
    """Where a metric's targets stand: one for all priorities, or several."""
    if isinstance(place.node, yaml.MappingNode):
        yield from (part for part, _ in _parts(place))
    else:
        yield place


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
