"""This file proves what is said to the WhatsApp Cloud API and how its answers are understood."""

import json
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.base import Content, Location
from libs.contracts.vocabulary import Channel, ContentKind
from services.delivery.channels.channel import Unsendable
from services.delivery.channels.whatsapp import WhatsApp
from services.delivery.domain.answers import Accepted, Answer, Refused, RetryLater, Unknown
from tests.unit.delivery.examples import ACCESS, AT, file, inbox, message, text

CHANNEL = WhatsApp()


def body_of(**what: Any) -> dict[str, Any]:
    request = CHANNEL.request(message(Channel.WHATSAPP, **what), inbox(Channel.WHATSAPP), AT)
    found: dict[str, Any] = json.loads(request.body)
    return found


def error(code: object, **extra: object) -> bytes:
    return json.dumps(
        {"error": {"message": f"(#{code})", "code": code, "type": "OAuthException", **extra}}
    ).encode()


def test_text_goes_to_the_number_with_our_id_for_the_receipt() -> None:
    request = CHANNEL.request(message(Channel.WHATSAPP), inbox(Channel.WHATSAPP), AT)
    assert request.url == "https://provider.test/v24.0/106540352242922/messages"
    assert request.headers["authorization"] == f"Bearer {ACCESS}"
    assert json.loads(request.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "6281234567890",
        "type": "text",
        "text": {"body": "Baik kak, kami cek dulu ya.", "preview_url": False},
        "biz_opaque_callback_data": "msg_1",
    }


def test_a_business_scoped_id_goes_into_the_field_of_its_own() -> None:
    said = body_of(address="US.13491208655302741918")
    assert said["recipient"] == "US.13491208655302741918"
    assert "to" not in said


def test_a_group_is_told_from_a_person() -> None:
    assert body_of(address="120363418770915618@g.us")["recipient_type"] == "group"


def test_a_quoted_message_is_named() -> None:
    assert body_of(reply_to="wamid.A")["context"] == {"message_id": "wamid.A"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            file(ContentKind.IMAGE, url="https://a.test/b.jpg"),
            {"link": "https://a.test/b.jpg", "caption": "foto"},
        ),
        (file(ContentKind.AUDIO, provider_id="77"), {"id": "77"}),
        (
            file(ContentKind.DOCUMENT, url="https://a.test/b.pdf", filename="b.pdf"),
            {"link": "https://a.test/b.pdf", "caption": "foto", "filename": "b.pdf"},
        ),
    ],
)
def test_a_file_goes_by_link_or_by_the_providers_id(content: Content, expected: dict[str, str]) -> None:
    said = body_of(content=content)
    assert said[said["type"]] == expected


def test_a_place_goes_as_a_place() -> None:
    content = Content(
        kind=ContentKind.LOCATION, location=Location(latitude=-6.2, longitude=106.8, name="Toko")
    )
    assert body_of(content=content)["location"] == {"latitude": -6.2, "longitude": 106.8, "name": "Toko"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (text(""), "empty"),
        (text("a" * 4097), "too_long"),
        (Content(kind=ContentKind.IMAGE), "unsupported_content"),
        (Content(kind=ContentKind.ORDER), "unsupported_content"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is_sent(content: Content, code: str) -> None:
    with pytest.raises(Unsendable) as refused:
        body_of(content=content)
    assert refused.value.code == code


def test_acceptance_carries_the_providers_id() -> None:
    said = {"contacts": [{"input": "628", "wa_id": "628"}], "messages": [{"id": "wamid.X"}]}
    assert CHANNEL.answer(200, {}, json.dumps(said).encode()) == Accepted("wamid.X")


@pytest.mark.parametrize("code", [1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133016])
def test_codes_of_a_passing_trouble_are_tried_again_though_they_come_as_http_400(code: int) -> None:
    assert isinstance(CHANNEL.answer(400, {}, error(code)), RetryLater)


@pytest.mark.parametrize(
    "code",
    [131026, 131047, 131049, 131050, 131051, 190, 368, 131031, 130472, 131042, 100, 131008, 131009, 131062],
)
def test_codes_that_do_not_go_away_are_final(code: int) -> None:
    answer = CHANNEL.answer(400, {}, error(code, error_data={"details": "why"}))
    assert isinstance(answer, Refused)
    assert (answer.fault.code, answer.fault.text) == (str(code), "why")


def test_a_limit_on_the_number_holds_the_inbox_and_one_on_a_pair_does_not() -> None:
    wide, pair = CHANNEL.answer(400, {}, error(130429)), CHANNEL.answer(400, {}, error(131056))
    assert isinstance(wide, RetryLater)
    assert wide.inbox_wide
    assert isinstance(pair, RetryLater)
    assert not pair.inbox_wide


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (429, {"retry-after": "7"}, b"", RetryLater),
        (502, {}, b"<html>Bad gateway</html>", Unknown),
        (200, {}, b"", Unknown),
        (200, {}, b'{"messages": []}', Unknown),
        (200, {}, b'{"messages": "no"}', Unknown),
        (404, {}, b"[[[[", Refused),
        (400, {}, b'{"error": {"code": "x"}}', Refused),
        (400, {}, b'{"error": {"code": true}}', Refused),
        (400, {}, b"[" * 100_000, Refused),
    ],
)
def test_answers_without_metas_body_are_read_by_their_status(
    status: int, headers: dict[str, str], body: bytes, kind: type[Answer]
) -> None:
    assert isinstance(CHANNEL.answer(status, headers, body), kind)


def test_the_wait_that_was_asked_for_is_read() -> None:
    answer = CHANNEL.answer(429, {"retry-after": "7"}, b"")
    assert isinstance(answer, RetryLater)
    assert answer.after == timedelta(seconds=7)
