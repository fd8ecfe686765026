"""This file is the life of the live view: begin with the projection as it is, follow the log from there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from libs.flow.database import Database, DatabaseAway
from libs.flow.tail import Marks, Tail
from libs.service.problems import unavailable
from libs.timesource import TimeSource
from libs.workspace import Workspace
from services.desk import metrics
from services.desk.live.answers import Answers
from services.desk.live.cursor import TOPICS, Vector
from services.desk.live.hub import Hub
from services.desk.live.reading import Beginning, beginning
from services.desk.live.restoring import Restorer
from services.desk.live.view import LiveView, Open

log = structlog.get_logger(__name__)

PAUSE = 0.5
MEASURE_EVERY = 2.0
LEVELS_SINCE = timedelta(minutes=3)
"""Service levels that go on are said again every minute, also where they have not changed."""


class Live:
    """The hub of this process, from when `following` is entered until it is left."""

    def __init__(self, *, kafka: str, database: Database, workspace: Workspace, time: TimeSource) -> None:
        self._kafka, self._database, self._workspace, self._time = kafka, database, workspace, time
        self.answers = Answers()
        self._hub: Hub | None = None
        self._restorer: Restorer | None = None

    @property
    def hub(self) -> Hub:
        """Raises Problem 503 before there is one."""
        if self._hub is None:
            raise unavailable("starting", "The desk is starting")
        return self._hub

    async def settled(self, known: list[Open]) -> None:
        """Returns when each of these conversations is whole, or will not be."""
        if self._restorer is not None:
            await self._restorer.settled(known)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Entered when the view stands and the log is being followed; waits for database and broker as long as it takes."""
        start = await self._beginning()
        view = view_of(start, self._workspace)
        self._restorer = Restorer(view, self._database, self._time, self._became_whole)
        hub = Hub(
            view, vector_of(start.marks), answers=self.answers, time=self._time, missing=self._restorer.want
        )
        tail = Tail(self._kafka, TOPICS, hub.take, time=self._time, client="sambung-desk-live", gather=0.015)
        levels = Tail(
            self._kafka, ("service-levels",), hub.take_level, time=self._time, client="sambung-desk-levels"
        )
        await tail.start(start.marks)
        await levels.start(LEVELS_SINCE)
        self._hub = hub
        log.info("live", open=len(view.open), agents=len(view.agents))
        measuring = asyncio.get_running_loop().create_task(self._measure(hub))
        try:
            yield
        finally:
            self._hub = None
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)
            await levels.stop()
            await tail.stop()
            await self._restorer.stop()

    async def _beginning(self) -> Beginning:
        while True:
            try:
                return await beginning(self._database)
            except DatabaseAway as fault:
                log.warning("waiting for the database", fault=str(fault)[:200])
                await self._time.sleep(PAUSE)

    def _became_whole(self, known: Open) -> None:
        if self._hub is not None:
            self._hub.became_whole(known)

    async def _measure(self, hub: Hub) -> None:
        while True:
            metrics.OPEN.set(len(hub.view.open))
            await self._time.sleep(MEASURE_EVERY)


def view_of(start: Beginning, workspace: Workspace) -> LiveView:
    """The live view as the projection was at its beginning."""
    pools = {queue.id: queue.pool for queue in workspace.queues.values()}
    inboxes = {inbox.id: pools.get(inbox.queue, "") for inbox in workspace.inboxes.values()}
    view = LiveView(pools=pools, inboxes=inboxes)
    store = start.store
    view.load(store.conversations, store.work, store.clocks, store.agents)
    return view


def vector_of(marks: Marks) -> Vector:
    """The marks' positions as the feed's cursor."""
    vector = Vector()
    for slot, position in marks.positions.items():
        if slot[0] in TOPICS:
            vector.move(slot, position)
    return vector
