"""This file reads single values: text, ids, numbers, flags, words and references."""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

import yaml

from libs.contracts.vocabulary import Channel
from libs.workspace.durations import parse_duration
from libs.workspace.reading import NULL, Place, Read, Reading, Unusable, listed, meant

T = TypeVar("T")

CHANNELS = tuple(channel for channel in Channel if channel is not Channel.UNKNOWN)

_ID = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,8})", re.ASCII)
_BOOL, _INT, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


def text(_: Reading, place: Place) -> str:
    """Any scalar, as it is written: `NO` is Norway, not false."""
    return _scalar(place, "expected text").value.strip() or _never("expected text, not nothing")


def as_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("expected an id of 1 to 64 characters a-z, 0-9, _ and -")
    return value


def web_address(value: str) -> str:
    """An address that can be asked over HTTP. Raises ValueError."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("expected an http:// or https:// address")
    return value


def parsed(parse: Callable[[str], T]) -> Read[T]:
    """A scalar through a function that raises ValueError saying what was expected."""

    def read(reading: Reading, place: Place) -> T:
        try:
            return parse(text(reading, place))
        except ValueError as fault:
            raise Unusable(str(fault)) from None

    return read


def whole(low: int, high: int) -> Read[int]:
    expected = f"expected a whole number from {low} to {high}"

    def read(_: Reading, place: Place) -> int:
        node = _scalar(place, expected)
        if node.tag != _INT or not _WHOLE.fullmatch(node.value) or not low <= int(node.value) <= high:
            raise Unusable(expected)
        return int(node.value)

    return read


def between(low: float, high: float) -> Read[float]:
    """A number above `low` and below `high`."""
    expected = f"expected a number above {low:g} and below {high:g}"

    def read(_: Reading, place: Place) -> float:
        node = _scalar(place, expected)
        try:
            value = float(node.value) if node.tag in {_INT, _FLOAT} else low
        except ValueError:  # YAML knows numbers that Python does not, such as 1:30
            value = low
        if not low < value < high:
            raise Unusable(expected)
        return value

    return read


def duration(*, above_zero: bool = False) -> Read[timedelta]:
    def parse(value: str) -> timedelta:
        found = parse_duration(value)
        if above_zero and not found:
            raise ValueError("expected a duration above zero")
        return found

    return parsed(parse)


def known_channel(value: str) -> Channel:
    if value not in CHANNELS:
        raise ValueError(f"expected {listed(CHANNELS)}")
    return Channel(value)


def flag(_: Reading, place: Place) -> bool:
    node = _scalar(place, "expected true or false")
    if node.tag != _BOOL or node.value.lower() not in {"true", "false"}:
        raise Unusable("expected true or false")
    return str(node.value).lower() == "true"


def one_of(words: Iterable[str]) -> Read[str]:
    known = tuple(words)

    def read(reading: Reading, place: Place) -> str:
        value = text(reading, place)
        if value not in known:
            raise Unusable(f"expected {listed(known)}{meant(value, known)}")
        return value

    return read


def reference(section: str) -> Read[str]:
    """The id of something in another section; that it exists is checked at the end of the reading."""

    def read(reading: Reading, place: Place) -> str:
        value = text(reading, place)
        reading.references.append((place, section, value))
        return value

    return read


def _scalar(place: Place, expected: str) -> yaml.ScalarNode:
    if not isinstance(place.node, yaml.ScalarNode) or place.node.tag == NULL:
        raise Unusable(expected)
    return place.node


def _never(expected: str) -> str:
    raise Unusable(expected)
