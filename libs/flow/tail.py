"""This file follows topics without owning them: every partition, from given marks, each event once."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from libs.contracts.envelope import EnvelopeError, Event, decode_envelope, decode_payload
from libs.contracts.topics import topic_map
from libs.flow.intake import consumer
from libs.flow.store import Reader
from libs.timesource import SystemTime, TimeSource

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Marks:
    """How far a flow has read: next offset by (topic, partition), last sequence by (topic, partition, source)."""

    positions: dict[tuple[str, int], int]
    watermarks: dict[tuple[str, int, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tailed:
    topic: str
    partition: int
    offset: int
    event: Event[Any]


async def read_marks(db: Reader, *, flow: str) -> Marks:
    """The marks of a flow's lanes. Read them and the flow's tables in one repeatable-read transaction."""
    positions = await db.fetch('select topic, lane, next_offset from "position" where flow = $1', flow)
    watermarks = await db.fetch("select topic, lane, source, seq from watermark where flow = $1", flow)
    return Marks(
        {(row["topic"], row["lane"]): row["next_offset"] for row in positions},
        {(row["topic"], row["lane"], row["source"]): row["seq"] for row in watermarks},
    )


class Tail:
    """Calls `on_event` for each event, in the order of its partition. `on_event` must not raise and must not wait.

    Recovers from loss of the broker by itself. Records that are no events, or of unknown types, are passed over: the flow
    that owns them counts and keeps them.
    """

    def __init__(
        self,
        kafka: str,
        topics: Sequence[str],
        on_event: Callable[[Tailed], None],
        *,
        fetch_wait_ms: int = 20,
        time: TimeSource | None = None,
        client: str = "sambung-tail",
    ) -> None:
        self._kafka, self._topics, self._on_event, self._client = kafka, tuple(topics), on_event, client
        self._fetch_wait_ms, self._time = fetch_wait_ms, time or SystemTime()
        self._partitions = topic_map().partitions
        self._next: dict[tuple[str, int], int] = {}
        self._watermarks: dict[tuple[str, int, str], int] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self.fetched_at: float | None = None

    async def start(self, marks: Marks | None) -> None:
        """Begin at the marks; None begins at the end of the log. Waits for the broker as long as it takes."""
        everything = [(topic, i) for topic in self._topics for i in range(self._partitions)]
        if marks is not None:
            self._next = {slot: marks.positions.get(slot, 0) for slot in everything}
            self._watermarks = {
                slot: seq for slot, seq in marks.watermarks.items() if slot[0] in self._topics
            }
        while self._consumer is None:
            try:
                await self._connect()
            except (KafkaError, OSError, TimeoutError) as fault:
                log.warning("waiting for the broker", fault=repr(fault)[:200])
                await self._time.sleep(0.5)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._disconnect()

    def vector(self) -> dict[str, list[int]]:
        """Topic -> next offset of each partition: everything before it has been given to `on_event`."""
        return {
            topic: [self._next.get((topic, i), 0) for i in range(self._partitions)] for topic in self._topics
        }

    @property
    def connected(self) -> bool:
        return self.fetched_at is not None and self._time.monotonic() - self.fetched_at < 5

    async def _connect(self) -> None:
        fresh = consumer(self._kafka, self._client, None, self._fetch_wait_ms)
        try:
            async with asyncio.timeout(10):
                await fresh.start()
                tps = [TopicPartition(topic, i) for topic in self._topics for i in range(self._partitions)]
                fresh.assign(tps)
                starts = await fresh.beginning_offsets(tps)
                ends = await fresh.end_offsets(tps)
        except BaseException:
            await _close(fresh)
            raise
        for tp in tps:
            slot = (tp.topic, tp.partition)
            wanted = self._next.setdefault(slot, ends[tp])
            if not starts[tp] <= wanted <= ends[tp]:
                log.error("the log does not reach back, or does not go on, to where this tail was", topic=tp.topic,
                          partition=tp.partition, wanted=wanted, start=starts[tp], end=ends[tp])  # fmt: skip
                wanted = self._next[slot] = min(max(wanted, starts[tp]), ends[tp])
            fresh.seek(tp, wanted)
        self._consumer = fresh

    async def _disconnect(self) -> None:
        old, self._consumer = self._consumer, None
        if old is not None:
            await _close(old)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._take()
                failures = 0
            except asyncio.CancelledError:
                raise
            except Exception as fault:
                failures += 1
                log.warning("following failed", fault=repr(fault)[:200])
                await self._time.sleep(0.2)
                if failures >= 10 or self._consumer is None:
                    failures = 0
                    await self._disconnect()
                    try:
                        await self._connect()
                    except (KafkaError, OSError, TimeoutError) as away:
                        log.warning("the broker is away", fault=repr(away)[:200])

    async def _take(self) -> None:
        c = self._consumer
        if c is None:
            raise OSError("no consumer")
        if c._fetcher._fetch_task.done():
            await self._disconnect()
            raise OSError("the consumer's fetcher died")
        batches: dict[Any, list[Any]] = await c.getmany(timeout_ms=200, max_records=2000)
        self.fetched_at = self._time.monotonic()
        for tp, records in batches.items():
            for record in records:
                if record.offset < self._next[(tp.topic, tp.partition)]:
                    continue
                self._next[(tp.topic, tp.partition)] = record.offset + 1
                self._give(tp.topic, tp.partition, record)

    def _give(self, topic: str, partition: int, record: Any) -> None:
        try:
            envelope = decode_envelope(record.headers)
            if envelope.sequence:
                slot = (topic, partition, envelope.source)
                mark = self._watermarks.get(slot)
                if mark is not None and envelope.sequence <= mark:
                    return
                # From the end of a log a source's past is unknown: its first event here begins the chain.
                if mark is not None and envelope.previous != mark and not topic_map()[topic].compact:
                    log.error("gap in a source's chain", topic=topic, source=envelope.source, watermark=mark)
                    return
                self._watermarks[slot] = envelope.sequence
            data = decode_payload(envelope.type, record.value)
        except EnvelopeError as fault:
            log.debug("record passed over", topic=topic, reason=fault.reason)
            return
        self._on_event(
            Tailed(topic, partition, record.offset, Event(envelope, data, (record.key or b"").decode()))
        )


async def _close(old: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(3):
            await old.stop()
    except Exception as fault:  # what is left of it is garbage
        log.debug("consumer ended untidily", fault=repr(fault)[:200])
