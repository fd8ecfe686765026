"""This file follows topics without owning them: every partition, from given marks, each event once."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from libs.contracts.envelope import EnvelopeError, Event, decode_envelope, decode_payload
from libs.contracts.topics import topic_map
from libs.flow.fetching import Fetching
from libs.flow.offsets import Offsets
from libs.flow.store import Reader
from libs.flow.wire import Incoming
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
        fetch_wait_ms: int = 250,
        gather: float = 0.0,
        time: TimeSource | None = None,
        client: str = "sambung-tail",
    ) -> None:
        self._kafka, self._topics, self._on_event, self._client = kafka, tuple(topics), on_event, client
        self._fetch_wait_ms, self._time = fetch_wait_ms, time or SystemTime()
        self._partitions = topic_map().partitions
        self._next: dict[tuple[str, int], int] = {}
        self._watermarks: dict[tuple[str, int, str], int] = {}
        self._goals: dict[tuple[str, int], int] = {}
        """End of each log at the start."""
        self._again: set[asyncio.Task[None]] = set()
        slots = [(topic, i) for topic in self._topics for i in range(self._partitions)]
        self._slots = slots
        self._offsets = Offsets(kafka, f"{client}-offsets", None, slots)
        self._fetching = Fetching(
            kafka,
            client,
            self._topics,
            self._take,
            self._out_of_range,
            time=self._time,
            wait_ms=fetch_wait_ms,
            gather=gather,
        )

    async def start(self, marks: Marks | timedelta | None) -> None:
        """Begin at the marks, so long ago by the broker's time, or (None) at the end of the log.

        Waits for the broker as long as it takes.
        """
        if isinstance(marks, Marks):
            self._next = {slot: marks.positions.get(slot, 0) for slot in self._slots}
            self._watermarks = {
                slot: seq for slot, seq in marks.watermarks.items() if slot[0] in self._topics
            }
        while True:
            try:
                starts, ends = await self._offsets.range(self._slots)
                if isinstance(marks, timedelta):
                    self._next = await self._offsets.since(self._slots, self._time.now() - marks)
                await self._fetching.start()
                break
            except Exception as fault:  # the library lets more than its own errors out of a broken connection
                log.warning("waiting for the broker", fault=repr(fault)[:200])
                await self._time.sleep(0.5)
        for slot in self._slots:
            wanted = self._next.setdefault(slot, ends[slot])
            if not starts[slot] <= wanted <= ends[slot]:
                self._out_of_log(slot, wanted)
                self._next[slot] = min(max(wanted, starts[slot]), ends[slot])
            self._fetching.want(*slot, self._next[slot])
        self._goals = ends
        await self._offsets.stop()

    async def caught_up(self) -> None:
        """Return when all that was on the log at `start` has been given to `on_event`."""
        while any(self._next[slot] < end for slot, end in self._goals.items()):
            await self._time.sleep(0.02)

    async def stop(self) -> None:
        await self._fetching.stop()
        await self._offsets.stop()

    def vector(self) -> dict[str, list[int]]:
        """Topic -> next offset of each partition: everything before it has been given to `on_event`."""
        return {
            topic: [self._next.get((topic, i), 0) for i in range(self._partitions)] for topic in self._topics
        }

    @property
    def fetched_at(self) -> float | None:
        """When a broker last answered (monotonic seconds)."""
        return self._fetching.fetched_at

    @property
    def connected(self) -> bool:
        return self.fetched_at is not None and self._time.monotonic() - self.fetched_at < 5

    def _take(self, topic: str, partition: int, records: list[Incoming], _end: int) -> None:
        for record in records:
            self._next[(topic, partition)] = record.offset + 1
            self._give(topic, partition, record)

    def _out_of_range(self, topic: str, partition: int, offset: int) -> None:
        self._out_of_log((topic, partition), offset)
        task = asyncio.get_running_loop().create_task(self._begin_again((topic, partition), offset))
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _begin_again(self, slot: tuple[str, int], offset: int) -> None:
        while True:
            try:
                starts, ends = await self._offsets.range([slot])
            except OSError as fault:
                log.warning("waiting for the broker", fault=repr(fault)[:200])
                await self._time.sleep(0.5)
            else:
                self._next[slot] = min(max(offset, starts[slot]), ends[slot])
                self._fetching.want(*slot, self._next[slot])
                return

    def _out_of_log(self, slot: tuple[str, int], wanted: int) -> None:
        log.error(
            "the log does not hold the offset at which this tail goes on",
            topic=slot[0],
            partition=slot[1],
            wanted=wanted,
        )

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
