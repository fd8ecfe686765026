"""This file follows a contact's timeline: every entry once, in one order for everybody, from any mark that was given out.

The database is followed, not the topic: rows in the order of (recorded_xid, entry_id), as far as no transaction is under way
that could still put one before them. The topic `timeline` only says when to look; without it, streams look now and then.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog

from libs.flow.database import DatabaseAway
from libs.flow.tail import Tail, Tailed
from libs.timesource import TimeSource
from services.history import metrics
from services.history.domain.cursors import Mark
from services.history.store import Reads

log = structlog.get_logger(__name__)

PAGE = 100
"""Rows that a stream holds at most; the next are read when these have been sent."""
LOOK_AGAIN = 0.02
"""Seconds. What a record tells of may still be behind a transaction under way; waits grow threefold up to `poll`."""


class Streams:
    """The streams of one process. `poll`: seconds between looks when nothing is heard; `heartbeat`: between signs of life."""

    def __init__(
        self, reads: Reads, time: TimeSource, *, limit: int, poll: float = 5.0, heartbeat: float = 15.0
    ) -> None:
        self._reads, self._time = reads, time
        self._limit, self._poll, self._heartbeat = limit, poll, heartbeat
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._count = 0
        self._used, self._unused = asyncio.Event(), asyncio.Event()
        self._unused.set()

    @property
    def full(self) -> bool:
        return self._count >= self._limit

    async def now(self) -> Mark:
        """Where a stream begins that is to tell only what is new. Raises DatabaseAway."""
        return await self._reads.now()

    def wake(self, contact_id: str) -> None:
        """There may be something new of this contact."""
        for woken in self._listeners.get(contact_id, ()):
            woken.set()

    async def follow(self, contact_id: str, mark: Mark, until: datetime) -> AsyncGenerator[list[Any]]:
        """Pages of rows that were recorded after the mark; now and then an empty one, as a sign of life. Ends at `until`.

        Nothing is read ahead: a consumer that is slow is only late. Outages of the database are waited out.
        """
        woken = asyncio.Event()
        with self._listening(contact_id, woken):
            said, wait = self._time.monotonic(), LOOK_AGAIN
            while self._time.now() < until:
                woken.clear()
                rows = await self._read(contact_id, mark)
                if rows:
                    mark = Mark(int(rows[-1]["xid"]), rows[-1]["entry_id"])
                    said, wait = self._time.monotonic(), LOOK_AGAIN
                    metrics.STREAMED.inc(len(rows))
                    yield rows
                    if len(rows) == PAGE:
                        continue
                if self._time.monotonic() - said >= self._heartbeat:
                    said = self._time.monotonic()
                    yield []
                heard = await _wait(woken, min(wait, self._heartbeat))
                wait = LOOK_AGAIN if heard else min(self._poll, wait * 3)

    async def listen(self, kafka: str) -> None:
        """Background of the process, for ever: while there are streams, the topic is followed to wake them."""
        while True:
            await self._used.wait()
            tail = Tail(kafka, ["timeline"], self._heard, time=self._time, client="sambung-history-stream")
            try:
                await tail.start(None)
                for contact_id in self._listeners:  # what came before the tail was there
                    self.wake(contact_id)
                await self._unused.wait()
            finally:
                await tail.stop()

    def _heard(self, tailed: Tailed) -> None:
        self.wake(tailed.event.key)

    async def _read(self, contact_id: str, mark: Mark) -> list[Any]:
        try:
            return await self._reads.recorded_after(contact_id, mark, PAGE)
        except DatabaseAway as fault:
            log.warning("a stream waits for the database", fault=str(fault)[:200])
            return []

    @contextmanager
    def _listening(self, contact_id: str, woken: asyncio.Event) -> Iterator[None]:
        listeners = self._listeners.setdefault(contact_id, set())
        listeners.add(woken)
        self._counted(1)
        try:
            yield
        finally:
            listeners.discard(woken)
            if not listeners and self._listeners.get(contact_id) is listeners:
                del self._listeners[contact_id]
            self._counted(-1)

    def _counted(self, change: int) -> None:
        self._count += change
        metrics.STREAMS.set(self._count)
        if self._count:
            self._used.set()
            self._unused.clear()
        else:
            self._used.clear()
            self._unused.set()


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set within that time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
