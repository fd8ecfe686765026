"""This file makes an entry fit what keeps it: a record of the broker has a largest size, and the database takes no NUL."""

from typing import Any

from libs.contracts.envelope import MAX_VALUE_BYTES, encode_value
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.timeline import EntryRecorded

ROOM = 20_000
"""Bytes below the largest record: an entry that fits is not cut because of what the contact's id adds later."""
KEPT_CHARACTERS = 100_000
"""Of a text that is too large; at most six bytes each on the wire."""


def fitted(entry: EntryRecorded) -> EntryRecorded:
    """The same entry, with what cannot be kept cut off and replaced; almost always just the entry."""
    raw = encode_value(entry)
    if b"\\u0000" in raw:
        entry = EntryRecorded.model_validate(_without_nul(entry.model_dump()))
    if len(raw) <= MAX_VALUE_BYTES - ROOM:
        return entry
    content = entry.content
    return entry.model_copy(
        update={
            "content": content and Content(kind=content.kind, text=content.text[:KEPT_CHARACTERS]),
            "details": {"cut_from_bytes": len(raw)},
        }
    )


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case dict():
            return {_without_nul(key): _without_nul(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nul(item) for item in value]
        case _:
            return value
