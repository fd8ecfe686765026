"""This file reads topics as they lie on the log, record by record, for recordings; it owns nothing and commits nothing."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from libs.contracts.topics import topic_map
from libs.flow.fetching import Fetching
from libs.flow.offsets import Offsets
from libs.flow.wire import Incoming
from libs.timesource import SystemTime, TimeSource

LOOK = 0.05
"""Seconds between looks at whether the end is reached."""
SILENCE = 30.0
"""Seconds without any record after which a broker that should have more is given up."""


class Interrupted(OSError):
    """The broker, or a part of a log, went away while it was read: what was read so far is whole up to some offset."""


async def copy(
    kafka: str,
    topics: Sequence[str],
    take: Callable[[Incoming], None],
    *,
    ending: Callable[[], bool] = lambda: True,
    advance: Callable[[int, int], object] | None = None,
    time: TimeSource | None = None,
) -> None:
    """Give `take` each record that the logs of these topics hold, in the order of its partition.

    Ends once `ending` says so and all is read that was on the logs then. `advance` is told how many records were read,
    of how many known. Raises OSError where the broker is away, Interrupted where it goes away.
    """
    time = time or SystemTime()
    slots = [(topic, i) for topic in topics for i in range(topic_map().partitions)]
    offsets = Offsets(kafka, "sambung-record-offsets", None, slots)
    lost: list[str] = []
    reached: dict[tuple[str, int], int] = {}
    count = [0, 0.0]

    def on_records(topic: str, partition: int, records: list[Incoming], _end: int) -> None:
        for record in records:
            if record.offset >= reached[topic, partition]:
                reached[topic, partition] = record.offset + 1
                count[0] += 1
                take(record)
        count[1] = time.monotonic()

    def on_range(topic: str, partition: int, offset: int) -> None:
        lost.append(f"{topic}/{partition} does not hold offset {offset}")

    fetching = Fetching(kafka, "sambung-record", topics, on_records, on_range, time=time, wait_ms=100)
    try:
        starts, ends = await offsets.range(slots)
        reached.update(starts)
        count[1] = time.monotonic()
        await fetching.start()
        for slot in slots:
            fetching.want(*slot, starts[slot])
        over = False
        while not (over and all(reached[slot] >= end for slot, end in ends.items())):
            await time.sleep(LOOK)
            if not over and ending():
                over, (_, ends) = True, await offsets.range(slots)
            behind = sum(max(0, end - reached[slot]) for slot, end in ends.items())
            if advance is not None:
                advance(int(count[0]), int(count[0]) + behind)
            if lost or (behind and time.monotonic() - count[1] > SILENCE):
                raise Interrupted("; ".join(lost) or f"nothing came for {SILENCE:.0f} s")
    finally:
        with suppress(OSError):
            await offsets.stop()
        await fetching.stop()
