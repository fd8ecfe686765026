"""This file completes conversations of which memory has only a part, from the projection, without holding events up."""

import asyncio
from collections.abc import Callable

import structlog

from libs.flow.database import Database, DatabaseAway
from libs.timesource import TimeSource
from services.desk import metrics
from services.desk.live.reading import conversations
from services.desk.live.view import LiveView, Open

log = structlog.get_logger(__name__)

WAITS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each try: the projection is usually a few milliseconds behind, seconds when it is busy."""


class Restorer:
    """Reads what is wanted in batches, one for each turn of the event loop.

    While a conversation is being read its events are kept beside it (`Open.since`); `became_whole` is called when it is complete.
    """

    def __init__(
        self, view: LiveView, database: Database, time: TimeSource, became_whole: Callable[[Open], None]
    ) -> None:
        self._view, self._database, self._time, self._became_whole = view, database, time, became_whole
        self._next: set[str] = set()
        self._batches: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Condition()

    def want(self, known: Open) -> None:
        """Have a conversation completed; asking again is free."""
        if known.whole or known.since is not None:
            return
        known.since = []
        if not self._next:
            task = asyncio.get_running_loop().create_task(self._batch())
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
        self._next.add(known.conversation_id)

    async def settled(self, known: list[Open]) -> None:
        """Returns when each of these is whole, or will not be."""
        async with self._settled:
            await self._settled.wait_for(lambda: all(k.whole or k.since is None for k in known))

    async def stop(self) -> None:
        for task in self._batches:
            task.cancel()
        await asyncio.gather(*self._batches, return_exceptions=True)

    async def _batch(self) -> None:
        waiting, self._next = self._next, set()
        outcome = dict.fromkeys(waiting, "")
        for wait in WAITS:
            await self._time.sleep(wait)
            try:
                found = await conversations(self._database, waiting)
            except DatabaseAway:
                outcome = dict.fromkeys(waiting, "away")
                continue
            for conversation_id in list(waiting):
                row = found.get(conversation_id)
                done = self._view.restored(conversation_id, *row) if row else False
                if done is False:
                    outcome[conversation_id] = "behind" if row else "gone"
                    continue
                waiting.discard(conversation_id)
                if done:
                    metrics.RESTORED.labels("whole").inc()
                    self._became_whole(self._view.open[conversation_id])
            await self._tell()
            if not waiting:
                return
        for conversation_id in waiting:
            self._give_up(conversation_id, outcome[conversation_id])
        await self._tell()

    def _give_up(self, conversation_id: str, outcome: str) -> None:
        known = self._view.open.get(conversation_id)
        if known is not None:
            known.since = None
        metrics.RESTORED.labels(outcome).inc()
        log.warning("a conversation stays partial", conversation_id=conversation_id, outcome=outcome)

    async def _tell(self) -> None:
        async with self._settled:
            self._settled.notify_all()
