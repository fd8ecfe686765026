"""This file runs flows in a process: one feed per flow, one ownership for all, and the answer to "are you well?"."""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from libs.contracts.topics import topic_map
from libs.flow import metrics
from libs.flow.database import Database, DatabaseAway
from libs.flow.flow import Flow
from libs.flow.intake import KafkaFeed
from libs.flow.ownership import Ownership
from libs.flow.publisher import Publisher
from libs.flow.schema import keep_days
from libs.flow.shared import Limits, Shared
from libs.timesource import SystemTime, TimeSource, random_token

log = structlog.get_logger(__name__)

KEEP_DAYS_EVERY = 3600.0
MEASURE_EVERY = 2.0


@dataclass(frozen=True, slots=True)
class Health:
    """`ready`: work is being done, or others do it. `alive`: a restart would not help. `details` is for people."""

    ready: bool
    alive: bool
    details: dict[str, Any] = field(default_factory=dict)


class Runner:
    """Serves the lanes of some flows until stopped. Recovers by itself from loss of broker and database."""

    def __init__(
        self,
        flows: Sequence[Flow],
        *,
        database: Database,
        kafka: str,
        publisher: Publisher,
        time: TimeSource | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises FlowError where a flow contradicts the map of topics."""
        for flow in flows:
            flow.check()
        self._time = time or SystemTime()
        self._limits = limits or Limits(
            unsafe=frozenset(filter(None, os.environ.get("SAMBUNG_UNSAFE", "").split(",")))
        )
        self._database, self._publisher = database, publisher
        partitions = topic_map().partitions
        self._feeds = {
            flow.name: KafkaFeed(
                kafka,
                flow.name,
                list(flow.reads),
                partitions=partitions,
                time=self._time,
                fetch_wait_ms=self._limits.fetch_wait_ms,
                gather=flow.gather,
            )
            for flow in flows
        }
        shared = [
            Shared(flow, database, publisher, self._feeds[flow.name], self._time, self._limits)
            for flow in flows
        ]
        self.member = f"{socket.gethostname()}.{os.getpid()}.{random_token(4)}"
        self._ownership = Ownership(shared, partitions, self.member, self._time) if flows else None
        self._flows = list(flows)
        self._partitions = partitions
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Returns when the lanes' rows exist and the feeds are connected; waits for broker and database as long as it takes."""
        if self._ownership is None:
            return
        await self._make_lanes()
        for name, feed in self._feeds.items():
            await self._until_there(name, feed)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._ownership.run()), loop.create_task(self._upkeep())]

    async def stop(self) -> None:
        """Drain: every lane ends its batch, publishes, and is handed back."""
        self._stopping = True
        if self._ownership is None:
            return
        try:
            async with asyncio.timeout(10):
                await self._ownership.stop()
        except TimeoutError:
            log.warning("draining took too long; the leases will lapse")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for feed in self._feeds.values():
            await feed.stop()

    def health(self) -> Health:
        """Told from progress: when the feeds last fetched, when lanes last moved, whether the session to the database stands."""
        if self._ownership is None:
            return Health(ready=True, alive=True)
        now = self._time.monotonic()
        lanes = self._ownership.all_lanes()
        stalled = [
            f"{lane.flow.name}/{lane.index}" for lane in lanes if now - lane.progress > self._limits.stuck
        ]
        stopped = [f"{lane.flow.name}/{lane.index}" for lane in lanes if lane.stopped]
        started = bool(self._tasks)
        fetched = {
            name: round(now - feed.fetched_at, 2) if feed.fetched_at is not None else None
            for name, feed in self._feeds.items()
        }
        broker = started and all(age is not None and age < 5 for age in fetched.values())
        database = self._ownership.connected_at is not None
        waiting = [f"{lane.flow.name}/{lane.index}" for lane in lanes if not lane.ready and not lane.stopped]
        # A process that has not looked yet holds no lanes either, and would be taken for one that needs none.
        served = self._ownership.looked and not stopped and not waiting
        ready = started and broker and database and served and not self._stopping
        alive = not stalled and not any(task.done() for task in self._tasks)
        details = {
            "member": self.member,
            "broker": broker,
            "database": database,
            "lanes": {name: len(held.lanes) for name, held in self._ownership.flows.items()},
            "not_ready": waiting,
            "stopped": stopped,
            "stalled": stalled,
            "seconds_since_fetch": fetched,
        }
        return Health(ready=ready, alive=alive, details=details)

    async def _make_lanes(self) -> None:
        while True:
            try:
                for flow in self._flows:
                    await self._database.execute(
                        "insert into lane (flow, lane, incarnation) select $1, i, substr(md5(random()::text), 1, 8) "
                        "from generate_series(0, $2 - 1) i on conflict do nothing",
                        flow.name, self._partitions,
                    )  # fmt: skip
            except DatabaseAway as fault:
                log.warning("waiting for the database", fault=str(fault)[:200])
                await self._time.sleep(0.5)
            else:
                return

    async def _until_there(self, name: str, feed: KafkaFeed) -> None:
        while True:
            try:
                await feed.start()
            except Exception as fault:  # the library lets more than its own errors out of a broken connection
                log.warning("waiting for the broker", flow=name, fault=repr(fault)[:200])
                await self._time.sleep(0.5)
            else:
                return

    async def _upkeep(self) -> None:
        """Gauges, and once an hour the day partitions."""
        next_days = self._time.monotonic() + KEEP_DAYS_EVERY
        while True:
            await self._time.sleep(MEASURE_EVERY)
            self._measure()
            if self._time.monotonic() >= next_days:
                next_days += KEEP_DAYS_EVERY
                try:
                    await keep_days(self._database)
                except DatabaseAway as fault:
                    log.warning("day partitions were not renewed", fault=str(fault)[:200])

    def _measure(self) -> None:
        if self._ownership is None:
            return
        for name, held in self._ownership.flows.items():
            sizes = [lane.sizes for lane in held.lanes.values()]
            totals = [sum(column) for column in zip(*sizes, strict=True)] if sizes else [0, 0, 0, 0]
            for gauge, total in zip(
                (metrics.TIMERS, metrics.EFFECTS, metrics.DEAD_OPEN, metrics.OUTBOX), totals, strict=True
            ):
                gauge.labels(name).set(total)
