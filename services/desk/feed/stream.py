"""This file is the course of one feed, whatever carries it: resume or snapshot first, then what comes, a ping when nothing does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from libs.timesource import TimeSource
from services.desk import metrics
from services.desk.live.cursor import NoCursor, Vector, parse
from services.desk.live.frames import notice_frame
from services.desk.live.hub import Hub
from services.desk.live.subscriber import Subscriber
from services.desk.live.view import Open

PING_EVERY = 15.0
"""Seconds. A ping carries the cursor, so that a quiet client's does not grow old."""
CATCH_UP_WITHIN = 2.0
"""Seconds for this process to reach a cursor that another one gave out."""
COMPLETE_WITHIN = 1.0
"""Seconds that a first snapshot waits for conversations to be read from the projection; they are sent later otherwise."""
LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Feed:
    """`cursor` is where the client stopped, as it says; None begins with a snapshot. `settled` returns when conversations
    that are being read from the projection are whole, or will not be."""

    hub: Hub
    settled: Callable[[list[Open]], Awaitable[None]]
    time: TimeSource
    subscriber: Subscriber
    cursor: str | None
    expires_at: datetime
    ping_every: float = PING_EVERY

    async def batches(self) -> AsyncIterator[list[str]]:
        """Frames to be written together, each a JSON text. Ends when the token's time is over."""
        hub, subscriber = self.hub, self.subscriber
        hub.attach(subscriber)
        try:
            yield [*await self._first(), *hub.levels(subscriber)]
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.ping_every):
                        await subscriber.wake.wait()
                if self.time.now() >= self.expires_at:
                    yield [notice_frame("bye", str(hub.vector), reason="token_expired")]
                    return
                if subscriber.overflowed:
                    yield [*self._resync("slow"), *hub.levels(subscriber)]
                else:
                    yield subscriber.take() or [notice_frame("ping", str(hub.vector))]
        finally:
            hub.detach(subscriber)

    async def _first(self) -> list[str]:
        hub = self.hub
        if self.cursor:
            try:
                cursor = parse(self.cursor)
            except NoCursor:
                return self._resync("bad_cursor")
            if not await self._reached(cursor):
                return self._resync("ahead")
            if not hub.ring.reaches(cursor):
                return self._resync("too_old")
            return hub.resumed(self.subscriber, cursor)
        if self.subscriber.pool is None and (parts := hub.incomplete(self.subscriber.agent_id)):
            hub.complete(parts)
            with suppress(TimeoutError):
                async with asyncio.timeout(COMPLETE_WITHIN):
                    await self.settled(parts)
        return [hub.snapshot(self.subscriber)]

    async def _reached(self, cursor: Vector) -> bool:
        until = self.time.monotonic() + CATCH_UP_WITHIN
        while not self.hub.vector.covers(cursor):
            if self.time.monotonic() >= until:
                return False
            await self.time.sleep(LOOK_EVERY)
        return True

    def _resync(self, reason: str) -> list[str]:
        metrics.RESYNCS.labels(reason).inc()
        notice = notice_frame("resync", str(self.hub.vector), reason=reason)
        return [notice, self.hub.snapshot(self.subscriber)]
