"""This file proves what a web chat visitor's page sees: sessions, acknowledgements, answers shown once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.conversations import MessageRequested
from libs.contracts.payloads.inbound import MessageIngested, ReceiptIngested
from libs.contracts.vocabulary import Channel, ContentKind
from libs.flow.tail import Tailed
from services.ingest.channels.webchat_session import anonymous, token_of
from services.ingest.visitors.feed import WAITING, VisitorFeed
from tests.unit.ingest.application import Ingest, Recorded, encoded, ingest
from tests.unit.ingest.corpus import NOW
from tests.unit.ingest.test_webchat import HERE, identity

LIMIT = 5.0


@pytest_asyncio.fixture(loop_scope="session")
async def service() -> AsyncIterator[Recorded]:
    async with ingest() as running:
        yield running


def answer_to(
    visitor: str, number: int, inbox: str = "webchat", channel: Channel = Channel.WEBCHAT
) -> Tailed:
    message = MessageRequested(
        message_id=f"msg_{number}",
        conversation_id="cnv_1",
        contact_point_id="cpt_1",
        inbox_id=inbox,
        channel=channel,
        address=visitor,
        content=Content(kind=ContentKind.TEXT, text=f"answer {number}"),
        requested_at=NOW,
    )
    envelope = Envelope(id=str(number), source="/conversations/0", type=message.type, time=NOW)
    return Tailed("outbound", 0, number, Event(envelope, message, "cpt_1"))


class Page:
    """A visitor's page with one socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
            return frame

    async def closed(self) -> int:
        """The code with which the service ended it."""
        async with asyncio.timeout(LIMIT):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


async def session(service: Ingest, **asked: Any) -> dict[str, Any]:
    answer = await service.http.post("/v1/inboxes/webchat/visitor/session", content=encoded(asked))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@asynccontextmanager
async def page(service: Ingest, inbox: str = "webchat") -> AsyncIterator[Page]:
    address = f"{service.address.replace('http', 'ws')}/v1/inboxes/{inbox}/visitor"
    async with connect(address, proxy=None) as socket:
        yield Page(socket)


@asynccontextmanager
async def chatting(service: Ingest, who: dict[str, Any], last: str | None = None) -> AsyncIterator[Page]:
    async with page(service) as opened:
        await opened.send(kind="hello", token=who["token"], last=last)
        assert (await opened.next())["kind"] == "welcome"
        yield opened


async def test_a_message_is_acknowledged_when_it_is_published(service: Recorded) -> None:
    who = await session(service)
    async with chatting(service, who) as visitor:
        await visitor.send(kind="message", id="c1", text="halo")
        assert await visitor.next() == {"kind": "ack", "id": "c1"}
    (item,) = service.recorder.items
    assert isinstance(item, MessageIngested)
    assert (item.address, item.item_id, item.content.text) == (who["visitor"], f"{who['visitor']}/c1", "halo")


async def test_a_message_that_cannot_be_stored_ends_the_socket_before_a_later_one_can_overtake_it(
    service: Recorded,
) -> None:
    who = await session(service)
    async with chatting(service, who) as visitor:
        service.recorder.fails_once = True
        await visitor.send(kind="message", id="c1", text="first")
        await visitor.send(kind="message", id="c2", text="second")
        assert await visitor.closed() == 1013
    assert service.recorder.items == []
    async with chatting(service, who) as visitor:
        for name in ("c1", "c2"):
            await visitor.send(kind="message", id=name, text="again")
            assert await visitor.next() == {"kind": "ack", "id": name}


async def test_messages_are_published_in_the_order_they_were_sent(service: Recorded) -> None:
    async with chatting(service, await session(service)) as visitor:
        for number in range(20):
            await visitor.send(kind="message", id=f"c{number}", text=str(number))
        assert [(await visitor.next())["id"] for _ in range(20)] == [f"c{number}" for number in range(20)]
    assert [i.content.text for i in service.recorder.items if isinstance(i, MessageIngested)] == [
        str(n) for n in range(20)
    ]


async def test_an_answer_is_shown_once_to_its_visitor_and_to_nobody_else(service: Recorded) -> None:
    who, other = await session(service), await session(service)
    async with chatting(service, who) as visitor, chatting(service, other) as stranger:
        for tailed in (
            answer_to(who["visitor"], 1),
            answer_to(who["visitor"], 1),
            answer_to(who["visitor"], 2),
        ):
            service.feed.on_event(tailed)
        service.feed.on_event(answer_to(other["visitor"], 3))
        service.feed.on_event(answer_to(other["visitor"], 4, inbox="elsewhere"))
        service.feed.on_event(answer_to(other["visitor"], 5, channel=Channel.TELEGRAM))
        assert [(await visitor.next())["id"] for _ in range(2)] == ["msg_1", "msg_2"]
        shown = await stranger.next()
        assert (shown["id"], shown["content"]["text"]) == ("msg_3", "answer 3")
        await stranger.send(kind="ping")
        assert await stranger.next() == {"kind": "pong"}


async def test_every_tab_of_a_visitor_shows_the_answer(service: Recorded) -> None:
    who = await session(service)
    async with chatting(service, who) as first, chatting(service, who) as second:
        service.feed.on_event(answer_to(who["visitor"], 1))
        assert (await first.next())["id"] == (await second.next())["id"] == "msg_1"


@pytest.mark.parametrize(
    ("last", "shown", "complete"),
    [
        ("msg_3", ["msg_4", "msg_5"], True),
        ("msg_5", [], True),
        (None, ["msg_1", "msg_2", "msg_3", "msg_4", "msg_5"], True),
        ("msg_0", ["msg_1", "msg_2", "msg_3", "msg_4", "msg_5"], False),
    ],
)
async def test_who_comes_back_sees_what_was_missed(
    service: Recorded, last: str | None, shown: list[str], complete: bool
) -> None:
    who = await session(service)
    for number in range(1, 6):
        service.feed.on_event(answer_to(who["visitor"], number))
    async with page(service) as visitor:
        await visitor.send(kind="hello", token=who["token"], last=last)
        assert await visitor.next() == {"kind": "welcome", "visitor": who["visitor"], "complete": complete}
        assert [(await visitor.next())["id"] for _ in shown] == shown
        service.feed.on_event(answer_to(who["visitor"], 6))
        assert (await visitor.next())["id"] == "msg_6"


async def test_a_message_that_the_page_has_shown_becomes_a_receipt(service: Recorded) -> None:
    who = await session(service)
    async with chatting(service, who) as visitor:
        service.feed.on_event(answer_to(who["visitor"], 1))
        shown = await visitor.next()
        for status in ("delivered", "read"):
            await visitor.send(kind="receipt", message_id=shown["id"], status=status)
        await visitor.send(kind="ping")
        assert await visitor.next() == {"kind": "pong"}
    receipts = [i for i in service.recorder.items if isinstance(i, ReceiptIngested)]
    assert [(r.correlation, r.status.value, r.address) for r in receipts] == [
        ("msg_1", "delivered", who["visitor"]),
        ("msg_1", "read", who["visitor"]),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        "halo",
        "[",
        '{"kind":"message"}',
        '{"kind":"dance","id":"c1"}',
        "[" * 60_000,
        "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
async def test_a_wrong_frame_is_refused_and_the_socket_goes_on(service: Recorded, frame: str | bytes) -> None:
    async with chatting(service, await session(service)) as visitor:
        await visitor.socket.send(frame)
        refused = await visitor.next()
        assert refused["kind"] == "refused"
        assert refused["reason"]
        await visitor.send(kind="message", id="c2", text="halo")
        assert await visitor.next() == {"kind": "ack", "id": "c2"}


async def test_who_shows_no_valid_token_is_sent_away(service: Recorded) -> None:
    for token in ("", "x", identity()):
        async with page(service) as visitor:
            await visitor.send(kind="hello", token=token)
            assert await visitor.closed() == 4401
    async with page(service) as visitor:
        await visitor.send(kind="message", id="c1", text="no hello")
        assert await visitor.closed() == 4408
    assert service.recorder.items == []


async def test_a_token_that_expires_ends_the_socket_at_the_next_frame(service: Recorded) -> None:
    async with chatting(service, await session(service)) as visitor:
        await service.time.advance(timedelta(days=31))
        await visitor.send(kind="message", id="c1", text="halo")
        assert await visitor.closed() == 4401
    assert service.recorder.items == []


async def test_a_token_that_expires_ends_a_silent_socket_too(service: Recorded) -> None:
    left = timedelta(seconds=1)
    short = replace(anonymous("vis_1", {}, HERE, NOW), expires_at=NOW + left)
    async with chatting(service, {"token": token_of(short, HERE)}) as visitor:
        assert await visitor.closed() == 4401


async def test_a_frame_that_is_too_large_ends_the_socket(service: Recorded) -> None:
    async with chatting(service, await session(service)) as visitor:
        await visitor.send(kind="message", id="c1", text="x" * 70_000)
        assert await visitor.closed() == 4413


async def test_only_a_web_chat_inbox_has_visitors(service: Recorded) -> None:
    for inbox in ("whatsapp", "nobody"):
        async with page(service, inbox) as visitor:
            assert await visitor.closed() == 4404
        answer = await service.http.post(f"/v1/inboxes/{inbox}/visitor/session")
        assert answer.status_code == 404


async def test_a_visitor_keeps_their_place_by_showing_the_earlier_token(service: Recorded) -> None:
    first = await session(service, name="Sari")
    again = await session(service, token=first["token"])
    other = await session(service)
    assert first["visitor"] == again["visitor"] != other["visitor"]
    assert not first["identified"]


async def test_a_customer_of_the_owner_is_known_by_the_identity_token(service: Recorded) -> None:
    found = await session(service, identity=identity())
    assert found["identified"]
    assert (await session(service, token=found["token"]))["expires_at"] == found["expires_at"]
    for wrong in ("x", "", 5):
        answer = await service.http.post(
            "/v1/inboxes/webchat/visitor/session", content=encoded({"identity": wrong})
        )
        assert answer.status_code == 401


async def test_a_page_without_a_socket_posts_its_messages(service: Recorded) -> None:
    who = await session(service)
    sent = encoded({"items": [{"id": "c1", "text": "halo"}, {"id": "c2"}]})
    path, headers = "/v1/inboxes/webchat/visitor", {"authorization": f"Bearer {who['token']}"}
    answer = await service.http.post(path, content=sent, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert [item.item_id for item in service.recorder.items] == [
        f"{who['visitor']}/c1",
        f"{who['visitor']}/c2",
    ]
    assert (await service.http.post(path, content=sent)).status_code == 401
    assert (await service.http.post(path, content=b"halo", headers=headers)).status_code == 400
    assert (await service.inside.post(path, content=b" " * 70_000, headers=headers)).status_code == 413
    service.recorder.fails = True
    assert (await service.http.post(path, content=sent, headers=headers)).status_code == 503


async def test_a_page_of_another_origin_may_call(service: Recorded) -> None:
    for path in ("/v1/inboxes/webchat/visitor", "/v1/inboxes/webchat/visitor/session"):
        preflight = await service.http.options(path)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")
        answer = await service.http.post(path, content=b"x")
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_socket_that_is_too_slow_is_told_to_begin_anew() -> None:
    feed = VisitorFeed(10, 200)
    with feed.subscribe(("webchat", "v")) as slow:
        for number in range(WAITING):
            feed.on_event(answer_to("v", number))
        assert not slow.missed.is_set()
        feed.on_event(answer_to("v", WAITING))
        assert slow.missed.is_set()


def test_the_visitor_heard_of_least_recently_is_forgotten_first() -> None:
    feed = VisitorFeed(2, 3)
    for visitor, number in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        feed.on_event(answer_to(visitor, number))
    known = {v: [m.message_id for m in feed.since(("webchat", v), None)[0]] for v in "abc"}
    assert known == {"a": ["msg_1", "msg_3"], "b": [], "c": ["msg_4"]}


def test_of_one_visitor_the_latest_answers_are_kept() -> None:
    feed = VisitorFeed(2, 3)
    for number in range(10):
        feed.on_event(answer_to("a", number))
    assert [m.message_id for m in feed.since(("webchat", "a"), None)[0]] == ["msg_7", "msg_8", "msg_9"]
