"""This file tells a clock in words: the arithmetic of its deadline, and what happened to it, for whoever asks why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from services.sla.domain.clock import WHOLE, State
from services.sla.domain.standing import Standing

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Hours:
    """How a calendar is called, and the zone (IANA) whose time of day is told."""

    name: str | None = None
    """None means that all hours count."""
    zone: str = "UTC"

    def __str__(self) -> str:
        return (
            f"around the clock ({self.zone})" if self.name is None else f"of {self.name} hours ({self.zone})"
        )


@dataclass(frozen=True, slots=True)
class Told:
    at: datetime
    words: str


def arithmetic(standing: Standing, target: timedelta, hours: Hours) -> str:
    """Such as `120 min of kantor hours (Asia/Jakarta) from 16:40 Fri 20 Nov: due 10:40 Mon 23 Nov`."""
    zone = ZoneInfo(hours.zone)
    parts = [f"{amount(target)} {hours} from {moment(standing.started_at, zone)}"]
    past = sum(1 for pause in standing.pauses if pause.end is not None)
    if past:
        parts.append("without the pause" if past == 1 else f"without {past} pauses")
    if standing.changes:
        parts.append(f"on these terms since {moment(standing.changes[-1], zone)}")
    hypothetical = " if it went on at once" if standing.state is State.PAUSED else ""
    return f"{', '.join(parts)}: due {moment(standing.due_at, zone)}{hypothetical}"


def history(standing: Standing, warn_at: tuple[float, ...], hours: Hours) -> list[Told]:
    """What happened, in order of time; warnings and steps as far as they are known one by one."""
    zone = ZoneInfo(hours.zone)
    return sorted(_happened(standing, warn_at, zone), key=lambda told: told.at)


def _happened(standing: Standing, warn_at: tuple[float, ...], zone: ZoneInfo) -> Iterator[Told]:
    yield Told(standing.started_at, "started")
    for pause in standing.pauses:
        yield Told(pause.start, f"paused ({pause.reason})")
        if pause.end is not None and pause.end != standing.ended_at:
            yield Told(pause.end, "went on")
    for at in standing.changes:
        yield Told(at, "new terms")
    for mark in standing.marks:
        if mark.share != WHOLE:
            kind = "warned" if mark.share in warn_at else "reached"
            yield Told(mark.at, f"{kind} at {mark.share:.0%} of the target")
    if standing.breached:
        yield Told(standing.due_at, "breached")
    if standing.ended_at is not None:
        late = (
            f", {amount(standing.ended_at - standing.due_at)} after its deadline" if standing.breached else ""
        )
        why = f" ({standing.reason})" if standing.reason else ""
        yield Told(standing.ended_at, f"{standing.state}{why}{late} at {moment(standing.ended_at, zone)}")


def amount(duration: timedelta) -> str:
    """Such as `45 s`, `120 min`, `16 h` or `16 h 30 min`; fractions of a second are dropped."""
    seconds = int(duration.total_seconds())
    if seconds % 60 and seconds < 600:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes <= 180:
        return f"{minutes} min"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if left else f"{hours} h"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Such as `16:40 Fri 20 Nov`, on the wall in the zone; with seconds where there are any."""
    there = at.astimezone(zone)
    clock = f"{there:%H:%M:%S}" if there.second else f"{there:%H:%M}"
    return f"{clock} {DAYS[there.weekday()]} {there.day} {MONTHS[there.month - 1]}"
