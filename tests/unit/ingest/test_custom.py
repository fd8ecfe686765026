"""This file proves how the custom channel is signed and read."""

import json
from typing import Any

import pytest

from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    ReceiptIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import Channel, ContentKind, MessageStatus
from libs.service.signing import sign
from services.ingest.channels.adapter import BadSignature, RawRequest, Unparsable
from services.ingest.channels.custom import Custom
from tests.unit.ingest.corpus import CREDENTIALS, NOW, inbox, parse

KEY = CREDENTIALS[Channel.CUSTOM]["signing_key"]
BODY = b'{"items":[]}'
SENT = int(NOW.timestamp())


def item(**more: Any) -> dict[str, Any]:
    return {"id": "m-1", "kind": "message", "from": {"address": "sari@shop"}, "text": "halo"} | more


def one(**more: Any) -> Item:
    (found,) = parse(Channel.CUSTOM, {"items": [item(**more)]})
    return found


def check(header: str | None, body: bytes = BODY) -> None:
    headers = {} if header is None else {"x-sambung-signature": header}
    Custom().verify(RawRequest(body, NOW, headers), inbox(Channel.CUSTOM))


def test_the_signature_of_the_documentation_is_accepted() -> None:
    # Computed with `printf '%s' '1795161600.{"items":[]}' | openssl dgst -sha256 -hmac '<key>'`.
    assert SENT == 1795161600
    assert sign(KEY, "1795161600", BODY) == "0a524e57d2f1d2f53039432a7e32102fa8bc21c4768a45fdc762f8770199e297"
    check(f"t={SENT},v1={sign(KEY, str(SENT), BODY)}")


@pytest.mark.parametrize("age", [-300, -299, 0, 300])
def test_a_signature_of_the_last_five_minutes_is_accepted(age: int) -> None:
    check(f"t={SENT - age}, v1={sign(KEY, str(SENT - age), BODY)}")


def test_while_a_key_is_exchanged_one_right_signature_of_several_is_enough() -> None:
    check(f"t={SENT},v1={'0' * 64},v1={sign(KEY, str(SENT), BODY)}")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"t={SENT}",
        f"v1={sign(KEY, str(SENT), BODY)}",
        f"t={SENT},v1={sign('another key', str(SENT), BODY)}",
        f"t={SENT},v1={sign(KEY, str(SENT), b'another body')}",
        f"t={SENT + 1},v1={sign(KEY, str(SENT), BODY)}",
        f"t={SENT - 301},v1={sign(KEY, str(SENT - 301), BODY)}",
        f"t={SENT + 301},v1={sign(KEY, str(SENT + 301), BODY)}",
        f"t=x,v1={sign(KEY, 'x', BODY)}",
        f"t={SENT},v1=",
        f"t={SENT},v1=é",
        "t=" + "9" * 400 + ",v1=00",
        f"t={SENT}," + ",".join(["v1=00"] * 5) + f",v1={sign(KEY, str(SENT), BODY)}",
    ],
)
def test_any_other_signature_is_refused(header: str | None) -> None:
    with pytest.raises(BadSignature):
        check(header)


def test_a_message_has_what_the_owner_says_of_its_sender() -> None:
    said = [
        {"kind": "phone", "value": "0812-3456-7890", "verified": True},
        {"kind": "phone", "value": "00 62 812 3456 7890"},
        {"kind": "email", "value": "Sari@Example.COM", "verified": True},
        {"kind": "external", "value": "C-9", "verified": "yes"},
        {"kind": "whatsapp_user", "value": "ID.1", "verified": True},
        {"kind": "phone", "value": "hello"},
        {"kind": "email", "value": "nobody"},
        7,
    ]
    found = one(
        **{"from": {"address": "sari@shop", "name": "Sari", "identifiers": said}},
        at="2026-11-20T07:00:00Z",
        reply_to="m-0",
    )
    assert isinstance(found, MessageIngested)
    assert (found.item_id, found.provider_message_id, found.reply_to) == ("m-1", "m-1", "m-0")
    assert (found.address, found.profile_name, found.occurred_at.hour) == ("sari@shop", "Sari", 7)
    assert [(i.kind, i.value, i.verified) for i in found.identifiers] == [
        ("phone", "+6281234567890", True),
        ("phone", "+6281234567890", False),
        ("email", "sari@example.com", True),
        ("external", "C-9", False),
    ]


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, ContentKind.TEXT),
        ({"media": [{"url": "https://files.example/a.png", "mime_type": "image/png"}]}, ContentKind.IMAGE),
        ({"media": [{"url": "https://files.example/a.pdf"}], "text": None}, ContentKind.DOCUMENT),
        ({"location": {"latitude": -6.2, "longitude": 106.8}, "text": ""}, ContentKind.LOCATION),
    ],
)
def test_the_kind_of_a_message_follows_from_what_it_holds(more: dict[str, Any], kind: ContentKind) -> None:
    found = one(**more)
    assert isinstance(found, MessageIngested)
    assert found.content.kind is kind


def test_receipts_edits_and_reactions_are_read() -> None:
    receipt = one(
        kind="receipt",
        correlation="msg_a",
        status="failed",
        error={"code": "E1", "text": "no", "retryable": True},
    )
    assert isinstance(receipt, ReceiptIngested)
    assert (receipt.provider_message_id, receipt.correlation, receipt.status) == (
        "msg_a",
        "msg_a",
        MessageStatus.FAILED,
    )
    assert receipt.error is not None
    assert receipt.error.retryable
    edit = one(kind="edit", message_id="m-0", text="new")
    assert isinstance(edit, EditIngested)
    assert edit.content is not None
    assert edit.content.text == "new"
    gone = one(kind="edit", message_id="m-0", withdrawn=True)
    assert isinstance(gone, EditIngested)
    assert gone.content is None
    reaction = one(kind="reaction", message_id="m-0", emoji=None)
    assert isinstance(reaction, ReactionIngested)
    assert (reaction.provider_message_id, reaction.emoji) == ("m-0", None)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"id": None}, "no id"),
        ({"from": {}}, "no from.address"),
        ({"from": "sari"}, "no from.address"),
        ({"kind": "dance"}, "kind 'dance' is none of message, receipt, edit, reaction"),
        ({"text": None}, "neither text nor media nor location"),
        ({"text": 5}, "text: expected a string, found a number"),
        ({"media": {}}, "media: expected a list, found an object"),
        (
            {"media": [{"url": "file:///etc/passwd"}]},
            "media: every file needs a url that begins with https:// or http://",
        ),
        ({"location": {"latitude": "x"}}, "location: expected latitude and longitude as numbers"),
        ({"kind": "receipt", "message_id": "m"}, "status: expected one of sent, delivered, read, failed"),
        ({"kind": "receipt", "status": "read"}, "neither message_id nor correlation"),
        ({"kind": "edit"}, "no message_id"),
        ({"kind": "reaction"}, "no message_id"),
    ],
)
def test_a_wrong_item_is_kept_and_its_sender_is_told_why(more: dict[str, Any], reason: str) -> None:
    items = parse(Channel.CUSTOM, {"items": [item(id="a"), item(**more), item(id="b")]})
    assert [isinstance(found, UnsupportedIngested) for found in items] == [False, True, False]
    told = json.loads(Custom().answer(items).body)
    assert told["accepted"] == 2
    assert told["unsupported"] == [{"id": items[1].item_id, "reason": reason}]


@pytest.mark.parametrize("wrong", [[], {}, {"items": {}}, "x", None])
def test_a_body_without_items_is_refused(wrong: Any) -> None:
    with pytest.raises(Unparsable):
        parse(Channel.CUSTOM, json.dumps(wrong).encode())


def test_an_empty_list_of_items_is_a_way_to_try_the_signature() -> None:
    assert parse(Channel.CUSTOM, {"items": []}) == []
