"""This file reads what providers' answers have in common: JSON that may not be JSON, and waits that may be dates."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

LONGEST_TEXT = 300
"""Of a provider's words; the rest is of no use to an agent."""


def json_object(body: bytes) -> dict[str, Any]:
    """The body as an object; empty where it is anything else, however deep or malformed."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def member(value: Any, name: str) -> dict[str, Any]:
    """An object's object; empty where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def words(*texts: Any) -> str:
    """The first of these that is a text, cut to LONGEST_TEXT."""
    return next((text[:LONGEST_TEXT] for text in texts if isinstance(text, str) and text), "")


def seconds(value: Any) -> timedelta | None:
    """A number of seconds as a wait of at most a day; None for anything else, e.g. the date form of Retry-After."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return timedelta(seconds=min(number, 86_400)) if number >= 0 else None


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    return seconds(headers.get("retry-after"))
