"""A desk on a real broker and database: the router is played by the test, the agent by a WebSocket client."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import commands as w
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads.base import Payload
from libs.contracts.vocabulary import Presence
from libs.flow.database import Database
from libs.flow.publisher import Publisher, first_hand
from libs.flow.runner import Runner
from libs.flow.schema import migrate
from libs.flow.tail import Tail, Tailed
from libs.service.auth import Role, issue
from libs.service.edge import Edge
from libs.service.health import Health, Phase
from libs.service.http import HttpServer, application, listen
from libs.service.process import Runtime
from libs.timesource import SystemTime, random_token
from services.desk.flow import build
from services.desk.settings import Settings
from tests.unit.desk.screen import Screen, Shown
from tests.unit.desk.story import WORKSPACE, Talk, agent_changed

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

SECRET = SecretStr("a secret of at least thirty-two bytes")
TIME = SystemTime()


def token(agent_id: str, role: Role = Role.AGENT, *, lifetime: float = 600, workspace: str = "toko") -> str:
    return issue(SECRET, agent_id=agent_id, workspace=workspace, role=role, now=TIME.now(), lifetime=timedelta(seconds=lifetime))  # fmt: skip


async def until(condition: Callable[[], Any], what: str, within: float = 15.0) -> None:
    deadline = TIME.monotonic() + within
    while not condition():
        assert TIME.monotonic() < deadline, f"waited {within} s for: {what}"
        await TIME.sleep(0.01)


@dataclass
class Desk:
    """One desk process, inside this one."""

    address: str
    database: Database

    def client(self, agent_id: str, role: Role = Role.AGENT) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token(agent_id, role)}"}
        return httpx.AsyncClient(base_url=self.address, headers=headers, timeout=15)

    def feed(self, agent_id: str, role: Role = Role.AGENT, **query: str) -> Any:
        text = "&".join(f"{k}={v}" for k, v in query.items())
        headers = {"authorization": f"Bearer {token(agent_id, role)}"}
        return connect(f"{self.address.replace('http', 'ws')}/v1/feed?{text}", additional_headers=headers, compression=None)  # fmt: skip


@asynccontextmanager
async def desk_process(kafka: str, dsn: str, schema: str) -> AsyncIterator[Desk]:
    settings = Settings(
        kafka=kafka, postgres=dsn, workspace=Path("workspace.yaml"), jwt_secret=SECRET, port=0
    )
    database, publisher = Database(dsn, schema), Publisher(kafka, "test-desk")
    async with AsyncExitStack() as stack:
        await migrate(dsn, schema, "services.desk")
        await database.start()
        stack.push_async_callback(database.stop)
        stack.push_async_callback(publisher.stop)
        app = build(Runtime(settings, TIME, WORKSPACE, database, publisher, None))
        runner = Runner(app.flows, database=database, kafka=kafka, publisher=publisher)
        await runner.start()
        stack.push_async_callback(runner.stop)
        health = Health("desk", Phase.SERVING)
        edge = Edge(application("desk", app.api), health)
        server = HttpServer(edge, listen("127.0.0.1", 0), lambda name, fault: None)
        for background in app.background:
            await stack.enter_async_context(background())
        await server.start()
        stack.push_async_callback(server.stop)
        stack.callback(edge.drain)
        yield Desk(server.address, database)


@dataclass
class Router:
    """Says what the router would say, and sees what the desk asks."""

    publisher: Publisher
    asked: list[Tailed] = field(default_factory=list)
    answer: Callable[[Tailed], list[Payload]] | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def say(self, *payloads: Payload, cause: str = "") -> None:
        await self.publisher.publish(
            [
                first_hand(
                    p,
                    key=str(getattr(p, "contact_point_id", "") or getattr(p, "agent_id", "")),
                    source="/router/test",
                    id=random_token(),
                    at=TIME.now(),
                    causation=cause,
                )
                for p in payloads
            ]
        )

    def take(self, tailed: Tailed) -> None:
        self.asked.append(tailed)
        if self.answer is not None and (said := self.answer(tailed)):
            task = asyncio.get_running_loop().create_task(self.say(*said, cause=tailed.event.envelope.name))
            self._tasks.append(task)

    def asked_for(self, kind: type[Payload]) -> list[Any]:
        return [t.event.data for t in self.asked if isinstance(t.event.data, kind)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_router(kafka: str) -> AsyncIterator[Router]:
    publisher = Publisher(kafka, "test-router")
    playing = Router(publisher)
    tail = Tail(kafka, ["commands", "agent-commands"], playing.take)
    await tail.start(None)
    yield playing
    await tail.stop()
    await publisher.stop()


@pytest.fixture
def router(shared_router: Router) -> Router:
    shared_router.asked, shared_router.answer = [], None
    return shared_router


@asynccontextmanager
async def own_schema(dsn: str) -> AsyncIterator[str]:
    name = f"it_desk_{random_token(4)}"
    yield name
    connection = await asyncpg.connect(dsn)
    await connection.execute(f'drop schema if exists "{name}" cascade')
    await connection.close()


@pytest.fixture
async def schema(postgres_dsn: str) -> AsyncIterator[str]:
    """For a test that starts desks of its own."""
    async with own_schema(postgres_dsn) as name:
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(kafka: str, postgres_dsn: str) -> AsyncIterator[Desk]:
    """One desk for all tests that need no other: each has conversations of its own."""
    async with own_schema(postgres_dsn) as name, desk_process(kafka, postgres_dsn, name) as running:
        yield running


class Wire:
    """A screen behind a real WebSocket."""

    def __init__(self, socket: ClientConnection, agent_id: str, screen: Screen | None = None) -> None:
        self.socket, self.screen = socket, screen or Screen(agent_id)
        self.frames: list[dict[str, Any]] = []

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(15):
            text = await self.socket.recv()
        assert isinstance(text, str)
        said: dict[str, Any] = json.loads(text)
        self.frames.append(said)
        if "cursor" in said:
            self.screen.read(text)
        return said

    async def read_until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        while True:
            said = await self.read()
            if condition(said):
                return said


def is_event(kind: type[Payload]) -> Callable[[dict[str, Any]], bool]:
    return lambda said: said["type"] == "event" and said["event"]["type"] == kind.type


def shown_in(wire: Wire, t: Talk) -> Shown:
    return wire.screen.conversations[t.conversation_id]


def has(wire: Wire, t: Talk, messages: int) -> Callable[[dict[str, Any]], bool]:
    """Whether the screen shows the conversation, whole, with so many messages."""

    def check(_said: dict[str, Any]) -> bool:
        shown = wire.screen.conversations.get(t.conversation_id)
        return shown is not None and not shown.partial and len(shown.latest) == messages

    return check


def texts(wire: Wire, t: Talk) -> list[str]:
    return [json.loads(m.content)["text"] for m in shown_in(wire, t).latest]


def talk() -> Talk:
    return Talk(random_token(6))


async def test_an_offer_brings_the_conversation_and_what_follows_arrives_as_events(
    desk: Desk, router: Router
) -> None:
    t = talk()
    async with desk.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        first = await wire.read()
        assert first["type"] == "snapshot"
        assert t.conversation_id not in {c["conversation_id"] for c in first["conversations"]}
        await router.say(t.opened(), t.received("halo, pesanan saya?"))
        await router.say(t.work(a.WorkQueued), t.work(a.ReservationOffered, agent_id="ayu"))
        offered = await wire.read_until(is_event(a.ReservationOffered))
        if "messages" not in offered["conversation"] or not offered["conversation"]["messages"]:
            await wire.read_until(is_event(c.MessageReceived))
        await router.say(t.work(a.WorkAssigned, agent_id="ayu"), t.received("masih di sana?"))
        await wire.read_until(has(wire, t, 2))
        assert texts(wire, t) == ["halo, pesanan saya?", "masih di sana?"]
        assert "explanation" not in offered["event"]["data"]


async def test_a_lost_connection_goes_on_where_it_stopped(desk: Desk, router: Router) -> None:
    t = talk()
    async with desk.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        await router.say(t.opened(), t.received("satu"), t.work(a.WorkAssigned, agent_id="ayu"))
        await wire.read_until(has(wire, t, 1))
    for said in ("dua", "tiga"):
        await router.say(t.received(said))
    async with desk.feed("ayu", cursor=wire.screen.cursor or "") as socket:
        again = Wire(socket, "ayu", wire.screen)
        await router.say(t.received("empat"))
        await again.read_until(has(again, t, 4))
    assert texts(wire, t) == ["satu", "dua", "tiga", "empat"]
    assert len(set(wire.screen.events)) == len(wire.screen.events)
    assert wire.screen.snapshots == 1


async def test_a_restarted_desk_goes_on_where_the_other_stopped(
    kafka: str, postgres_dsn: str, schema: str, router: Router
) -> None:
    t = talk()
    async with desk_process(kafka, postgres_dsn, schema) as first, first.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        await router.say(
            t.opened(), *[t.received(str(n)) for n in range(3)], t.work(a.WorkAssigned, agent_id="ayu")
        )
        await wire.read_until(has(wire, t, 3))
    await router.say(t.received("3"))
    # Its memory begins with the tables, so the cursor is as old as that, or older: then there is a snapshot.
    async with desk_process(kafka, postgres_dsn, schema) as second, desk_feed(second, wire) as again:
        await again.read_until(has(again, t, 4))
        await router.say(t.received("4"))
        await again.read_until(has(again, t, 5))
    assert texts(wire, t) == ["0", "1", "2", "3", "4"]


@asynccontextmanager
async def desk_feed(desk: Desk, wire: Wire) -> AsyncIterator[Wire]:
    async with desk.feed(wire.screen.agent_id, cursor=wire.screen.cursor or "") as socket:
        yield Wire(socket, wire.screen.agent_id, wire.screen)


async def test_a_new_desk_sends_old_messages_of_a_conversation_it_has_not_read(
    kafka: str, postgres_dsn: str, schema: str, router: Router
) -> None:
    t = talk()
    async with desk_process(kafka, postgres_dsn, schema) as first:
        await router.say(t.opened(), t.received("dulu"), t.work(a.WorkQueued))
        await in_the_projection(first, t, messages=1)
    async with desk_process(kafka, postgres_dsn, schema) as second, second.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        await router.say(t.received("sekarang"), t.work(a.WorkAssigned, agent_id="ayu"))
        await wire.read_until(has(wire, t, 2))
        assert texts(wire, t) == ["dulu", "sekarang"]


async def test_server_sent_events_carry_the_same_feed(desk: Desk, router: Router) -> None:
    t = talk()
    async with desk.client("ayu") as http, http.stream("GET", "/v1/feed/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        screen, last_id = Screen("ayu"), ""

        async def read() -> None:
            nonlocal last_id
            async with asyncio.timeout(15):
                async for line in lines:
                    if line.startswith("id: "):
                        last_id = line[4:]
                    if line.startswith("data: "):
                        screen.read(line[6:])
                        return

        await read()
        await router.say(t.opened(), t.received("halo"), t.work(a.WorkAssigned, agent_id="ayu"))
        while (
            t.conversation_id not in screen.conversations
            or not screen.conversations[t.conversation_id].latest
        ):
            await read()
        assert last_id == screen.cursor
    await router.say(t.received("lagi"))
    headers = {"last-event-id": last_id}
    async with desk.client("ayu") as http, http.stream("GET", "/v1/feed/events", headers=headers) as stream:
        lines = stream.aiter_lines()
        while len(screen.conversations[t.conversation_id].latest) < 2:
            await read()
    assert screen.snapshots == 1


async def test_a_reply_is_answered_with_the_event_it_led_to(desk: Desk, router: Router) -> None:
    t = talk()
    await router.say(t.opened(), t.received("halo"), t.work(a.WorkAssigned, agent_id="ayu"))

    def answer(asked: Tailed) -> list[Payload]:
        return [t.answered("baik")] if isinstance(asked.event.data, w.SendReply) else []

    router.answer = answer
    async with desk.client("ayu") as http:
        await known(http, t)
        path = f"/v1/conversations/{t.conversation_id}/reply"
        key = random_token()
        first = await http.post(path, json={"text": "baik"}, headers={"idempotency-key": key})
        assert first.status_code == 200, first.text
        assert first.json()["command_id"] == key
        assert first.json()["event"]["type"] == "message.queued.v1"
        again = await http.post(path, json={"text": "baik"}, headers={"idempotency-key": key})
        assert again.status_code == 200
        assert again.json()["repeated"] is True
        assert again.json()["event"] == first.json()["event"]
        other = await http.post(path, json={"text": "lain"}, headers={"idempotency-key": key})
        assert other.status_code == 422
    (reply,) = router.asked_for(w.SendReply)
    assert reply.author.agent_id == "ayu"
    assert reply.author.name == "Ayu"
    assert router.asked[-1].event.key == t.contact_point_id
    assert router.asked[-1].event.envelope.name == f"/desk/ayu#{key}"


async def in_the_projection(desk: Desk, t: Talk, messages: int) -> None:
    async with asyncio.timeout(15):
        while True:
            sql = "select 1 from message_view where conversation_id = $1"
            if len(await desk.database.fetch(sql, t.conversation_id)) == messages:
                return
            await TIME.sleep(0.02)


async def known(http: httpx.AsyncClient, t: Talk) -> None:
    """Wait until the desk knows a conversation."""
    deadline = TIME.monotonic() + 15
    while (await http.get(f"/v1/conversations/{t.conversation_id}")).status_code != 200:
        assert TIME.monotonic() < deadline, "the conversation did not appear"
        await TIME.sleep(0.02)


async def test_a_repeat_after_a_restart_is_told_what_it_led_to(
    kafka: str, postgres_dsn: str, schema: str, router: Router
) -> None:
    t, key = talk(), random_token()
    path = f"/v1/conversations/{t.conversation_id}/note"
    router.answer = lambda asked: [t.noted("catatan")]
    async with desk_process(kafka, postgres_dsn, schema) as first, first.client("ayu") as http:
        await router.say(t.opened(), t.work(a.WorkAssigned, agent_id="ayu"))
        await known(http, t)
        done = await http.post(path, json={"text": "catatan"}, headers={"idempotency-key": key})
        assert done.status_code == 200
        await in_the_projection(first, t, messages=1)
    async with desk_process(kafka, postgres_dsn, schema) as second, second.client("ayu") as http:
        again = await http.post(path, json={"text": "catatan"}, headers={"idempotency-key": key})
        assert again.status_code == 200
        assert again.json() == {
            "command_id": key, "status": "done", "repeated": True,
            "event": {"type": "note.added.v1", "version": done.json()["event"]["version"]},
        }  # fmt: skip
    assert len(router.asked_for(w.AddNote)) == 1


async def test_a_refused_command_is_a_problem_with_its_code(desk: Desk, router: Router) -> None:
    t = talk()
    router.answer = lambda asked: [t.refused(asked.event.envelope.id, "window_closed")]
    async with desk.client("ayu") as http:
        await router.say(t.opened(), t.work(a.WorkAssigned, agent_id="ayu"))
        await known(http, t)
        refused = await http.post(f"/v1/conversations/{t.conversation_id}/reply", json={"text": "halo"})
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "window_closed"


async def test_an_agent_command_is_answered_by_the_agents_state(desk: Desk, router: Router) -> None:
    def answer(asked: Tailed) -> list[Payload]:
        match asked.event.data:
            case w.SetPresence():
                ok = a.CommandAnswer(command_id=asked.event.envelope.id, code="ok")
                return [agent_changed("ayu", 7, ok, presence=Presence.BREAK)]
            case w.AcceptReservation():
                no = a.CommandAnswer(command_id=asked.event.envelope.id, code="expired", text="too late")
                return [agent_changed("ayu", 8, no)]
        return []

    router.answer = answer
    async with desk.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        await wire.read()
        command = {"type": "command", "id": random_token(), "command": "presence", "presence": "break"}
        await socket.send(json.dumps(command))
        told = await wire.read_until(lambda said: said["type"] == "answer")
        assert (told["id"], told["status"]) == (command["id"], 200)
        assert told["body"]["event"]["data"]["presence"] == "break"
        accept = {"type": "command", "id": random_token(), "command": "accept", "reservation_id": "rsv_1"}
        await socket.send(json.dumps(accept))
        told = await wire.read_until(lambda said: said["type"] == "answer")
        assert (told["status"], told["body"]["code"]) == (409, "expired")
        assert wire.screen.agent is not None
    (presence,) = router.asked_for(w.SetPresence)
    assert (presence.agent_id, presence.pool) == ("ayu", "support")


async def test_a_command_that_nobody_answers_in_time_was_taken(desk: Desk, router: Router) -> None:
    async with desk.client("ayu") as http:
        taken = await http.post("/v1/work/wki_1/complete")
    assert taken.status_code == 202
    await until(lambda: router.asked_for(w.CompleteWork), "the command on the log")


async def test_a_connected_agent_beats_and_a_gone_one_does_not(desk: Desk, router: Router) -> None:
    async with desk.feed("budi") as one, desk.feed("budi") as two:
        await Wire(one, "budi").read()
        await Wire(two, "budi").read()
        await until(lambda: router.asked_for(w.Heartbeat), "a heartbeat")
    beats = [h for h in router.asked_for(w.Heartbeat) if h.agent_id == "budi"]
    assert len(beats) == 1, "one for the agent, not one for each connection"
    assert beats[0].pool == "support"


async def test_a_supervisor_sees_a_whole_pool(desk: Desk, router: Router) -> None:
    mine, other = talk(), talk()
    async with desk.feed("rina", Role.SUPERVISOR, scope="pool") as socket:
        wire = Wire(socket, "rina")
        first = await wire.read()
        assert first["type"] == "snapshot"
        assert "agents" in first
        await router.say(other.opened("loans"), mine.opened("billing"))
        seen = await wire.read_until(
            lambda said: said.get("event", {}).get("conversation_id") == mine.conversation_id
        )
        assert seen["event"]["type"] == "conversation.opened.v1"
        assert not any(
            f.get("event", {}).get("conversation_id") == other.conversation_id for f in wire.frames
        )


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 401),
        ("", {"authorization": "Bearer nonsense"}, 401),
        ("", {"authorization": f"Bearer {token('ayu', lifetime=-60)}"}, 401),
        ("", {"authorization": f"Bearer {token('ayu', workspace='other')}"}, 403),
        ("", {"authorization": f"Bearer {token('nobody')}"}, 403),
        ("scope=pool", {"authorization": f"Bearer {token('ayu')}"}, 403),
        ("scope=all", {"authorization": f"Bearer {token('ayu')}"}, 422),
        ("scope=pool&pool=none", {"authorization": f"Bearer {token('rina', Role.SUPERVISOR)}"}, 404),
    ],
)
async def test_a_feed_is_refused_before_it_opens(
    desk: Desk, query: str, headers: dict[str, str], status: int
) -> None:
    address = f"{desk.address.replace('http', 'ws')}/v1/feed?{query}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, additional_headers=headers)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"{}")["status"] == status
    async with httpx.AsyncClient(base_url=desk.address) as http:
        answer = await http.get(f"/v1/feed/events?{query}", headers=headers)
    assert answer.status_code == status


async def test_browsers_bring_their_token_as_a_subprotocol_or_in_the_query(desk: Desk) -> None:
    address = f"{desk.address.replace('http', 'ws')}/v1/feed"
    async with connect(address, subprotocols=["sambung.v1", f"bearer.{token('ayu')}"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "sambung.v1"
        assert (await Wire(socket, "ayu").read())["type"] == "snapshot"
    async with connect(f"{address}?access_token={token('ayu')}") as socket:
        assert (await Wire(socket, "ayu").read())["type"] == "snapshot"


async def say_until_it_ends(router: Router, wire: Wire) -> None:
    async with asyncio.timeout(15):
        while True:
            await router.say(agent_changed("ayu"))
            await wire.read()


async def test_a_connection_ends_when_its_token_does(desk: Desk, router: Router) -> None:
    address = f"{desk.address.replace('http', 'ws')}/v1/feed?access_token={token('ayu', lifetime=1)}"
    # The clocks' leeway lets the token in; the connection is closed by the first thing that happens on it.
    async with connect(address) as socket:
        wire = Wire(socket, "ayu")
        await wire.read()
        with pytest.raises(ConnectionClosed) as closed:
            await say_until_it_ends(router, wire)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    assert wire.frames[-1]["type"] == "bye"


@pytest.mark.parametrize("sent", ["{", "[]", '{"type":"hello"}', "x" * 300_000])
async def test_nonsense_from_a_client_costs_only_its_answer(desk: Desk, sent: str) -> None:
    async with desk.feed("ayu") as socket:
        wire = Wire(socket, "ayu")
        await wire.read()
        await socket.send(sent)
        assert (await wire.read_until(lambda said: said["type"] == "error"))["code"] == "unknown_frame"
        await socket.send(json.dumps({"type": "command", "id": "k", "command": "fly"}))
        told = await wire.read_until(lambda said: said["type"] == "answer")
        assert told["status"] == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/conversations/cnv_none", 404),
        ("/v1/conversations/%00", 404),
        ("/v1/conversations?queue=%00", 422),
        ("/v1/conversations?state=closed", 422),
        ("/v1/conversations?limit=0", 422),
        ("/v1/conversations?after=%00", 422),
        ("/v1/conversations?state=open&queue=none&agent=ayu", 200),
    ],
)
async def test_looking_up_never_fails_for_what_was_asked(desk: Desk, path: str, status: int) -> None:
    async with desk.client("ayu") as http:
        assert (await http.get(path)).status_code == status


async def test_what_is_another_pools_is_not_shown_and_not_taken(desk: Desk, router: Router) -> None:
    t = talk()
    await router.say(t.opened("loans"))
    async with desk.client("dewi") as dewi, desk.client("ayu") as ayu:
        await known(dewi, t)
        path = f"/v1/conversations/{t.conversation_id}"
        assert (await ayu.get(path)).status_code == 403
        assert (await ayu.post(f"{path}/note", json={"text": "x"})).status_code == 403
        listed = (await ayu.get("/v1/conversations?limit=200")).json()["conversations"]
        assert t.conversation_id not in [c["conversation_id"] for c in listed]
    async with httpx.AsyncClient(base_url=desk.address) as nobody:
        assert (await nobody.get(path)).status_code == 401
        assert (await nobody.post(f"{path}/note", json={"text": "x"})).status_code == 401


async def test_a_body_that_is_too_large_is_not_read(desk: Desk) -> None:
    async with desk.client("ayu") as http:
        answer = await http.post("/v1/conversations/cnv_1/note", content=b"x" * 300_000)
    assert answer.status_code == 413
