"""This file brings records from Kafka to a flow's lanes, and tells Kafka how far they are."""

import asyncio
from itertools import count

import structlog

from libs.flow import metrics
from libs.flow.fetching import Fetching
from libs.flow.lane import Lane
from libs.flow.offsets import Offsets
from libs.flow.wire import Incoming
from libs.timesource import TimeSource

log = structlog.get_logger(__name__)

MEASURE_EVERY = 1.0
TELL_KAFKA_EVERY = 5
"""Measurements. Offsets are committed to Kafka for lag displays and scaling only; positions are in Postgres."""


class KafkaFeed:
    """The Feed of one flow."""

    def __init__(
        self,
        kafka: str,
        flow: str,
        topics: list[str],
        *,
        partitions: int,
        time: TimeSource,
        fetch_wait_ms: int,
        gather: float,
    ) -> None:
        self._flow, self._topics, self._time = flow, topics, time
        self._lanes: dict[int, Lane] = {}
        slots = [(topic, i) for topic in topics for i in range(partitions)]
        self._offsets = Offsets(kafka, f"sambung-{flow}-offsets", f"sambung.{flow}", slots)
        self._fetching = Fetching(
            kafka,
            f"sambung-{flow}",
            topics,
            self._take,
            self._out_of_range,
            time=time,
            wait_ms=fetch_wait_ms,
            gather=gather,
        )
        self._committing: asyncio.Task[None] | None = None

    @property
    def fetched_at(self) -> float | None:
        """When a broker last answered (monotonic seconds)."""
        return self._fetching.fetched_at

    async def start(self) -> None:
        """Raises KafkaError, OSError, TimeoutError where the broker is away."""
        await self._fetching.start()
        self._committing = asyncio.get_running_loop().create_task(self._tell())

    async def stop(self) -> None:
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)
        await self._fetching.stop()
        await self._offsets.stop()

    # -- Feed ---------------------------------------------------------------------------------------------------------

    async def attach(self, lane: Lane, positions: dict[str, int]) -> None:
        starts, ends = await self._offsets.range([(topic, lane.index) for topic in self._topics])
        lane.work.lenient = set()
        for (topic, partition), start in starts.items():
            position, end = positions.get(topic, 0), ends[(topic, partition)]
            if position > end:
                log.error("the log ends before this lane's position: the broker lost its tail", flow=self._flow,
                          topic=topic, partition=partition, position=position, end=end)  # fmt: skip
                lane.work.next_offsets[topic] = end
            elif position < start:
                if position:
                    log.error("records were deleted before this lane had read them", flow=self._flow,
                              topic=topic, partition=partition, position=position, start=start)  # fmt: skip
                lane.work.lenient.add(topic)
                lane.work.next_offsets[topic] = start
        lane.work.goals = {topic: end for (topic, _), end in ends.items()}
        self._lanes[lane.index] = lane
        lane.paused = False
        self._want(lane)

    def detach(self, index: int) -> None:
        self._lanes.pop(index, None)
        for topic in self._topics:
            self._fetching.unwant(topic, index)

    def more(self, index: int) -> None:
        lane = self._lanes.get(index)
        if lane is not None:
            lane.paused = False
            self._want(lane)

    def _want(self, lane: Lane) -> None:
        for topic in self._topics:
            self._fetching.want(topic, lane.index, lane.work.next_offsets.get(topic, 0))

    # -- Kafka --------------------------------------------------------------------------------------------------------

    def _take(self, topic: str, partition: int, records: list[Incoming], _end: int) -> int | None:
        lane = self._lanes.get(partition)
        if lane is None or not lane.offer(topic, records):
            return lane.work.next_offsets[topic] if lane is not None else None
        if lane.full and not lane.paused:
            lane.paused = True
            for other in self._topics:
                self._fetching.unwant(other, partition)
        return None

    def _out_of_range(self, topic: str, partition: int, offset: int) -> None:
        log.error(
            "the log does not hold this offset any more",
            flow=self._flow,
            topic=topic,
            partition=partition,
            offset=offset,
        )
        lane = self._lanes.get(partition)
        if lane is not None:
            lane.begin_anew()

    async def _tell(self) -> None:
        for turn in count(1):
            await self._time.sleep(MEASURE_EVERY)
            done = {
                (topic, lane.index): offset
                for lane in list(self._lanes.values())
                for topic, offset in lane.positions.items()
                if topic in self._topics
            }
            self._lag(done)
            if done and turn % TELL_KAFKA_EVERY == 0:
                await self._offsets.commit(done)

    def _lag(self, done: dict[tuple[str, int], int]) -> None:
        behind = sum(max(0, self._fetching.ends.get(slot, 0) - offset) for slot, offset in done.items())
        oldest = [lane.work.queue[0].timestamp for lane in self._lanes.values() if lane.work.queue]
        now = self._time.now().timestamp()
        metrics.LAG_RECORDS.labels(self._flow).set(behind)
        metrics.LAG_SECONDS.labels(self._flow).set(max(0.0, now - min(oldest) / 1000) if oldest else 0.0)
