"""This file proves what callers are answered, over real HTTP: never a 500, and never a 2xx for what was not published."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from libs.contracts.payloads.inbound import MessageIngested, UnsupportedIngested
from libs.contracts.vocabulary import Channel
from tests.unit.ingest.application import LARGEST_BODY, Recorded, encoded, ingest, signature
from tests.unit.ingest.corpus import body, names

WEBHOOKS = [Channel.WHATSAPP, Channel.TELEGRAM, Channel.CUSTOM]
KEPT = [Channel.WHATSAPP, Channel.TELEGRAM]
REFUSED = [Channel.CUSTOM]
GOOD = {
    Channel.WHATSAPP: body("whatsapp/metadocs_messages_text_2.json"),
    Channel.TELEGRAM: body("telegram/tgdocs_message_text.json"),
    Channel.CUSTOM: encoded({"items": [{"id": "1", "from": {"address": "a"}, "text": "halo"}]}),
}
UNREADABLE = {
    "no JSON": b"halo",
    "nothing": b"",
    "three megabytes of nesting": b"[" * 3_000_000,
    "three megabytes of nested objects": b'{"a":' * 600_000,
    "three megabytes of noise": b"\xff\x00" * 1_500_000,
    "a list": b"[]",
    "a number": b"17",
    "null": b"null",
}


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[Recorded]:
    async with ingest() as running:
        yield running


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


@pytest.mark.parametrize("channel", WEBHOOKS)
async def test_a_good_call_is_answered_2xx_and_published_in_one_call(
    service: Recorded, channel: Channel
) -> None:
    answer = await service.signed(channel, GOOD[channel])
    assert answer.status_code == 200
    ((event,),) = service.recorder.calls
    assert isinstance(event.data, MessageIngested)
    assert event.envelope.source == f"/ingest/{channel}"
    assert event.envelope.id == event.data.item_id
    assert event.envelope.traceparent.startswith("00-")


@pytest.mark.parametrize("channel", WEBHOOKS)
async def test_the_same_call_again_is_the_same_event(service: Recorded, channel: Channel) -> None:
    for _ in range(2):
        assert (await service.signed(channel, GOOD[channel])).status_code == 200
    (first,), (second,) = service.recorder.calls
    assert (first.envelope.source, first.envelope.id, first.key) == (
        second.envelope.source,
        second.envelope.id,
        second.key,
    )


@pytest.mark.parametrize("channel", WEBHOOKS)
@pytest.mark.parametrize("content", [b"good", *UNREADABLE.values()], ids=["good", *UNREADABLE])
async def test_a_wrong_signature_is_401_counted_and_publishes_nothing(
    service: Recorded, channel: Channel, content: bytes
) -> None:
    before = counted("sambung_ingest_rejected_total", inbox=channel.value, reason="bad_signature")
    sent = GOOD[channel] if content == b"good" else content
    wrong = {
        name: value[:-1] + ("0" if value[-1] != "0" else "1")
        for name, value in signature(channel, sent).items()
    }
    problem(await service.post(channel.value, sent, **wrong), 401, "bad_signature")
    problem(await service.post(channel.value, sent), 401, "bad_signature")
    assert service.recorder.calls == []
    assert counted("sambung_ingest_rejected_total", inbox=channel.value, reason="bad_signature") == before + 2


@pytest.mark.parametrize("channel", KEPT)
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
async def test_where_the_provider_would_repeat_it_an_unreadable_body_is_kept_and_answered_200(
    service: Recorded, channel: Channel, content: bytes
) -> None:
    assert (await service.signed(channel, content)).status_code == 200
    (item,) = service.recorder.items
    assert isinstance(item, UnsupportedIngested)
    assert item.reason
    assert item.raw["bytes"] == len(content)


@pytest.mark.parametrize("channel", REFUSED)
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
async def test_where_the_sender_is_told_an_unreadable_body_is_400(
    service: Recorded, channel: Channel, content: bytes
) -> None:
    problem(await service.signed(channel, content), 400, "unparsable")
    assert service.recorder.calls == []


@pytest.mark.parametrize("channel", WEBHOOKS)
async def test_a_body_over_the_limit_is_413(service: Recorded, channel: Channel) -> None:
    content = b" " * (LARGEST_BODY + 1)
    path, headers = f"/v1/inboxes/{channel}/webhook", signature(channel, content)
    problem(await service.inside.post(path, content=content, headers=headers), 413, "too_large")
    problem(await service.inside.post(path, content=content), 413, "too_large")
    assert service.recorder.calls == []


async def test_a_body_of_unknown_length_over_the_limit_is_413(service: Recorded) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65_536

    answer = await service.inside.post("/v1/inboxes/whatsapp/webhook", content=endless())
    problem(answer, 413, "too_large")


@pytest.mark.parametrize("inbox", ["nobody", "WhatsApp", "%00", "whatsapp%2f..", "é"])
async def test_an_unknown_inbox_is_404(service: Recorded, inbox: str) -> None:
    assert (await service.post(inbox, b"{}")).status_code == 404


@pytest.mark.parametrize("channel", WEBHOOKS)
async def test_without_the_broker_a_call_is_503_and_may_come_again(
    service: Recorded, channel: Channel
) -> None:
    service.recorder.fails = True
    answer = await service.signed(channel, GOOD[channel])
    problem(answer, 503, "broker_away")
    assert int(answer.headers["retry-after"]) > 0
    service.recorder.fails = False
    assert (await service.signed(channel, GOOD[channel])).status_code == 200
    assert len(service.recorder.items) == 1


@pytest.mark.parametrize("channel", KEPT)
async def test_an_unreadable_body_that_could_not_be_kept_is_503(service: Recorded, channel: Channel) -> None:
    service.recorder.fails = True
    problem(await service.signed(channel, b"halo"), 503, "broker_away")


async def test_one_wrong_item_of_a_batch_is_kept_and_the_others_go_through(service: Recorded) -> None:
    whole = json.loads(body("whatsapp/composed_three_messages_one_contact.json"))
    whole["entry"][0]["changes"][0]["value"]["messages"][1] = {"from": 5, "id": {}, "type": ["image"]}
    before = counted("sambung_ingest_unsupported_total", inbox="whatsapp", channel="whatsapp")
    assert (await service.signed(Channel.WHATSAPP, encoded(whole))).status_code == 200
    assert [item.type for item in service.recorder.items] == [
        "message.ingested.v1", "unsupported.ingested.v1", "reaction.ingested.v1",
    ]  # fmt: skip
    assert counted("sambung_ingest_unsupported_total", inbox="whatsapp", channel="whatsapp") == before + 1


async def test_an_unknown_kind_of_message_is_kept_with_its_sender(service: Recorded) -> None:
    whole = json.loads(body("whatsapp/metadocs_messages_text_2.json"))
    whole["entry"][0]["changes"][0]["value"]["messages"][0]["type"] = "hologram"
    assert (await service.signed(Channel.WHATSAPP, encoded(whole))).status_code == 200
    (item,) = service.recorder.items
    assert isinstance(item, UnsupportedIngested)
    assert (item.reason, item.address) == ("message type 'hologram' is not known here", "16505551234")


async def test_a_custom_sender_is_told_which_items_were_not_understood(service: Recorded) -> None:
    sent = encoded(
        {
            "items": [
                {"id": "1", "from": {"address": "a"}, "text": "halo"},
                {"id": "2", "from": {"address": "a"}},
            ]
        }
    )
    answer = await service.signed(Channel.CUSTOM, sent)
    assert answer.json() == {
        "accepted": 1,
        "unsupported": [{"id": "2", "reason": "neither text nor media nor location"}],
    }


async def test_the_whatsapp_handshake_is_answered_with_the_challenge_and_403_otherwise(
    service: Recorded,
) -> None:
    asked = {
        "hub.mode": "subscribe",
        "hub.verify_token": "whatsapp verify token",
        "hub.challenge": "1158201444",
    }
    right = await service.http.get("/v1/inboxes/whatsapp/webhook", params=asked)
    assert (right.status_code, right.text) == (200, "1158201444")
    wrong = await service.http.get("/v1/inboxes/whatsapp/webhook", params=asked | {"hub.verify_token": "x"})
    problem(wrong, 403, "bad_handshake")
    problem(await service.http.get("/v1/inboxes/telegram/webhook"), 405, "no_handshake")


async def test_a_caller_that_hangs_up_in_the_middle_of_a_body_costs_nothing(service: Recorded) -> None:
    host, port = service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/inboxes/whatsapp/webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await service.signed(Channel.WHATSAPP, GOOD[Channel.WHATSAPP])).status_code == 200
    assert len(service.recorder.items) == 1
    del reader


async def test_every_real_body_that_is_signed_is_answered_2xx_and_published(service: Recorded) -> None:
    for channel in KEPT:
        for name in names(channel.value):
            service.recorder.calls.clear()
            assert (await service.signed(channel, body(name))).status_code == 200
            assert service.recorder.items
