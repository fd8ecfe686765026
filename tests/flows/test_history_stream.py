"""This file proves the stream of a timeline on the real database: every entry once, in one order, from wherever one resumes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Scope

from libs.flow.database import DatabaseAway
from libs.flow.harness import Harness
from libs.service.auth import Bearer, Role, issue
from libs.service.http import application
from libs.timesource import SystemTime
from services.history.api import routes
from services.history.domain.cursors import Mark
from services.history.flow import flow
from services.history.store import Reads
from services.history.streaming import PAGE, Streams
from tests.flows.test_history import History, resolved_contact, second
from tests.unit.sla.story import WORKSPACE, Talk

pytestmark = pytest.mark.postgres

SECRET = SecretStr("a secret of the tests, 32 bytes or more")
TIME = SystemTime()
WITHIN = 10.0


def later(seconds: float = 60) -> datetime:
    return TIME.now() + timedelta(seconds=seconds)


@pytest.fixture
async def history(postgres_dsn: str) -> AsyncIterator[History]:
    async with Harness(flow(), postgres_dsn) as harness:
        yield History(harness)


@pytest.fixture
def reads(history: History) -> Reads:
    return Reads(history.h.database)


class Follower:
    """Reads a stream until it has what is asked for."""

    def __init__(self, pages: AsyncIterator[list[Any]]) -> None:
        self._pages = pages
        self.mark = Mark(0)
        self.got: list[str] = []

    async def take(self, count: int) -> list[str]:
        """The next so many entries (or more, where a page brings more)."""
        fresh: list[str] = []
        async with asyncio.timeout(WITHIN):
            while len(fresh) < count:
                for row in await anext(self._pages):
                    fresh.append(row["entry_id"])
                    self.mark = Mark(int(row["xid"]), row["entry_id"])
        self.got += fresh
        return fresh


@asynccontextmanager
async def following(
    streams: Streams, contact_id: str = "con_ana", mark: Mark | None = None
) -> AsyncIterator[Follower]:
    async with aclosing(streams.follow(contact_id, mark or Mark(0), later())) as pages:
        yield Follower(pages)


async def known(history: History) -> Talk:
    talk = Talk("ana")
    await history.give(resolved_contact(talk, "con_ana", second(0)))
    return talk


async def recorded(history: History) -> list[str]:
    rows = await history.h.rows(
        "select entry_id from entry where contact_id = 'con_ana' order by recorded_xid, entry_id"
    )
    return [row[0] for row in rows]


async def test_a_stream_brings_what_is_there_and_then_what_comes(history: History, reads: Reads) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    async with following(streams) as stream:
        await stream.take(1)
        await history.give(talk.assigned(second(1)), talk.completed(second(2)))
        await stream.take(2)
        assert stream.got == await recorded(history)


async def test_a_stream_from_now_brings_only_what_comes(history: History, reads: Reads) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    mark = await streams.now()
    said = await history.give(talk.assigned(second(1)))
    async with following(streams, mark=mark) as stream:
        assert await stream.take(1) == [said[0].data.entry_id]


async def test_a_wake_up_is_faster_than_the_next_look(history: History, reads: Reads) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=3600)
    async with following(streams) as stream:
        await stream.take(1)
        asking = asyncio.get_running_loop().create_task(stream.take(1))
        said = await history.give(talk.assigned(second(1)))
        streams.wake("con_ana")
        assert await asking == [said[0].data.entry_id]


async def test_an_entry_waits_for_transactions_that_may_still_put_one_before_it(
    history: History, reads: Reads, postgres_dsn: str
) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    insert = (
        "insert into entry (entry_id, contact_id, contact_point_id, kind, event_type, occurred_at, text, details) "
        "values ('ent_slow', 'con_ana', $1, 'note', 'note.added.v1', now(), 'slow', '{}')"
    )
    mark = await streams.now()
    slow = await asyncpg.connect(postgres_dsn, server_settings={"search_path": history.h.database.schema})
    try:
        async with slow.transaction():
            await slow.execute(insert, talk.point)
            said = await history.give(talk.assigned(second(1)))
            assert await reads.recorded_after("con_ana", mark, 10) == []
        async with following(streams, mark=mark) as stream:
            assert await stream.take(2) == ["ent_slow", said[0].data.entry_id]
    finally:
        await slow.close()


async def test_a_page_and_the_stream_from_it_leave_no_gap(
    history: History, reads: Reads, postgres_dsn: str
) -> None:
    """What commits between the two statements of a page is on the stream."""
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    slow = await asyncpg.connect(postgres_dsn, server_settings={"search_path": history.h.database.schema})
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(
            "insert into entry (entry_id, contact_id, contact_point_id, kind, event_type, occurred_at, text, details) "
            "values ('ent_slow', 'con_ana', $1, 'note', 'note.added.v1', now(), 'slow', '{}')",
            talk.point,
        )
        mark = await reads.now()
        shown = set(await recorded(history))
        await transaction.commit()
    finally:
        await slow.close()
    await history.give(talk.assigned(second(1)))
    async with following(streams, mark=mark) as stream:
        await stream.take(2)
        assert shown | set(stream.got) == set(await recorded(history))


async def test_transactions_are_in_the_order_of_their_numbers_not_of_their_digits(
    history: History, reads: Reads
) -> None:
    for xid in (100, 99, 9):
        await history.h.database.execute(
            "insert into entry (entry_id, contact_id, contact_point_id, kind, event_type, occurred_at, text, details, "
            "recorded_xid) values ($1, 'con_ana', 'cpt_x', 'note', 'note.added.v1', now(), '', '{}', $2::text::xid8)",
            f"ent_{xid}",
            str(xid),
        )
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    async with following(streams) as stream:
        assert await stream.take(3) == ["ent_9", "ent_99", "ent_100"]


@pytest.mark.parametrize("seed", range(3))
async def test_a_follower_who_is_cut_off_at_random_gets_every_entry_once_in_one_order(
    history: History, reads: Reads, seed: int
) -> None:
    dice = random.Random(seed)
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.02)
    total = 60
    writing = asyncio.get_running_loop().create_task(
        history.give(*[talk.assigned(second(n)) for n in range(total - 1)])
    )
    got: list[str] = []
    mark = Mark(0)
    while len(got) < total:
        async with following(streams, mark=mark) as stream:
            await stream.take(dice.randrange(1, 8) if total - len(got) > 8 else 1)
            got += stream.got
            mark = Mark.parse(str(stream.mark))
    await writing
    assert got == await recorded(history)
    assert len(set(got)) == total


async def test_pages_of_a_stream_are_bounded(history: History, reads: Reads) -> None:
    talk = await known(history)
    records = [history.h.record(talk.assigned(second(n)), key=talk.point) for n in range(PAGE * 2)]
    await history.h.feed(records)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    async with aclosing(streams.follow("con_ana", Mark(0), later())) as pages:
        sizes = [len(await anext(pages)) for _ in range(3)]
    assert sizes == [PAGE, PAGE, 1]


async def test_an_idle_stream_shows_that_it_is_alive(history: History, reads: Reads) -> None:
    streams = Streams(reads, TIME, limit=9, poll=0.02, heartbeat=0.05)
    async with asyncio.timeout(WITHIN), aclosing(streams.follow("con_nobody", Mark(0), later())) as pages:
        assert await anext(pages) == []
        assert await anext(pages) == []


async def test_a_stream_ends_with_the_token_that_opened_it(history: History, reads: Reads) -> None:
    streams = Streams(reads, TIME, limit=9, poll=0.02)
    async with asyncio.timeout(WITHIN), aclosing(streams.follow("con_nobody", Mark(0), later(0.1))) as pages:
        assert [page async for page in pages] == []


async def test_a_stream_outlives_an_outage_of_the_database(
    history: History, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.02)
    really, failures = reads.recorded_after, iter(range(3))

    async def away(*args: Any) -> list[Any]:
        if next(failures, None) is not None:
            raise DatabaseAway("gone")
        return await really(*args)

    async with following(streams) as stream:
        await stream.take(1)
        monkeypatch.setattr(reads, "recorded_after", away)
        said = await history.give(talk.assigned(second(1)))
        assert await stream.take(1) == [said[0].data.entry_id]


async def test_streams_are_counted_and_refused_beyond_the_limit(history: History, reads: Reads) -> None:
    await known(history)
    streams = Streams(reads, TIME, limit=1, poll=0.05)
    assert not streams.full
    async with following(streams) as stream:
        await stream.take(1)
        assert streams.full
    assert not streams.full
    assert streams._listeners == {}


class Client:
    """Holds one request to an ASGI application and reads its answer while it is being made."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._sent = False

    async def receive(self) -> Message:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self._chunks.put_nowait(message.get("body", b""))

    async def chunk(self) -> str:
        async with asyncio.timeout(WITHIN):
            return (await self._chunks.get()).decode()

    def leave(self) -> None:
        self._gone.set()


async def _answer(app: ASGIApp, scope: Scope, client: Client) -> None:
    await app(scope, client.receive, client.send)


@asynccontextmanager
async def request(app: ASGIApp, path: str, **headers: str) -> AsyncIterator[Client]:
    client = Client()
    address, _, query = path.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "server": ("history", 80),
        "client": ("127.0.0.1", 1),
    }
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(_answer(app, scope, client))
    try:
        yield client
    finally:
        client.leave()
        async with asyncio.timeout(WITHIN):
            await task


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(id, data) of each event in a piece of a stream."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if fields.get("event") == "entry":
            found.append((fields["id"], json.loads(fields["data"])))
    return found


async def test_over_http_a_stream_resumes_after_the_last_event_that_was_seen(
    history: History, reads: Reads
) -> None:
    talk = await known(history)
    streams = Streams(reads, TIME, limit=9, poll=0.05)
    app = application("history", routes(reads, streams, Bearer(SECRET, workspace=WORKSPACE.id, time=TIME)))
    token = issue(
        SECRET,
        agent_id="ayu",
        workspace=WORKSPACE.id,
        role=Role.AGENT,
        now=TIME.now(),
        lifetime=timedelta(hours=1),
    )
    path, authorization = "/v1/contacts/con_ana/timeline/stream", f"Bearer {token}"
    async with request(app, path, authorization=authorization) as first:
        begin = (await first.chunk()).removeprefix("id: ").strip()
        assert (first.status, first.headers[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        await history.give(talk.asked(second(1)).model_copy(update={"contact_id": "con_ana"}))
        ((seen, entry),) = events(await first.chunk())
        assert (entry["text"], entry["kind"], entry["contact_id"]) == ("Halo", "message", "con_ana")
    await history.give(talk.assigned(second(2)))
    async with request(app, path, authorization=authorization, last_event_id=seen) as second_:
        await second_.chunk()
        ((_, entry),) = events(await second_.chunk())
        assert entry["text"] == "Assigned to ayu"
    async with request(app, f"{path}?from={begin}", authorization=authorization) as third:
        await third.chunk()
        assert {entry["text"] for _, entry in events(await third.chunk())} == {"Halo", "Assigned to ayu"}
    async with request(app, f"{path}?from=nonsense", authorization=authorization) as fourth:
        assert json.loads(await fourth.chunk())["code"] == "bad_cursor"
        assert fourth.status == 422
    assert streams._listeners == {}
