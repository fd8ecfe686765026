"""This file proves that only calls with the provider's own signature are believed."""

import json

import pytest

from libs.contracts.vocabulary import Channel
from libs.workspace import Inbox, Secret
from services.ingest.channels.adapter import BadSignature, HandshakeRefused, RawRequest
from services.ingest.channels.telegram import Telegram
from services.ingest.channels.whatsapp import WhatsApp
from tests.unit.ingest.corpus import NOW, body, inbox, told

VECTOR = json.loads(body("whatsapp/sigvector_x_hub_signature_256_captured.json"))
RAW: bytes = VECTOR["raw_body"].encode()
RIGHT: str = VECTOR["X-Hub-Signature-256"]
OWNER = Inbox("w", Channel.WHATSAPP, "q", credentials={"app_secret": Secret(VECTOR["app_secret"])})


def whatsapp(raw: bytes, **headers: str) -> None:
    WhatsApp().verify(RawRequest(raw, NOW, headers), OWNER)


def test_a_delivery_captured_from_meta_verifies_and_reads() -> None:
    call = RawRequest(RAW, NOW, {"x-hub-signature-256": RIGHT})
    WhatsApp().verify(call, OWNER)
    (item,) = WhatsApp().parse(call, OWNER)
    assert told(item) == "message text | 972544401243 | phone"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        RIGHT.upper(),
        RIGHT.removeprefix("sha256="),
        RIGHT[:-1],
        RIGHT + "0",
        "sha1=" + RIGHT[7:],
        "sha256=é",
    ],
)
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        whatsapp(RAW, **{"x-hub-signature-256": signature})


@pytest.mark.parametrize(
    "changed", [RAW + b"\n", RAW[:-1], RAW.replace(b"Hey", b"hey"), json.dumps(json.loads(RAW)).encode(), b""]
)
def test_a_body_that_is_changed_by_one_byte_is_refused(changed: bytes) -> None:
    with pytest.raises(BadSignature):
        whatsapp(changed, **{"x-hub-signature-256": RIGHT})


def test_a_call_without_signature_is_refused() -> None:
    with pytest.raises(BadSignature):
        whatsapp(RAW)


def handshake(**query: str) -> bytes:
    return WhatsApp().handshake(RawRequest(b"", NOW, {}, query), inbox(Channel.WHATSAPP)).body


def test_the_handshake_gives_back_the_bare_challenge() -> None:
    asked = {
        "hub.mode": "subscribe",
        "hub.verify_token": "whatsapp verify token",
        "hub.challenge": "1158201444",
    }
    assert handshake(**asked) == b"1158201444"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"hub.mode": "subscribe", "hub.challenge": "1"},
        {"hub.mode": "subscribe", "hub.verify_token": "wrong", "hub.challenge": "1"},
        {"hub.mode": "unsubscribe", "hub.verify_token": "whatsapp verify token", "hub.challenge": "1"},
    ],
)
def test_a_handshake_with_another_token_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(HandshakeRefused):
        handshake(**asked)


def test_telegrams_secret_must_be_the_whole_secret() -> None:
    name = "x-telegram-bot-api-secret-token"
    Telegram().verify(RawRequest(b"{}", NOW, {name: "telegram-secret"}), inbox(Channel.TELEGRAM))
    for wrong in (
        {},
        {name: ""},
        {name: "telegram-secre"},
        {name: "Telegram-secret"},
        {name: "telegram-secret "},
        {name: "é"},
    ):
        with pytest.raises(BadSignature):
            Telegram().verify(RawRequest(b"{}", NOW, wrong), inbox(Channel.TELEGRAM))
