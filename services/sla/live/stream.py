"""This file is Faust, as far as there is any: it reads the topics from a while ago and hands each record to a plain function.

Nothing of what Faust promises is relied upon. No tables and no windows: state is folded outside. No offsets: each start reads
again under a group of its own, from where the broker says the look-back begins. One stream processor with concurrency 1, raw
bytes, and a body that never raises. Faust creates no topic and publishes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import faust
import structlog

from libs.contracts.topics import topic_map
from libs.flow.offsets import Offsets
from libs.timesource import TimeSource, random_token

log = structlog.get_logger(__name__)

GROUP = "sambung-sla-live"
LOOK_EVERY = 0.1
PAUSE = 0.5

Slot = tuple[str, int]
OnRecord = Callable[[Sequence[tuple[str, bytes]], bytes], None]


class Stream:
    """Calls `on_record` with headers and value of each record, from `look_back` before the start on.

    Records of a partition come in their order, topics and partitions anyhow, a record perhaps more than once.
    """

    def __init__(
        self,
        kafka: str,
        topics: Sequence[str],
        on_record: OnRecord,
        *,
        look_back: timedelta,
        time: TimeSource,
    ) -> None:
        self._kafka, self._topics, self._on_record = kafka, tuple(topics), on_record
        self._look_back, self._time = look_back, time
        self._group = f"{GROUP}-{random_token(4)}"
        self._slots = [(topic, i) for topic in topics for i in range(topic_map().partitions)]
        self._next: dict[Slot, int] = {}
        self._goals: dict[Slot, int] = {}
        """End of each log at the start."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Entered when the reading has begun; waits for the broker as long as it takes."""
        await self._begin()
        app = self._application()
        await app.start()
        try:
            yield
        finally:
            await app.stop()

    async def caught_up(self) -> None:
        """Return when all that was on the log at the start has been given to `on_record`."""
        while any(self._next[slot] < end for slot, end in self._goals.items()):
            await self._time.sleep(LOOK_EVERY)

    async def _begin(self) -> None:
        """Say to the broker where the new group begins. Where it does not take that, all of the log is read: more than
        is needed, and the same figures."""
        offsets = Offsets(self._kafka, GROUP, self._group, self._slots)
        try:
            while True:
                try:
                    starts, ends = await offsets.range(self._slots)
                    since = await offsets.since(self._slots, self._time.now() - self._look_back)
                    break
                except OSError as fault:
                    log.warning("waiting for the broker", fault=str(fault)[:200])
                    await self._time.sleep(PAUSE)
            self._goals = ends
            self._next = {slot: min(since.get(slot, ends[slot]), ends[slot]) for slot in self._slots}
            await offsets.commit({slot: max(starts[slot], at) for slot, at in self._next.items()})
        finally:
            await offsets.stop()

    def _application(self) -> Any:
        app = faust.App(
            self._group,
            broker=[f"kafka://{address.strip()}" for address in self._kafka.split(",")],
            loop=asyncio.get_running_loop(),
            store="memory://",
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            key_serializer="raw",
            value_serializer="raw",
            broker_session_timeout=10.0,
            broker_heartbeat_interval=3.0,
        )
        # Directories for tables, of which there are none; a container's file system may be read-only.
        app._create_directories = lambda: None  # type: ignore[method-assign]
        raw = app.topic(
            *self._topics,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )
        app.agent(raw, name=GROUP, concurrency=1)(self._read)
        return app

    async def _read(self, records: Any) -> None:
        async for event in records.events():
            message = event.message
            try:
                self._on_record(tuple(message.headers or ()), message.value or b"")
            except Exception:
                # Faust would pass over the record in silence, and those that it had fetched with it.
                log.exception("a record could not be taken in", topic=message.topic, offset=message.offset)
            self._next[message.topic, message.partition] = message.offset + 1
