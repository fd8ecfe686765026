"""This file packs outgoing records into one outbox value and back: length-prefixed, so any bytes fit."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

_LENGTH = struct.Struct(">I")


class Record(Protocol):
    """A Kafka record as consumers hand it out; `timestamp` is in milliseconds since 1970."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record that does not come from a consumer: replayed from the dead letters, or made by a test."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        return len(self.key) + len(self.value) + sum(len(n) + len(v) for n, v in self.headers)


def pack(records: Sequence[Outgoing]) -> bytes:
    """All records as one value."""
    pieces: list[bytes] = []
    length = _LENGTH.pack
    for r in records:
        pieces += (_packed(r.topic), _packed(r.partition), length(len(r.key)), r.key)
        pieces += (length(len(r.value)), r.value, _packed(len(r.headers)))
        for name, value in r.headers:
            pieces += (_packed(name), length(len(value)), value)
    return b"".join(pieces)


@lru_cache(maxsize=1024)
def _packed(part: str | int) -> bytes:
    """A part that comes again and again: a topic's or a header's name, a small number."""
    text = str(part).encode()
    return _LENGTH.pack(len(text)) + text


def unpack(packed: bytes) -> list[Outgoing]:
    """The records of `pack`, in their order."""
    parts: list[bytes] = []
    at = 0
    while at < len(packed):
        (length,) = _LENGTH.unpack_from(packed, at)
        parts.append(packed[at + 4 : at + 4 + length])
        at += 4 + length
    records: list[Outgoing] = []
    take = iter(parts)
    for topic in take:
        partition, key, value, count = int(next(take)), next(take), next(take), int(next(take))
        headers = [(next(take).decode(), next(take)) for _ in range(count)]
        records.append(Outgoing(topic.decode(), partition, key, value, headers))
    return records
