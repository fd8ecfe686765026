"""This file reads topics as they lie on the log, record by record, for recordings; it owns nothing and commits nothing."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from aiokafka.errors import KafkaError

from libs.contracts.topics import topic_map
from libs.flow.fetching import Fetching, Slot
from libs.flow.offsets import Offsets
from libs.flow.wire import Incoming
from libs.timesource import SystemTime, TimeSource

LOOK = 0.05
"""Seconds between looks at whether the end is reached."""
SILENCE = 30.0
"""Seconds without any record after which a broker that should have more is given up."""

Take = Callable[[Incoming], None]
Advance = Callable[[int, int], object]
"""(records read, of how many known)"""


class Interrupted(OSError):
    """The broker, or a part of a log, went away while it was read: what was read so far is whole up to some offset."""


async def copy(
    kafka: str,
    topics: Sequence[str],
    take: Take,
    *,
    ending: Callable[[], bool] = lambda: True,
    advance: Advance | None = None,
    time: TimeSource | None = None,
) -> None:
    """Give `take` each record that the logs of these topics hold, in the order of its partition.

    Ends once `ending` says so and all is read that was on the logs then. Raises OSError where the broker is away,
    Interrupted where it goes away.
    """
    copying = _Copying(kafka, topics, take, time or SystemTime())
    try:
        await copying.run(ending, advance)
    except KafkaError as fault:
        raise OSError(f"the broker cannot be read: {fault!r}") from fault
    finally:
        await copying.stop()


class _Copying:
    """One copy under way."""

    def __init__(self, kafka: str, topics: Sequence[str], take: Take, time: TimeSource) -> None:
        self._take_one, self._time = take, time
        self._slots = [(topic, i) for topic in topics for i in range(topic_map().partitions)]
        self._offsets = Offsets(kafka, "sambung-record-offsets", None, self._slots)
        self._fetching = Fetching(
            kafka, "sambung-record", topics, self._take, self._lose, time=time, wait_ms=100
        )
        self._next: dict[Slot, int] = {}
        self._read = 0
        self._read_at = time.monotonic()
        self._lost: list[str] = []

    async def run(self, ending: Callable[[], bool], advance: Advance | None) -> None:
        self._next, ends = await self._offsets.range(self._slots)
        await self._fetching.start()
        for slot in self._slots:
            self._fetching.want(*slot, self._next[slot])
        over = False
        while True:
            if not over and ending():
                over, (_, ends) = True, await self._offsets.range(self._slots)
            behind = sum(max(0, end - self._next[slot]) for slot, end in ends.items())
            if advance is not None:
                advance(self._read, self._read + behind)
            if over and not behind:
                return
            if self._lost or (behind and self._time.monotonic() - self._read_at > SILENCE):
                raise Interrupted("; ".join(self._lost) or f"nothing came for {SILENCE:.0f} s")
            await self._time.sleep(LOOK)

    async def stop(self) -> None:
        with suppress(OSError):
            await self._offsets.stop()
        await self._fetching.stop()

    def _take(self, topic: str, partition: int, records: list[Incoming], _end: int) -> None:
        for record in records:
            if record.offset >= self._next[topic, partition]:
                self._next[topic, partition] = record.offset + 1
                self._read += 1
                self._take_one(record)
        self._read_at = self._time.monotonic()

    def _lose(self, topic: str, partition: int, offset: int) -> None:
        self._lost.append(f"{topic}/{partition} does not hold offset {offset}")
