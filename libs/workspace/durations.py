"""This file reads durations such as 30s, 5m, 24h and 1h30m."""

import re
from datetime import timedelta

LONGEST = timedelta(days=3650)
"""More is a typing error; it also keeps every deadline within what a timestamp can hold."""

_SHAPE = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Days, hours, minutes and seconds in that order, each at most once. Raises ValueError saying what was expected."""
    found = _SHAPE.fullmatch(text)
    if not text or found is None:
        raise ValueError("expected a duration such as 30s, 5m, 24h or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    # Bounded before the sum: timedelta itself raises OverflowError far out.
    if days > LONGEST.days:
        raise ValueError(f"expected a duration of at most {LONGEST.days}d")
    value = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if value > LONGEST:
        raise ValueError(f"expected a duration of at most {LONGEST.days}d")
    return value


def format_duration(value: timedelta) -> str:
    """The shortest text that parse_duration reads back; fractions of a second are dropped."""
    left = int(value.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
