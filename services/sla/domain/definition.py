"""This file is all that a business calendar says, as values that can be kept: hours, exceptional days, the zone's clock.

Nothing in it is looked up anywhere later: public holidays stand as dates and the zone as its changes, so that a newer
release of either is another definition, and old clocks go on with the old one.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime

from libs.contracts.ids import digest

DAY = 24 * 60
"""Minutes of a day on the wall."""


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` until before `closes`, minutes after the midnight with which its day begins.

    One that goes on past the next midnight belongs to the day on which it opens: that day's being closed closes all of it,
    and the next day's being closed nothing of it.
    """

    opens: int
    """0 .. 1439"""
    closes: int
    """Above `opens` by at most a day."""


@dataclass(frozen=True, slots=True)
class Day:
    """A date with its own hours in place of the week's; none means closed."""

    date: date
    spans: tuple[Span, ...] = ()
    name: str = ""
    """Of a public holiday."""
    estimated: bool = False
    """The holiday follows a moon that nobody has seen yet: it may still move."""


@dataclass(frozen=True, slots=True)
class Offset:
    """From `since` on (UTC), clocks on the wall show UTC plus `seconds`."""

    since: datetime
    seconds: int


@dataclass(frozen=True, slots=True)
class Definition:
    """A calendar. Before the first offset's moment that offset holds too, and the last one holds for ever."""

    zone: str
    """For people; what counts is in `offsets`."""
    offsets: tuple[Offset, ...]
    """In order of their moments; one at least."""
    week: tuple[tuple[Span, ...], ...]
    """Monday first."""
    days: tuple[Day, ...] = ()
    """Each date once."""


def version_of(definition: Definition) -> str:
    """A digest of all that open time depends on; names and marks of holidays do not count."""
    content = {
        "zone": definition.zone,
        "offsets": [[offset.since.isoformat(), offset.seconds] for offset in definition.offsets],
        "week": [_told(spans) for spans in definition.week],
        "days": sorted([day.date.isoformat(), _told(day.spans)] for day in definition.days),
    }
    return "cal_" + digest(json.dumps(content), size=10)


def _told(spans: tuple[Span, ...]) -> list[list[int]]:
    return [[span.opens, span.closes] for span in spans]
