"""This file proves what is posted to a custom channel and how its answers are understood."""

import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from libs.contracts.vocabulary import Channel
from libs.workspace import Inbox, ProviderOptions, Secret
from services.delivery.channels.channel import Unsendable
from services.delivery.channels.custom import Custom
from services.delivery.domain.answers import Accepted, Answer, Refused, RetryLater
from tests.unit.delivery.examples import AT, inbox, message

CHANNEL = Custom()
URL = {"outbound_url": "https://gudang.test/messages"}


def test_the_body_is_signed_with_its_time_and_keyed_by_the_message() -> None:
    request = CHANNEL.request(message(Channel.CUSTOM), inbox(Channel.CUSTOM, options=URL), AT)
    at = int(AT.timestamp())
    mac = hmac.new(b"out-key", f"{at}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert request.url == URL["outbound_url"]
    assert request.headers["x-sambung-signature"] == f"t={at},v1={mac}"
    assert request.headers["idempotency-key"] == "msg_1"
    said = json.loads(request.body)
    assert (said["id"], said["to"], said["content"]["text"]) == (
        "msg_1",
        "6281234567890",
        "Baik kak, kami cek dulu ya.",
    )


def test_an_address_that_is_a_secret_comes_before_one_that_is_not() -> None:
    plain = inbox(Channel.CUSTOM, options=URL)
    secret = Inbox(
        id=plain.id,
        channel=plain.channel,
        queue=plain.queue,
        credentials={**plain.credentials, "outbound_url": Secret("https://hidden.test/x")},
        provider=plain.provider,
    )
    assert CHANNEL.request(message(Channel.CUSTOM), secret, AT).url == "https://hidden.test/x"


def test_an_inbox_without_an_address_says_so() -> None:
    nowhere = Inbox(
        id="custom-toko",
        channel=Channel.CUSTOM,
        queue="umum",
        credentials={"signing_key": Secret("k")},
        provider=ProviderOptions(),
    )
    with pytest.raises(Unsendable) as refused:
        CHANNEL.request(message(Channel.CUSTOM), nowhere, AT)
    assert refused.value.code == "no_outbound_url"


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (200, {}, b'{"id": "x-1"}', Accepted("x-1")),
        (202, {}, b"", Accepted(None)),
        (409, {}, b"", Accepted(None)),
    ],
)
def test_any_2xx_and_a_known_key_are_acceptance(
    status: int, headers: dict[str, str], body: bytes, expected: Answer
) -> None:
    assert CHANNEL.answer(status, headers, body) == expected


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Refused), (404, Refused), (301, Refused), (429, RetryLater), (500, RetryLater)]
)
def test_4xx_is_final_and_5xx_is_not(status: int, kind: type[Answer]) -> None:
    assert isinstance(CHANNEL.answer(status, {}, b"{}"), kind)


@pytest.mark.parametrize(
    ("raw", "wait"),
    [
        ("12", timedelta(seconds=12)),
        ("-1", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("1e12", timedelta(days=1)),
    ],
)
def test_a_wait_is_taken_only_when_it_is_a_number_of_seconds(raw: str, wait: timedelta | None) -> None:
    answer = CHANNEL.answer(503, {"retry-after": raw}, b"")
    assert isinstance(answer, RetryLater)
    assert answer.after == wait
