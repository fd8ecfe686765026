"""This file proves who a web chat visitor can be, and what their page can say."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest

from libs.contracts.payloads.inbound import Item, MessageIngested, ReceiptIngested, UnsupportedIngested
from libs.contracts.vocabulary import Channel, IdentifierKind
from libs.workspace import Inbox, Secret
from services.ingest.channels.adapter import BadSignature, RawRequest
from services.ingest.channels.webchat import WebChat
from services.ingest.channels.webchat_session import (
    ANONYMOUS_FOR,
    anonymous,
    identified,
    read_token,
    token_of,
)
from tests.unit.ingest.corpus import CREDENTIALS, NOW, inbox, parse

KEY = CREDENTIALS[Channel.WEBCHAT]["signing_key"]
HERE = inbox(Channel.WEBCHAT)
SOON = int(NOW.timestamp()) + 300
OWN = (IdentifierKind.CHANNEL_USER, "webchat:vis_1", True)


def identity(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "C-9", "exp": SOON} | claims, key, algorithm=algorithm)


def visitor_token(visitor: str = "vis_1", **claims: Any) -> str:
    return token_of(anonymous(visitor, claims, HERE, NOW), HERE)


def say(frame: dict[str, Any], token: str | None = None) -> Item:
    (item,) = parse(Channel.WEBCHAT, frame, authorization=f"Bearer {token or visitor_token()}")
    return item


def test_what_an_anonymous_visitor_says_of_themselves_is_not_verified() -> None:
    session = read_token(
        visitor_token(name="Sari", email="Sari@Example.com", phone="0812-3456-7890"), HERE, NOW
    )
    assert session.party.name == "Sari"
    assert not session.identified
    assert [(i.kind, i.value, i.verified) for i in session.party.identifiers] == [
        OWN,
        (IdentifierKind.EMAIL, "sari@example.com", False),
        (IdentifierKind.PHONE, "+6281234567890", False),
    ]


def test_what_the_owner_signed_is_verified() -> None:
    session = identified(identity(name="Sari", email="sari@example.com", phone="+6281234567890"), HERE, NOW)
    assert session.identified
    assert [(i.kind, i.verified) for i in session.party.identifiers] == [
        (IdentifierKind.CHANNEL_USER, True),
        (IdentifierKind.EXTERNAL, True),
        (IdentifierKind.EMAIL, True),
        (IdentifierKind.PHONE, True),
    ]


def test_a_customer_has_one_contact_point_on_every_device() -> None:
    first, second = (
        identified(identity(), HERE, NOW),
        identified(identity(name="S."), HERE, NOW + timedelta(minutes=1)),
    )
    assert first.visitor == second.visitor
    assert first.visitor != identified(identity(sub="C-10"), HERE, NOW).visitor


def unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "a.b.c",
        "x" * 100_000,
        identity(key="some other key that is 32 bytes long"),
        identity(key="k" * 64, algorithm="HS512"),
        identity(key=KEY + "." * 32, algorithm="HS512"),
        identity(exp=int(NOW.timestamp())),
        identity(exp=None),
        identity(sub=""),
        identity(sub="x" * 500),
        unsigned({"sub": "C-9", "exp": SOON}),
        jwt.encode({"sub": "C-9"}, KEY),
        jwt.encode({"exp": SOON}, KEY),
        visitor_token(),
    ],
)
def test_any_other_identity_token_is_refused(wrong: str) -> None:
    with pytest.raises(BadSignature):
        identified(wrong, HERE, NOW)


def test_a_session_token_is_good_for_its_inbox_and_its_time_only() -> None:
    token = visitor_token()
    assert read_token(token, HERE, NOW + ANONYMOUS_FOR - timedelta(seconds=1)).visitor == "vis_1"
    elsewhere = Inbox("elsewhere", Channel.WEBCHAT, "q", credentials=HERE.credentials)
    rekeyed = Inbox(HERE.id, Channel.WEBCHAT, "q", credentials={"signing_key": Secret("k" * 40)})
    for place, time in ((HERE, NOW + ANONYMOUS_FOR), (elsewhere, NOW), (rekeyed, NOW)):
        with pytest.raises(BadSignature):
            read_token(token, place, time)


def test_an_identity_token_is_no_session_token() -> None:
    with pytest.raises(BadSignature):
        read_token(identity(aud=HERE.id, ids=[]), HERE, NOW)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic abc", f"Token {visitor_token()}"])
def test_a_call_without_a_session_token_is_refused(header: str) -> None:
    with pytest.raises(BadSignature):
        WebChat().verify(RawRequest(b"{}", NOW, {"authorization": header}), HERE)


def test_a_message_is_the_visitors_and_named_by_their_page() -> None:
    item = say({"kind": "message", "id": "c1", "text": "halo", "reply_to": "msg_0"})
    assert isinstance(item, MessageIngested)
    assert (item.item_id, item.provider_message_id, item.address, item.reply_to) == (
        "vis_1/c1",
        "c1",
        "vis_1",
        "msg_0",
    )
    assert item.occurred_at == NOW


def test_two_visitors_may_use_the_same_message_id() -> None:
    frame = {"kind": "message", "id": "1", "text": "halo"}
    assert say(frame, visitor_token("vis_1")).item_id != say(frame, visitor_token("vis_2")).item_id


def test_a_page_cannot_choose_its_sender_its_time_or_its_files() -> None:
    lies = {
        "from": {"address": "usr_other"},
        "at": "2020-01-01T00:00:00Z",
        "echo": True,
        "media": [{"url": "https://x.example"}],
        "details": {"a": 1},
        "message_id": "x",
    }
    item = say({"kind": "message", "id": "c1", "text": "halo"} | lies)
    assert isinstance(item, MessageIngested)
    assert (item.address, item.occurred_at, item.echo, item.content.media, item.content.details) == (
        "vis_1",
        NOW,
        False,
        (),
        {},
    )
    assert item.provider_message_id == "c1"
    assert item.raw == {"kind": "message", "id": "c1", "text": "halo"}


def test_a_receipt_is_one_event_for_each_message_and_status() -> None:
    frame = {"kind": "receipt", "message_id": "msg_1", "status": "delivered"}
    item = say(frame)
    assert isinstance(item, ReceiptIngested)
    assert (item.provider_message_id, item.correlation) == ("msg_1", "msg_1")
    assert item.item_id == say(frame | {"id": "another"}).item_id
    assert item.item_id != say(frame | {"status": "read"}).item_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "message", "id": "c1"}, {"kind": "message", "text": "no id"}, {"kind": "message", "id": "c1", "text": "x" * 10_001},
        {"kind": "edit", "id": "c1", "message_id": "c0", "text": "x"}, {"kind": "receipt", "message_id": "msg_1", "status": "failed"},
        {"kind": "receipt", "status": "read"}, {}, {"kind": ["message"], "id": {}, "text": []},
    ],
)  # fmt: skip
def test_a_wrong_frame_is_kept_with_its_reason(wrong: dict[str, Any]) -> None:
    item = say(wrong)
    assert isinstance(item, UnsupportedIngested)
    assert item.address == "vis_1"
