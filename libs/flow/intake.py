"""This file brings records from Kafka to lanes: one consumer per flow, every partition assigned once, paused unless a lane is here."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.flow import metrics
from libs.flow.lane import Lane
from libs.timesource import TimeSource

log = structlog.get_logger(__name__)

COMMIT_EVERY = 5.0
"""Offsets are committed to Kafka for lag displays and scaling only; positions are in Postgres."""


def consumer(kafka: str, client: str, group: str | None, fetch_wait_ms: int) -> AIOKafkaConsumer:
    """A consumer with the settings that this project relies on; nothing is committed by itself."""
    return AIOKafkaConsumer(
        bootstrap_servers=kafka,
        client_id=client,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # One fetch is in flight per broker: a partition drained meanwhile waits for it, at most this long.
        fetch_max_wait_ms=fetch_wait_ms,
        max_partition_fetch_bytes=1_048_576,
        request_timeout_ms=7_000,
        retry_backoff_ms=100,
        metadata_max_age_ms=30_000,
    )


class KafkaFeed:
    """The Feed of one flow. Its consumer is made anew when it stops moving while looking alive."""

    def __init__(
        self, kafka: str, flow: str, topics: list[str], partitions: int, time: TimeSource, fetch_wait_ms: int
    ) -> None:
        self._kafka, self._flow, self._topics, self._partitions, self._time = (
            kafka,
            flow,
            topics,
            partitions,
            time,
        )
        self._fetch_wait_ms = fetch_wait_ms
        self._consumer: AIOKafkaConsumer | None = None
        self._lanes: dict[int, Lane] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.fetched_at: float | None = None
        self.on_failure: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Raises KafkaError, OSError, TimeoutError where the broker is away."""
        await self._connect()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._pump()), loop.create_task(self._commit())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()

    async def _connect(self) -> None:
        fresh = consumer(self._kafka, f"sambung-{self._flow}", f"sambung.{self._flow}", self._fetch_wait_ms)
        try:
            async with asyncio.timeout(10):
                await fresh.start()
        except BaseException:
            await _close(fresh)
            raise
        everything = [TopicPartition(topic, i) for topic in self._topics for i in range(self._partitions)]
        fresh.assign(everything)
        for tp in everything:
            fresh.pause(tp)
            fresh.seek(tp, 0)
        self._consumer = fresh
        self.fetched_at = self._time.monotonic()

    async def _disconnect(self) -> None:
        old, self._consumer = self._consumer, None
        if old is not None:
            await _close(old)

    # -- Feed ---------------------------------------------------------------------------------------------------------

    async def attach(self, lane: Lane, positions: dict[str, int]) -> None:
        c = self._consumer
        if c is None:
            raise OSError("the broker is away")
        tps = [TopicPartition(topic, lane.index) for topic in self._topics]
        try:
            async with asyncio.timeout(8):
                ends, starts = await c.end_offsets(tps), await c.beginning_offsets(tps)
        except (KafkaError, TimeoutError) as fault:
            raise OSError(f"offsets cannot be read: {fault!r}") from fault
        lane.lenient = set()
        for tp in tps:
            position = positions.get(tp.topic, 0)
            if position > ends[tp]:
                log.error("the log ends before this lane's position: the broker lost its tail", flow=self._flow,
                          topic=tp.topic, partition=tp.partition, position=position, end=ends[tp])  # fmt: skip
                lane.next_offsets[tp.topic] = ends[tp]
            elif position < starts[tp]:
                if position:
                    log.error("records were deleted before this lane had read them", flow=self._flow,
                              topic=tp.topic, partition=tp.partition, position=position, start=starts[tp])  # fmt: skip
                lane.lenient.add(tp.topic)
                lane.next_offsets[tp.topic] = starts[tp]
        lane.goals = {tp.topic: ends[tp] for tp in tps}
        self._lanes[lane.index] = lane
        lane.paused = False
        for tp in tps:
            c.seek(tp, lane.next_offsets[tp.topic])
            c.resume(tp)

    def detach(self, index: int) -> None:
        self._lanes.pop(index, None)
        self._pause(index)

    def more(self, index: int) -> None:
        lane = self._lanes.get(index)
        if lane is not None and self._consumer is not None:
            lane.paused = False
            for topic in self._topics:
                self._consumer.resume(TopicPartition(topic, index))

    def _pause(self, index: int) -> None:
        if self._consumer is not None:
            for topic in self._topics:
                self._consumer.pause(TopicPartition(topic, index))

    # -- pump ---------------------------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        failures = 0
        while True:
            try:
                await self._take()
                failures = 0
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                failures += 1
                log.warning("fetching failed", flow=self._flow, fault=repr(fault)[:200])
                await self._time.sleep(0.2)
                if failures >= 10 or self._consumer is None:
                    await self._reconnect()
                    failures = 0

    async def _take(self) -> None:
        c = self._consumer
        if c is None:
            raise OSError("no consumer")
        if c._fetcher._fetch_task.done():
            self._consumer = None
            await _close(c)
            raise OSError("the consumer's fetcher died")
        batches: dict[Any, list[Any]] = await c.getmany(timeout_ms=200, max_records=2000)
        self.fetched_at = self._time.monotonic()
        for tp, records in batches.items():
            lane = self._lanes.get(tp.partition)
            if lane is None:
                continue
            if not lane.offer(tp.topic, records):
                c.seek(tp, lane.next_offsets[tp.topic])
            elif lane.full and not lane.paused:
                lane.paused = True
                self._pause(tp.partition)

    async def _reconnect(self) -> None:
        """A new consumer; the lanes that are here begin anew on it."""
        await self._disconnect()
        try:
            await self._connect()
        except (KafkaError, OSError, TimeoutError) as fault:
            log.warning("the broker is away", flow=self._flow, fault=repr(fault)[:200])
            return
        for lane in list(self._lanes.values()):
            lane.ready = False
            lane.look_for_replays()

    async def _commit(self) -> None:
        while True:
            await self._time.sleep(COMMIT_EVERY)
            done = {
                TopicPartition(topic, lane.index): offset
                for lane in list(self._lanes.values())
                for topic, offset in lane.positions.items()
                if topic in self._topics
            }
            if done and self._consumer is not None:
                try:
                    async with asyncio.timeout(5):
                        await self._consumer.commit(done)
                except (KafkaError, TimeoutError, OSError) as fault:
                    log.debug("offsets were not committed", flow=self._flow, fault=repr(fault)[:200])
            self._lag()

    def _lag(self) -> None:
        c = self._consumer
        if c is None:
            return
        records = 0
        for lane in self._lanes.values():
            for topic, offset in lane.positions.items():
                end = c.highwater(TopicPartition(topic, lane.index)) if topic in self._topics else None
                records += max(0, end - offset) if end is not None else 0
        oldest = [lane.queue[0].timestamp for lane in self._lanes.values() if lane.queue]
        now = self._time.now().timestamp()
        metrics.LAG_RECORDS.labels(self._flow).set(records)
        metrics.LAG_SECONDS.labels(self._flow).set(max(0.0, now - min(oldest) / 1000) if oldest else 0.0)


async def _close(old: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(3):
            await old.stop()
    except Exception as fault:  # what is left of it is garbage
        log.debug("consumer ended untidily", fault=repr(fault)[:200])
