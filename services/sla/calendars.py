"""This file makes calendars of what the workspace says now and of what clocks have pinned before."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from libs.workspace import Calendar, Workspace
from libs.workspace.public_holidays import YEARS, public_holidays
from services.sla.domain.calendar import ALWAYS_OPEN, Calendars
from services.sla.domain.calendar import Calendar as Counts
from services.sla.domain.definition import Day, Definition, Offset, Span, version_of
from services.sla.domain.hours import OpenHours


class KnownCalendars:
    """The calendars of the workspace, and every version that was learned. One object serves all lanes of a flow:
    a version says the same for ever, so whoever learns it may share it."""

    def __init__(self, workspace: Workspace) -> None:
        self._versions: dict[str, str] = {}
        self._definitions: dict[str, Definition] = {}
        self._calendars: dict[str, Counts] = {ALWAYS_OPEN.version: ALWAYS_OPEN}
        for calendar in workspace.calendars.values():
            definition = defined(calendar)
            version = self._versions[calendar.id] = version_of(definition)
            self.learn(version, definition)

    @property
    def calendars(self) -> Calendars:
        """By version."""
        return self._calendars

    def current(self, calendar_id: str | None) -> str:
        """The version of a calendar of the workspace; None means all hours. Raises KeyError where there is none."""
        return ALWAYS_OPEN.version if calendar_id is None else self._versions[calendar_id]

    def definition(self, version: str) -> Definition | None:
        """None for all hours, which need none. Raises KeyError where the version is not known."""
        return None if version == ALWAYS_OPEN.version else self._definitions[version]

    def learn(self, version: str, definition: Definition) -> None:
        if version not in self._calendars:
            self._definitions[version] = definition
            self._calendars[version] = OpenHours(definition, version)


def defined(calendar: Calendar) -> Definition:
    """The whole of a calendar: holidays resolved by the installed package, the zone by the installed time zone data."""
    days = {day: Day(day) for day in calendar.closed}
    if calendar.holidays is not None:
        for holiday in public_holidays(calendar.holidays):
            days[holiday.date] = Day(holiday.date, (), holiday.name, holiday.estimated)
    for own in calendar.days:
        days[own.date] = Day(own.date, tuple(Span(span.opens, span.closes) for span in own.spans))
    return Definition(
        zone=calendar.zone,
        offsets=offsets(calendar.zone),
        week=tuple(tuple(Span(span.opens, span.closes) for span in spans) for spans in calendar.week),
        days=tuple(days[day] for day in sorted(days)),
    )


@cache
def offsets(name: str) -> tuple[Offset, ...]:
    """A zone's changes in the years of which calendars know holidays, to the second.

    Found by looking at each midnight and halving the days between which the offset differs; no zone changes its offset and
    takes the change back within a day.
    """
    zone = ZoneInfo(name)

    def ahead(moment: datetime) -> int:
        return round((moment.astimezone(zone).utcoffset() or timedelta(0)).total_seconds())

    day = datetime(YEARS[0], 1, 1, tzinfo=UTC)
    found = [Offset(day, ahead(day))]
    while day.year <= YEARS[-1]:
        after = day + timedelta(days=1)
        if ahead(after) != found[-1].seconds:
            before, since = day, after
            while since - before > timedelta(seconds=1):
                middle = before + timedelta(seconds=(since - before) // timedelta(seconds=2))
                if ahead(middle) == found[-1].seconds:
                    before = middle
                else:
                    since = middle
            found.append(Offset(since, ahead(since)))
        day = after
    return tuple(found)
