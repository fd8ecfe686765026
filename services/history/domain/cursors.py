"""This file holds where a reader is on a timeline, as an opaque text: a place among entries, or a mark among recordings."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"([pm])(-?\d{1,20})\.([a-z0-9_]{0,80})", re.ASCII)


class BadCursor(ValueError):
    """Not a cursor that was given out here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Just at an entry, in the order for people: (occurred_at, entry_id)."""

    occurred_at: datetime
    entry_id: str

    def __str__(self) -> str:
        return _pack("p", (self.occurred_at - EPOCH) // timedelta(microseconds=1), self.entry_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        micros, entry_id = _unpack("p", text)
        try:
            return cls(EPOCH + timedelta(microseconds=micros), entry_id)
        except OverflowError:
            raise BadCursor from None


END = Place(datetime.max.replace(tzinfo=UTC), "")
"""Behind every entry."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Just at an entry, in the order of recording: (recorded_xid, entry_id). An empty id is before all of that transaction."""

    xid: int
    entry_id: str = ""

    def __str__(self) -> str:
        return _pack("m", self.xid, self.entry_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        xid, entry_id = _unpack("m", text)
        if not 0 <= xid < 1 << 63:
            raise BadCursor
        return cls(xid, entry_id)


def _pack(kind: str, number: int, entry_id: str) -> str:
    return urlsafe_b64encode(f"{kind}{number}.{entry_id}".encode()).decode().rstrip("=")


def _unpack(kind: str, text: str) -> tuple[int, str]:
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode("ascii")
    except (UnicodeError, binascii.Error):
        raise BadCursor from None
    found = _TEXT.fullmatch(raw)
    if found is None or found[1] != kind:
        raise BadCursor
    return int(found[2]), found[3]
