"""This file models `timeline`: a contact's history, one entry per event. Keyed by contact."""

from typing import Any

from pydantic import Field

from libs.contracts.payloads.base import Author, Content, Payload, Time
from libs.contracts.vocabulary import EntryKind


class EntryRecorded(Payload):
    """One entry; ordered by (`occurred_at`, `entry_id`)."""

    type = "entry.recorded.v1"
    entry_id: str
    contact_id: str
    contact_point_id: str
    conversation_id: str | None = None
    kind: EntryKind
    event_type: str
    occurred_at: Time
    message_id: str | None = None
    author: Author | None = None
    content: Content | None = None
    text: str = ""
    """One line for people."""
    details: dict[str, Any] = Field(default_factory=dict)
