"""This file proves what is said to the Telegram Bot API and how its answers are understood."""

import json
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.base import Content
from libs.contracts.vocabulary import Channel, ContentKind
from services.delivery.channels.channel import Unsendable
from services.delivery.channels.telegram import Telegram
from services.delivery.domain.answers import Accepted, Answer, Refused, RetryLater, Unknown
from tests.unit.delivery.examples import AT, TOKEN, file, inbox, message, text

CHANNEL = Telegram()


def asked(**what: Any) -> tuple[str, dict[str, Any]]:
    what.setdefault("address", "1111111")
    request = CHANNEL.request(message(Channel.TELEGRAM, **what), inbox(Channel.TELEGRAM), AT)
    return request.url, json.loads(request.body)


def test_text_goes_to_the_chat() -> None:
    url, said = asked()
    assert url == f"https://provider.test/bot{TOKEN}/sendMessage"
    assert said == {"chat_id": 1111111, "text": "Baik kak, kami cek dulu ya."}


@pytest.mark.parametrize(("address", "chat"), [("-1001234", -1001234), ("@toko", "@toko")])
def test_groups_are_negative_numbers_and_channels_are_names(address: str, chat: int | str) -> None:
    assert asked(address=address)[1]["chat_id"] == chat


@pytest.mark.parametrize("quoted", ["1365", "1111111/1365"])
def test_a_quoted_message_is_named_by_its_number(quoted: str) -> None:
    assert asked(reply_to=quoted)[1]["reply_parameters"] == {
        "message_id": 1365,
        "allow_sending_without_reply": True,
    }


def test_a_file_has_a_method_of_its_own() -> None:
    url, said = asked(content=file(ContentKind.IMAGE, url="https://a.test/b.jpg"))
    assert url.endswith("/sendPhoto")
    assert said == {"chat_id": 1111111, "photo": "https://a.test/b.jpg", "caption": "foto"}


def test_a_request_shows_no_secret_when_it_is_printed() -> None:
    request = CHANNEL.request(message(Channel.TELEGRAM, address="1"), inbox(Channel.TELEGRAM), AT)
    assert TOKEN not in repr(request)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (text(""), "empty"),
        (text("a" * 4097), "too_long"),
        (text("😀" * 2049), "too_long"),
        (Content(kind=ContentKind.ORDER, text="2 kopi"), "unsupported_content"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is_sent(content: Content, code: str) -> None:
    with pytest.raises(Unsendable) as refused:
        asked(content=content)
    assert refused.value.code == code


def test_length_is_counted_as_telegram_counts_it() -> None:
    assert asked(content=text("😀" * 2048))[1]["text"] == "😀" * 2048


def test_acceptance_carries_the_message_number() -> None:
    assert CHANNEL.answer(200, {}, b'{"ok": true, "result": {"message_id": 1366}}') == Accepted("1366")


def test_too_many_requests_says_for_how_long_and_holds_the_bot() -> None:
    said = {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests",
        "parameters": {"retry_after": 35},
    }
    answer = CHANNEL.answer(429, {}, json.dumps(said).encode())
    assert isinstance(answer, RetryLater)
    assert (answer.after, answer.inbox_wide) == (timedelta(seconds=35), True)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            403,
            b'{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}',
            Refused,
        ),
        (400, b'{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}', Refused),
        (401, b'{"ok":false,"error_code":401,"description":"Unauthorized"}', Refused),
        (500, b'{"ok":false,"error_code":500,"description":"Internal Server Error"}', RetryLater),
        (502, b"<html>", Unknown),
        (200, b"nonsense", Unknown),
    ],
)
def test_refusals_are_final_and_troubles_are_not(status: int, body: bytes, kind: type[Answer]) -> None:
    assert isinstance(CHANNEL.answer(status, {}, body), kind)
