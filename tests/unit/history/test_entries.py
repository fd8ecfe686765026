"""This file proves that each event makes one entry that reads well, fits, and keeps what matters."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from libs.contracts import ids
from libs.contracts.envelope import MAX_VALUE_BYTES, Envelope, Event, decode_payload, encode_value
from libs.contracts.payloads.base import Content
from libs.contracts.topics import topic_map
from libs.contracts.vocabulary import ContentKind, EntryKind
from services.history.describing import LINE, line
from services.history.flow import flow
from services.history.handlers import entry_of

EXAMPLES = Path("libs/contracts/examples")
READ = [name for topic in flow().reads for name in topic_map()[topic].types]


def example(name: str, **changed: Any) -> Event[Any]:
    raw = json.loads((EXAMPLES / f"{name}.json").read_text())
    payload = decode_payload(name, json.dumps(raw["data"] | changed).encode())
    envelope = Envelope(**raw["envelope"] | {"time": datetime.fromisoformat(raw["envelope"]["time"])})
    return Event(envelope, payload, envelope.subject)


def test_every_type_of_the_topics_it_reads_is_handled() -> None:
    handled = {model.type for models in flow().reads.values() for model in models}
    assert handled == set(READ)


@pytest.mark.parametrize("name", READ)
def test_every_event_has_an_entry_with_a_line_for_people(name: str) -> None:
    event = example(name)
    entry = entry_of(event, "con_x")
    assert entry.entry_id == ids.entry_id(event.envelope.source, event.envelope.id)
    assert entry.event_type == name
    assert entry.occurred_at == event.data.occurred_at
    assert 0 < len(entry.text) <= LINE
    assert "\n" not in entry.text
    assert entry.kind is not EntryKind.UNKNOWN
    assert entry == entry_of(event, "con_x")


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("message.received.v1", EntryKind.MESSAGE, None),
        ("message.queued.v1", EntryKind.MESSAGE, None),
        ("message.status_changed.v1", EntryKind.STATUS, None),
        ("message.edited.v1", EntryKind.STATUS, "Message edited"),
        ("note.added.v1", EntryKind.NOTE, None),
        ("conversation.opened.v1", EntryKind.CONVERSATION, "Conversation opened in support"),
        ("command.refused.v1", EntryKind.CONVERSATION, None),
        ("contact.resolved.v1", EntryKind.IDENTITY, None),
        ("work.assigned.v1", EntryKind.ASSIGNMENT, "Assigned to agt_ayu by forced-by"),
        (
            "work.idled.v1",
            EntryKind.ASSIGNMENT,
            "Silent since 2026-03-02 07:50 UTC: takes no capacity of agt_ayu",
        ),
        ("work.woken.v1", EntryKind.ASSIGNMENT, "Goes on with agt_ayu"),
        ("reservation.expired.v1", EntryKind.ASSIGNMENT, "Reservation expired: agt_ayu"),
        ("clock.breached.v1", EntryKind.SLA, "First response breached"),
        ("clock.warned.v1", EntryKind.SLA, "First response: 80% of the time is used up"),
        ("contact_point.linked.v1", EntryKind.IDENTITY, None),
    ],
)
def test_an_entry_says_in_words_what_happened(name: str, kind: EntryKind, text: str | None) -> None:
    entry = entry_of(example(name), "con_x")
    assert entry.kind is kind
    if text is not None:
        assert entry.text == text


def test_a_message_keeps_its_author_and_content_and_says_nothing_twice() -> None:
    event = example("message.received.v1")
    entry = entry_of(event, "con_x")
    assert (entry.author, entry.content, entry.message_id) == (
        event.data.author,
        event.data.content,
        event.data.message_id,
    )
    assert {"content", "author", "message_id", "contact_id", "occurred_at"} & set(entry.details) == set()
    assert entry.details["version"] == event.data.version


def test_a_note_keeps_its_whole_text() -> None:
    entry = entry_of(example("note.added.v1", text="first line\n" + "x" * 5000), "con_x")
    assert entry.content is not None
    assert len(entry.content.text) == 5011
    assert "text" not in entry.details
    assert entry.text.startswith("first line xxx")
    assert entry.text.endswith("…")


def test_of_a_decision_the_number_of_candidates_is_kept_and_not_the_candidates() -> None:
    entry = entry_of(example("work.assigned.v1"), "con_x")
    assert entry.details["explanation"]["considered"] == 1
    assert "candidates" not in entry.details["explanation"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a  b\n\tc", "a b c"), ("", ""), ("é" * 300, "é" * (LINE - 1) + "…"), (" " * 5000 + "x", "")],
)
def test_a_line_is_one_line_of_bounded_length(text: str, kept: str) -> None:
    assert line(text) == kept


def test_an_entry_that_a_record_cannot_hold_is_cut_and_says_so() -> None:
    content = {"kind": "text", "text": "\x01" * 149_900, "details": {"a": "b"}}
    event = example("message.received.v1", content=content)
    assert len(encode_value(event.data)) < MAX_VALUE_BYTES
    entry = entry_of(event, "con_x")
    assert entry.content is not None
    assert entry.content.text == "\x01" * 100_000
    assert entry.details["cut_from_bytes"] > MAX_VALUE_BYTES - 20_000
    assert len(encode_value(entry)) < MAX_VALUE_BYTES


def test_an_entry_that_fits_is_not_touched() -> None:
    event = example("message.received.v1", content={"kind": "text", "text": "x" * 800_000})
    entry = entry_of(event, "con_x")
    assert entry.content == event.data.content


def test_what_the_database_cannot_hold_is_replaced() -> None:
    event = example("message.received.v1")
    said = Content(kind=ContentKind.TEXT, text="a\0b\\u0000", details={"k\0": ["\0", 1, None]})
    data = event.data.model_copy(update={"content": said, "reply_to": "\0"})
    entry = entry_of(replace(event, data=data), "con_x")
    assert entry.content is not None
    assert entry.content.text == "a\ufffdb\\u0000"
    assert entry.content.details == {"k\ufffd": ["\ufffd", 1, None]}
    assert entry.details["reply_to"] == "\ufffd"
    assert entry.text == "a\ufffdb\\u0000"
    assert b"\\u0000" not in encode_value(entry).replace(b"\\\\u0000", b"")
