"""This file reads how hours are written: days such as mon-fri, spans such as 08:00-12:00, dates, zones."""

import difflib
import re
import zoneinfo
from datetime import date
from itertools import pairwise

from libs.workspace.model import Span
from libs.workspace.public_holidays import YEARS

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
ZONES = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}
"""Indonesia's own names of its zones."""

_SPAN = re.compile(r"(\d\d):([0-5]\d)\s*-\s*(\d\d):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_days(text: str) -> tuple[int, ...]:
    """Days of the week from 0 (Monday): `sat`, `mon-fri`, `sat, sun`. Raises ValueError saying what was expected."""
    found: list[int] = []
    for part in text.split(","):
        names = [name.strip() for name in part.split("-")]
        if len(names) > 2 or any(name not in DAYS for name in names):
            raise ValueError("expected days such as mon-fri or sat, sun")
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        found += [(first + number) % 7 for number in range((last - first) % 7 + 1)]
    return tuple(found)


def parse_hours(text: str) -> tuple[Span, ...]:
    """Spans of one day, ascending: `08:00-12:00, 13:00-17:00`; an end before its start is on the next day.

    Raises ValueError naming everything that is wrong.
    """
    found, faults = [], []
    for part in text.split(","):
        try:
            found.append(_span(part.strip()))
        except ValueError as fault:
            faults.append(str(fault))
    found.sort(key=lambda span: span.opens)
    faults += [
        f"expected hours that do not overlap: {format_span(one)} and {format_span(other)}"
        for one, other in pairwise(found)
        if other.opens < one.closes
    ]
    if faults:
        raise ValueError("; ".join(dict.fromkeys(faults)))
    return tuple(found)


def _span(text: str) -> Span:
    parts = _SPAN.fullmatch(text)
    if parts is None:
        raise ValueError(f"expected hours such as 08:00-17:00 or 22:00-06:00, not {text!r}")
    h, m, until_h, until_m = map(int, parts.groups())
    opens, closes = h * 60 + m, until_h * 60 + until_m
    if opens >= DAY or closes > DAY:
        raise ValueError(f"expected times from 00:00 to 24:00, not {text!r}")
    if opens == closes:
        raise ValueError(f"expected hours of some length (all day is 00:00-24:00), not {text!r}")
    return Span(opens, closes if closes > opens else closes + DAY)


def format_span(span: Span) -> str:
    return f"{_time(span.opens)}-{_time(span.closes)}"


def _time(minute: int) -> str:
    if minute > DAY:
        minute -= DAY
    return f"{minute // 60:02}:{minute % 60:02}"


def parse_date(text: str) -> date:
    """Raises ValueError saying what was expected."""
    try:
        found = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or found.year not in YEARS:
        raise ValueError(f"expected a date such as 2026-12-24, of the years {YEARS[0]} to {YEARS[-1]}")
    return found


def parse_zone(text: str) -> str:
    """An IANA zone's name, also from WIB, WITA and WIT. Raises ValueError saying what was expected."""
    name = ZONES.get(text, text)
    try:
        # Those in small letters (localtime) are of one machine or no zones.
        known = name[:1].isupper() and name != "Factory" and bool(zoneinfo.ZoneInfo(name))
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        known = False
    if not known:
        near = difflib.get_close_matches(text, [*ZONES, *zoneinfo.available_timezones()], n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"expected WIB, WITA, WIT or an IANA zone such as Asia/Jakarta{meant}")
    return name
