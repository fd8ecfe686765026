"""This file reads JSON that may hold anything: nothing here trusts a type, a length, a depth or a number."""

import json
import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from pydantic_core import from_json

from services.ingest.channels.adapter import Unparsable

MAX_DEPTH = 64
"""What is nested deeper stays as JSON text. Readers of the log refuse JSON deeper than 200; real bodies have 12 levels."""
MAX_WORD = 200
"""Ids and addresses become record keys, headers and indexed columns. The longest real one, a wamid, has about 100."""
MAX_SKEW = timedelta(days=1)
"""A provider's time further ahead than this is a mistake (milliseconds for seconds, as a rule)."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Postgres refuses NUL in text; half of a surrogate pair cannot be written as UTF-8."""


class Unreadable(Exception):
    """This item cannot be read; the text says why, for people. It is kept as unsupported."""


def json_of(body: bytes) -> Any:
    """The body as values that can be stored: see `storable`. Raises Unparsable."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        return storable(_lenient(body))
    # The fast parser lets no half surrogate pair through, so nearly every body needs no second look: what holds no NUL
    # and no more brackets than levels are allowed is as it should be.
    if b"\\u0000" not in body and body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return value
    return storable(value)


def _lenient(body: bytes) -> Any:
    """The slow way, for what the fast parser refuses: byte order mark, wrong UTF-8, half surrogate pairs."""
    try:
        return json.loads(body.decode("utf-8-sig", "replace"), parse_constant=_no_number)
    except RecursionError:
        raise Unparsable("nested too deep") from None
    except ValueError as fault:
        raise Unparsable(f"no JSON: {fault}"[:200]) from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


def storable(value: Any, depth: int = 0) -> Any:
    """The same value without what the log or the database cannot hold: NUL and half surrogate pairs become U+FFFD, what is
    nested too deep becomes its JSON text."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return _as_text(value)
        return {_UNSTORABLE.sub("\ufffd", k): storable(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        if depth >= MAX_DEPTH:
            return _as_text(value)
        return [storable(v, depth + 1) for v in value]
    return value


def _as_text(value: Any) -> str:
    try:
        return _UNSTORABLE.sub("\ufffd", json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "nested too deep"


def kind_of(value: object) -> str:
    """What JSON calls the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def object_of(value: object) -> dict[str, Any]:
    """The object, or an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """The list, or an empty one where it is something else."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """The text, or an empty one where it is something else."""
    return value if isinstance(value, str) else ""


def word_of(value: object) -> str | None:
    """An id: a string or whole number that is neither empty nor too long to be a key."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 63 else None
    if isinstance(value, str):
        word = value.strip()
        return word if 0 < len(word) <= MAX_WORD else None
    return None


def required(value: object, name: str) -> str:
    """The id under this name. Raises Unreadable."""
    word = word_of(value)
    if word is None:
        raise Unreadable(f"no {name}")
    return word


def name_of(value: object) -> str | None:
    """A name for people: cut where it is too long."""
    return value.strip()[:MAX_WORD] or None if isinstance(value, str) else None


def integer_of(value: object) -> int | None:
    """A whole number that fits 64 bits, written as a number or as digits."""
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    return None


def number_of(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def unix_time(value: object, received_at: datetime) -> datetime:
    """Unix seconds as a number or digits; the time of receipt where they are missing or cannot be right."""
    seconds = integer_of(value)
    if seconds is None or not 0 < seconds <= (received_at + MAX_SKEW).timestamp():
        return received_at
    return datetime.fromtimestamp(seconds, UTC)


def written_time(value: object, received_at: datetime) -> datetime:
    """RFC 3339 text with a zone, or unix seconds; the time of receipt where it is missing or cannot be right."""
    if not isinstance(value, str) or value.isdigit():
        return unix_time(value, received_at)
    try:
        at = datetime.fromisoformat(value).astimezone(UTC) if len(value) < 64 else received_at
    except (ValueError, OverflowError):
        return received_at
    has_zone = value[-1:] in "Zz" or re.search(r"[+-]\d\d:?\d\d$", value) is not None
    return at if has_zone and 0 < at.timestamp() <= (received_at + MAX_SKEW).timestamp() else received_at
