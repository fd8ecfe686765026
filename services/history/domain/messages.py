"""This file folds what became of a message (receipts, edits, reactions) into how it looks now; entries themselves never change."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

LATTICE = ("queued", "accepted", "sent", "failed", "delivered", "read")
"""Receipts in rising order, so that any order of arrival gives one result; failed gives way only to what proves arrival."""


class What(StrEnum):
    STATUS = "status"
    EDIT = "edit"
    REACTION = "reaction"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that became of a message. `version` is its place among the conversation's events."""

    what: What
    version: int
    status: str | None = None
    error: Any = None
    content: Any = None
    """Of an edit; None where the message was withdrawn."""
    emoji: str | None = None
    """Of a reaction; None where it was taken away."""


@dataclass(frozen=True, slots=True)
class MessageNow:
    status: str | None = None
    """None for a customer's message, which has no receipts."""
    error: Any = None
    content: Any = None
    edited: bool = False
    withdrawn: bool = False
    reaction: str | None = None


def message_now(status: str | None, content: Any, changes: Iterable[Change]) -> MessageNow:
    """The message after these changes, in whatever order they are given."""
    now = MessageNow(status=status, content=content)
    for change in sorted(changes, key=lambda c: c.version):
        match change.what:
            case What.STATUS:
                if _rank(change.status) > _rank(now.status):
                    now = replace(now, status=change.status, error=change.error)
            case What.EDIT:
                now = replace(now, content=change.content, edited=True, withdrawn=change.content is None)
            case What.REACTION:
                now = replace(now, reaction=change.emoji)
    return now


def _rank(status: str | None) -> int:
    return LATTICE.index(status) if status in LATTICE else -1
