"""This file proves what the sender makes of networks: refusals, time-outs, limits, and secrets that stay secret."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from libs.contracts.vocabulary import Channel
from libs.flow.flow import Performing
from libs.timesource import ManualTime
from libs.workspace import Inbox
from services.delivery.domain.answers import Accepted, Fault, PutOff, Refused, RetryLater, Unknown
from services.delivery.sending import Sender, Sent
from tests.unit.delivery.examples import AT, TOKEN, inbox, message, text, workspace

Reply = Callable[[httpx.Request], httpx.Response]


def accept(request: httpx.Request) -> httpx.Response:
    return httpx.Response(
        200, json={"ok": True, "result": {"message_id": 1}, "messages": [{"id": "wamid.1"}], "id": "c1"}
    )


def sender(reply: Reply, *inboxes: Inbox, time: ManualTime | None = None) -> Sender:
    return Sender(
        workspace(*inboxes),
        time or ManualTime(AT),
        request_timeout=timedelta(seconds=5),
        transport=httpx.MockTransport(reply),
    )


async def send(
    by: Sender, channel: Channel, *, again: bool = False, message_id: str = "msg_1", address: str = "628"
) -> Sent:
    effect = message(channel, message_id=message_id, address=address)
    return await by(Performing(f"{message_id}/1", effect.contact_point_id, effect, again))


@pytest.mark.parametrize(
    ("channel", "provider_id"),
    [(Channel.WHATSAPP, "wamid.1"), (Channel.TELEGRAM, "1"), (Channel.CUSTOM, "c1")],
)
async def test_an_accepted_message_names_the_providers_id_and_the_time(
    channel: Channel, provider_id: str
) -> None:
    sent = await send(sender(accept, inbox(channel)), channel)
    assert sent == Sent(Accepted(provider_id), AT)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (httpx.ConnectError("refused"), RetryLater(Fault("unreachable", "ConnectError"))),
        (httpx.ConnectTimeout("slow"), RetryLater(Fault("unreachable", "ConnectTimeout"))),
        (httpx.ReadTimeout("slow"), Unknown(Fault("no_answer", "ReadTimeout"))),
        (httpx.RemoteProtocolError("cut"), Unknown(Fault("no_answer", "RemoteProtocolError"))),
        (httpx.UnsupportedProtocol("no"), Refused(Fault("bad_address", "UnsupportedProtocol"))),
    ],
)
async def test_only_a_request_that_never_left_is_certain_not_to_have_arrived(
    fault: Exception, expected: object
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    assert (await send(sender(fail, inbox(Channel.WHATSAPP)), Channel.WHATSAPP)).answer == expected


async def test_an_attempt_that_may_have_been_made_is_not_repeated_where_nothing_tells_copies_apart() -> None:
    asked: list[httpx.Request] = []

    def count(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return accept(request)

    by = sender(
        count, inbox(Channel.WHATSAPP), inbox(Channel.CUSTOM, options={"outbound_url": "https://g.test/"})
    )
    assert isinstance((await send(by, Channel.WHATSAPP, again=True)).answer, Unknown)
    assert asked == []
    assert isinstance((await send(by, Channel.CUSTOM, again=True)).answer, Accepted)
    assert len(asked) == 1


async def test_a_message_to_an_inbox_that_is_gone_fails_for_good() -> None:
    answer = (await send(sender(accept), Channel.TELEGRAM)).answer
    assert isinstance(answer, Refused)
    assert answer.fault.code == "unknown_inbox"


async def test_what_the_channel_cannot_carry_fails_without_a_request() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing was to be sent")

    effect = message(Channel.WHATSAPP, content=text(""))
    sent = await sender(never, inbox(Channel.WHATSAPP))(Performing("msg_1/1", "cpt", effect, False))
    assert isinstance(sent.answer, Refused)
    assert sent.answer.fault.code == "empty"


async def test_a_message_over_the_limit_is_put_off_and_keeps_its_place() -> None:
    time = ManualTime(AT)
    by = sender(
        accept, inbox(Channel.CUSTOM, rate=0.25, options={"outbound_url": "https://g.test/"}), time=time
    )
    assert isinstance((await send(by, Channel.CUSTOM, message_id="msg_1")).answer, Accepted)
    assert (await send(by, Channel.CUSTOM, message_id="msg_2")).answer == PutOff(timedelta(seconds=4))
    assert (await send(by, Channel.CUSTOM, message_id="msg_3")).answer == PutOff(timedelta(seconds=8))
    await time.advance(timedelta(seconds=8))
    assert isinstance((await send(by, Channel.CUSTOM, message_id="msg_3")).answer, Accepted)
    assert isinstance((await send(by, Channel.CUSTOM, message_id="msg_2")).answer, Accepted)


async def test_a_short_wait_for_the_limit_happens_in_place() -> None:
    time = ManualTime(AT)
    by = sender(accept, inbox(Channel.TELEGRAM), time=time)
    await send(by, Channel.TELEGRAM, address="1")
    second = asyncio.ensure_future(send(by, Channel.TELEGRAM, message_id="msg_2", address="1"))
    await asyncio.wait([second], timeout=0.05)
    assert not second.done()
    await time.advance(timedelta(seconds=1))
    assert (await second).answer == Accepted("1")


async def test_a_limit_that_the_provider_announces_holds_its_inbox_and_no_other() -> None:
    def limited(request: httpx.Request) -> httpx.Response:
        if "bot" in request.url.path:
            return httpx.Response(
                429, json={"ok": False, "error_code": 429, "parameters": {"retry_after": 35}}
            )
        return accept(request)

    by = sender(limited, inbox(Channel.TELEGRAM), inbox(Channel.WHATSAPP))
    assert isinstance((await send(by, Channel.TELEGRAM)).answer, RetryLater)
    waiting = (await send(by, Channel.TELEGRAM, message_id="msg_2", address="629")).answer
    assert isinstance(waiting, PutOff)
    assert waiting.wait >= timedelta(seconds=35)
    assert isinstance((await send(by, Channel.WHATSAPP)).answer, Accepted)


async def test_no_secret_is_logged_even_when_everything_is(caplog: pytest.LogCaptureFixture) -> None:
    by = sender(accept, inbox(Channel.TELEGRAM))
    with caplog.at_level(logging.INFO, logger="services"):
        await send(by, Channel.TELEGRAM)
    assert logging.getLogger("httpx").getEffectiveLevel() >= logging.WARNING
    assert TOKEN not in caplog.text
