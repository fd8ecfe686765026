"""This file is the feed's cursor: the next offset of every partition that the desk reads, as one short opaque text.

Its bytes are: a version byte, then for each topic in TOPICS and each partition a varint. It means the same to every desk process,
so a client may resume at any of them.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from functools import cache

from libs.contracts.topics import topic_map

TOPICS = ("conversations", "assignments", "sla", "agents")
"""What the desk reads; the order is part of the cursor's form."""
VERSION = 1
LARGEST = (1 << 63) - 1

Slot = tuple[str, int]
"""(topic, partition)"""


class NoCursor(ValueError):
    """The text is no cursor of this build."""


class Vector:
    """Next offsets by slot, with their encoded form kept up to date, since it goes out with every event."""

    __slots__ = ("_encoded", "_next", "_places")

    def __init__(self, next_offsets: Iterable[int] | None = None) -> None:
        self._places = _places()
        self._next = [0] * len(self._places) if next_offsets is None else list(next_offsets)
        self._encoded = [_varint(value) for value in self._next]

    def copy(self) -> "Vector":
        return Vector(self._next)

    def get(self, slot: Slot) -> int:
        return self._next[self._places[slot]]

    def move(self, slot: Slot, next_offset: int) -> None:
        """Never back."""
        place = self._places[slot]
        if next_offset > self._next[place]:
            self._next[place] = next_offset
            self._encoded[place] = _varint(next_offset)

    def covers(self, other: "Vector") -> bool:
        """True where everything that `other` has read has been read here, too."""
        return all(mine >= theirs for mine, theirs in zip(self._next, other._next, strict=True))

    def __str__(self) -> str:
        return urlsafe_b64encode(b"".join((bytes((VERSION,)), *self._encoded))).decode("ascii").rstrip("=")


def parse(text: str) -> Vector:
    """Raises NoCursor."""
    wanted = len(_places())
    if not text or len(text) > 2 * 10 * wanted:
        raise NoCursor("a cursor is a text that the feed gave out")
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise NoCursor("a cursor is URL-safe base64") from None
    if not raw or raw[0] != VERSION:
        raise NoCursor("the cursor has another version")
    values = list(_values(raw[1:]))
    if len(values) != wanted:
        raise NoCursor("the cursor has another number of partitions")
    return Vector(values)


@cache
def _places() -> dict[Slot, int]:
    partitions = topic_map().partitions
    return {(topic, i): t * partitions + i for t, topic in enumerate(TOPICS) for i in range(partitions)}


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _values(raw: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if value > LARGEST:
            raise NoCursor("an offset is too large")
        if not byte & 0x80:
            yield value
            value = shift = 0
    if shift:
        raise NoCursor("the cursor is cut short")
