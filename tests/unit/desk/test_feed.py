"""The course of one connection: where it begins, what it does when it cannot go on, how it ends."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import WebSocket
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from libs.contracts.payloads import assignments as a
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing
from libs.service.auth import Bearer, Principal, Role, issue
from libs.service.problems import Problem
from libs.timesource import ManualTime, SystemTime
from services.desk.feed.access import principal_of, subscriber_of
from services.desk.feed.events import sse
from services.desk.feed.heartbeats import LOOK_EVERY, Heartbeats
from services.desk.feed.stream import Feed
from services.desk.live.cursor import Vector
from services.desk.live.hub import Hub
from services.desk.live.ring import Ring
from services.desk.live.subscriber import FRAMES, Subscriber
from services.desk.live.view import Open
from tests.unit.desk.story import START, WORKSPACE, Talk
from tests.unit.desk.test_live import Desk

LATER = START + timedelta(days=40_000)


async def settled(_: list[Open]) -> None:
    """Nothing is being read."""


def feed(hub: Hub, *, cursor: str | None = None, **more: Any) -> tuple[Feed, AsyncIterator[list[str]]]:
    fields: dict[str, Any] = {"time": SystemTime(), "expires_at": LATER, "ping_every": 15.0} | more
    subscriber = Subscriber("ayu")
    one = Feed(hub, settled, subscriber=subscriber, cursor=cursor, **fields)
    return one, one.batches()


async def read(batches: AsyncIterator[list[str]]) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in await anext(batches)]


def types(frames: list[dict[str, Any]]) -> list[str]:
    return [f["type"] for f in frames]


async def test_a_first_connection_begins_with_a_snapshot_and_goes_on_with_what_comes() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"))
    _, batches = feed(desk.hub)
    (first,) = await read(batches)
    assert first["type"] == "snapshot"
    desk.say(talk.received(), talk.received())
    assert types(await read(batches)) == ["event", "event"]


async def test_frames_that_come_while_the_snapshot_is_made_are_not_sent_twice() -> None:
    desk, talk = Desk(messages=1), Talk()
    other = Talk("2")
    desk.say(talk.opened(), talk.received(), talk.work(a.WorkAssigned, agent_id="ayu"))
    desk.say(other.opened(), other.received())

    async def meanwhile(parts: list[Open]) -> None:
        assert [p.conversation_id for p in parts] == ["cnv_1"]
        desk.say(talk.received("lagi"))

    subscriber = Subscriber("ayu")
    batches = Feed(desk.hub, meanwhile, SystemTime(), subscriber, None, LATER).batches()
    (first,) = await read(batches)
    assert first["conversations"][0]["version"] == 3
    assert subscriber.take() == []


async def test_a_slow_connection_is_sent_a_snapshot_in_place_of_what_it_missed() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"))
    one, batches = feed(desk.hub)
    await read(batches)
    for _ in range(FRAMES + 10):
        desk.say(talk.received())
    notice, snapshot = await read(batches)
    assert (notice["type"], notice["reason"]) == ("resync", "slow")
    assert snapshot["conversations"][0]["version"] == talk.version
    assert not one.subscriber.overflowed
    desk.say(talk.received())
    assert types(await read(batches)) == ["event"]


async def test_a_cursor_too_old_to_go_on_from_leads_to_a_snapshot() -> None:
    desk, talk = Desk(), Talk()
    desk.hub.ring = Ring(Vector(), events=2)
    old = str(desk.hub.vector)
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"), talk.received(), talk.received())
    _, batches = feed(desk.hub, cursor=old)
    notice, snapshot = await read(batches)
    assert (notice["type"], notice["reason"]) == ("resync", "too_old")
    assert len(snapshot["conversations"][0]["messages"]) == 2


async def test_a_cursor_that_is_none_leads_to_a_snapshot() -> None:
    _, batches = feed(Desk().hub, cursor="yesterday")
    notice, snapshot = await read(batches)
    assert (notice["reason"], snapshot["type"]) == ("bad_cursor", "snapshot")


async def test_a_process_that_is_behind_a_cursor_catches_up_before_it_goes_on() -> None:
    ahead, behind, talk = Desk(), Desk(), Talk()
    told = [talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"), talk.received("satu")]
    ahead.say(*told)
    late = talk.received("dua")
    _, batches = feed(behind.hub, cursor=str(ahead.hub.vector), time=CatchingUp(behind, [*told, late]))
    resumed, event, conversation, last = await read(batches)
    assert types([resumed, event, conversation, last]) == ["resumed", "event", "conversation", "ping"]
    assert event["event"]["data"]["content"]["text"] == "dua"
    assert len(conversation["conversation"]["messages"]) == 2


class CatchingUp(ManualTime):
    """While somebody sleeps, a desk reads one event more."""

    def __init__(self, desk: Desk, told: list[Any]) -> None:
        super().__init__(START)
        self._desk, self._told = desk, told

    async def sleep(self, seconds: float) -> None:
        self._desk.say(self._told.pop(0))
        if len(self._told) == 1:
            self._desk.say(self._told.pop(0))


async def test_a_process_that_does_not_reach_a_cursor_says_so_with_a_snapshot() -> None:
    ahead, behind, talk = Desk(), Desk(), Talk()
    ahead.say(talk.opened())
    time = PassingTime(START)
    _, batches = feed(behind.hub, cursor=str(ahead.hub.vector), time=time)
    notice, _ = await read(batches)
    assert notice["reason"] == "ahead"
    assert 1.9 < time.monotonic() < 3


class PassingTime(ManualTime):
    """Sleeping moves it."""

    async def sleep(self, seconds: float) -> None:
        await self.advance(timedelta(seconds=seconds))


async def test_a_quiet_connection_is_given_fresh_cursors() -> None:
    desk = Desk()
    _, batches = feed(desk.hub, ping_every=0.01)
    (first,) = await read(batches)
    desk.say(Talk("2").opened())
    (ping,) = await read(batches)
    assert ping["type"] == "ping"
    assert ping["cursor"] != first["cursor"]


async def test_a_connection_ends_with_its_token_and_leaves_the_hub() -> None:
    desk, time = Desk(), ManualTime(START)
    _, batches = feed(desk.hub, time=time, expires_at=START + timedelta(hours=1), ping_every=0.01)
    await read(batches)
    assert list(desk.hub.connected()) == ["ayu"]
    await time.advance(timedelta(hours=1))
    (bye,) = await read(batches)
    assert (bye["type"], bye["reason"]) == ("bye", "token_expired")
    with pytest.raises(StopAsyncIteration):
        await anext(batches)
    assert list(desk.hub.connected()) == []


def test_a_server_sent_event_carries_its_cursor_as_its_id() -> None:
    desk = Desk()
    frame = desk.hub.snapshot(Subscriber("ayu"))
    identified, data, *_ = sse(frame).split("\n")
    assert identified == f"id: {desk.hub.vector}"
    assert json.loads(data.removeprefix("data: "))["type"] == "snapshot"
    assert sse('{"type":"error"}') == 'data: {"type":"error"}\n\n'


# Access

SECRET = SecretStr("a secret of at least thirty-two bytes")
BEARER = Bearer(SECRET, workspace="toko", time=ManualTime(START))


def token(agent_id: str, role: Role = Role.AGENT) -> str:
    return issue(
        SECRET, agent_id=agent_id, workspace="toko", role=role, now=START, lifetime=timedelta(hours=1)
    )


def connection(query: str = "", header: str = "", protocols: list[str] | None = None) -> HTTPConnection:
    headers = [(b"authorization", header.encode())] if header else []
    scope: dict[str, Any] = {"type": "http", "headers": headers, "query_string": query.encode()}
    if protocols is None:
        return HTTPConnection(scope)
    return WebSocket(scope | {"type": "websocket", "subprotocols": protocols}, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shown",
    [
        connection(header=f"Bearer {token('ayu')}"),
        connection(query=f"access_token={token('ayu')}"),
        connection(protocols=["sambung.v1", f"bearer.{token('ayu')}"]),
        connection(query=f"access_token={token('ayu')}", protocols=[]),
    ],
)
def test_a_token_may_come_in_any_of_the_ways_browsers_have(shown: HTTPConnection) -> None:
    assert principal_of(shown, BEARER).agent_id == "ayu"


def principal(agent_id: str, role: Role) -> Principal:
    return Principal(agent_id, "toko", role, LATER)


@pytest.mark.parametrize(
    ("agent_id", "role", "query", "pool"),
    [
        ("ayu", Role.AGENT, "", None),
        ("rina", Role.SUPERVISOR, "", None),
        ("rina", Role.SUPERVISOR, "scope=pool", "support"),
        ("rina", Role.SUPERVISOR, "scope=pool&pool=finance", "finance"),
        ("report", Role.SERVICE, "scope=pool&pool=finance", "finance"),
    ],
)
def test_the_scope_says_what_is_followed(agent_id: str, role: Role, query: str, pool: str | None) -> None:
    found = subscriber_of(connection(query), principal(agent_id, role), WORKSPACE)
    assert (found.agent_id, found.pool) == (agent_id, pool)


@pytest.mark.parametrize(
    ("agent_id", "role", "query", "status"),
    [
        ("nobody", Role.AGENT, "", 403),
        ("ayu", Role.AGENT, "scope=pool", 403),
        ("report", Role.SERVICE, "scope=pool", 404),
        ("rina", Role.SUPERVISOR, "scope=pool&pool=x", 404),
        ("rina", Role.SUPERVISOR, "scope=world", 422),
    ],
)
def test_a_scope_that_is_not_the_callers_is_refused(
    agent_id: str, role: Role, query: str, status: int
) -> None:
    with pytest.raises(Problem) as refused:
        subscriber_of(connection(query), principal(agent_id, role), WORKSPACE)
    assert refused.value.status == status


# Heartbeats


class Wire:
    """A publisher that keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.away = False

    async def publish(self, records: list[Outgoing]) -> None:
        if self.away:
            raise PublishFailed("away")
        self.records += records

    def of(self, agent_id: str) -> int:
        return sum(json.loads(r.value)["agent_id"] == agent_id for r in self.records)


async def test_each_connected_agent_beats_three_times_a_lease_and_then_no_more() -> None:
    desk, time, wire = Desk(), ManualTime(START), Wire()
    beating = Heartbeats(desk.hub, wire, WORKSPACE, time)  # type: ignore[arg-type]
    connections = [desk.feed("ayu"), desk.feed("ayu"), desk.feed("unknown")]
    lease = WORKSPACE.pools["support"].presence_lease.total_seconds()
    for _ in range(int(4 * lease / LOOK_EVERY)):
        await beating.beat()
        await time.advance(timedelta(seconds=LOOK_EVERY))
    assert 12 <= wire.of("ayu") <= 16
    assert len(wire.records) == wire.of("ayu")
    assert {(r.topic, r.key) for r in wire.records} == {("agent-commands", b"support")}
    for subscriber in connections:
        desk.hub.detach(subscriber)
    before = len(wire.records)
    await time.advance(timedelta(hours=1))
    await beating.beat()
    assert len(wire.records) == before


async def test_a_heartbeat_that_could_not_be_published_stays_due() -> None:
    desk, wire = Desk(), Wire()
    desk.feed("ayu")
    beating = Heartbeats(desk.hub, wire, WORKSPACE, ManualTime(START))  # type: ignore[arg-type]
    wire.away = True
    await beating.beat()
    wire.away = False
    await beating.beat()
    await beating.beat()
    assert wire.of("ayu") == 1
