"""This file proves that a recording holds nothing of what people said or how they are called."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.contracts.envelope import decode_payload
from libs.contracts.payloads.base import Author, Content, Media
from libs.contracts.payloads.conversations import MessageReceived
from libs.contracts.topics import topic_map
from libs.contracts.vocabulary import AuthorKind, ContentKind
from libs.flow.wire import Incoming
from libs.flow.wordless import without_words

EXAMPLES = Path("libs/contracts/examples")
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def silent(value: bytes) -> bytes:
    return without_words(Incoming("conversations", 0, 0, 0, b"k", value, ())).value or b""


@pytest.mark.parametrize("kind", topic_map().topics["conversations"].types)
def test_every_event_of_conversations_can_still_be_read_and_says_what_clocks_need(kind: str) -> None:
    body = json.loads((EXAMPLES / f"{kind}.json").read_text())["data"]
    found = decode_payload(kind, silent(json.dumps(body).encode())).model_dump(mode="json", exclude_none=True)
    for name in (
        "conversation_id",
        "contact_point_id",
        "version",
        "occurred_at",
        "queue",
        "tags",
        "priority",
    ):
        assert found.get(name) == body.get(name)


def test_words_names_and_files_are_gone_and_the_author_stays_known() -> None:
    message = MessageReceived(
        conversation_id="cnv_1",
        contact_point_id="cpt_1",
        contact_id="con_1",
        inbox_id="wa-main",
        version=1,
        occurred_at=AT,
        message_id="msg_1",
        provider_message_id="wamid.1",
        author=Author(kind=AuthorKind.CUSTOMER, name="Dewi Lestari"),
        content=Content(
            kind=ContentKind.IMAGE,
            text="rahasia",
            media=(Media(filename="ktp.jpg"),),
            details={"caption": "KTP saya"},
        ),
    )
    found = silent(message.model_dump_json().encode())
    assert not [word for word in (b"Dewi", b"rahasia", b"ktp", b"KTP") if word in found]
    read = MessageReceived.model_validate_json(found)
    assert (read.author, read.content) == (Author(kind=AuthorKind.CUSTOMER), Content(kind=ContentKind.IMAGE))


def test_what_is_no_event_loses_its_value() -> None:
    assert silent(b"Dewi wrote this") == silent(b'["Dewi"]') == b""
