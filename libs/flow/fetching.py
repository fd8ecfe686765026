"""This file fetches records: one long poll per broker, in an incremental fetch session (KIP-227).

The session's requests and answers name only partitions that changed, so an idle poll over sixty partitions is a few
bytes, and a partition that was just read is in the very next poll. The library's own consumer names every partition each
time, and leaves those out that it has just read until the poll under way returns.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.fetch import FetchRequest, FetchRequestStruct
from aiokafka.record import MemoryRecords

from libs.flow.wire import Incoming
from libs.timesource import TimeSource

log = structlog.get_logger(__name__)

Slot = tuple[str, int]
"""(topic, partition)"""

MAX_BYTES, MAX_PARTITION_BYTES = 8 << 20, 512 << 10
FULL_SESSION = (0, 0)
"""(session id, epoch) that asks for a new session."""
SESSION_ERRORS = {70, 71}
"""FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH: begin a new one."""
OUT_OF_RANGE = 1
LONGEST_EPOCH = 2**31 - 1

OnRecords = Callable[[str, int, list[Incoming], int], int | None]
"""(topic, partition, records, end of the log) -> the offset to go on from where that is not the one after the records."""


class _SessionFetch(FetchRequest):  # type: ignore[misc]
    """The library's request with a session in it; needs version 7 or newer, as every broker since 1.1 has."""

    def __init__(
        self, wait_ms: int, session: tuple[int, int], wanted: dict[Slot, int], forgotten: Sequence[Slot]
    ) -> None:
        topics: dict[str, list[tuple[int, int, int]]] = {}
        for (topic, partition), offset in wanted.items():
            topics.setdefault(topic, []).append((partition, offset, MAX_PARTITION_BYTES))
        super().__init__(wait_ms, 1, MAX_BYTES, 0, list(topics.items()))
        self._session = session
        self._forgotten: dict[str, list[int]] = {}
        for topic, partition in forgotten:
            self._forgotten.setdefault(topic, []).append(partition)

    def build(self, request_struct_class: type[FetchRequestStruct]) -> FetchRequestStruct:
        version = request_struct_class.API_VERSION
        if version < 9:
            raise KafkaError(f"the broker speaks version {version} of fetching; 9 (Kafka 2.0) is needed")
        topics = [
            (topic, [(partition, -1, offset, -1, most) for partition, offset, most in partitions])
            for topic, partitions in self._topics
        ]
        arguments: list[Any] = [
            -1,
            self._max_wait_ms,
            1,
            MAX_BYTES,
            0,
            *self._session,
            topics,
            list(self._forgotten.items()),
        ]
        if version >= 11:
            arguments.append("")
        return request_struct_class(*arguments)


@dataclass(slots=True)
class _Session:
    """What the broker believes that we want of it."""

    id_and_epoch: tuple[int, int] = FULL_SESSION
    known: dict[Slot, int] = field(default_factory=dict)

    def next_request(self, wanted: dict[Slot, int], wait_ms: int) -> _SessionFetch:
        if self.id_and_epoch == FULL_SESSION:
            self.known = {}
        changed = {slot: offset for slot, offset in wanted.items() if self.known.get(slot) != offset}
        forgotten = [slot for slot in self.known if slot not in wanted]
        self.known = dict(wanted)
        return _SessionFetch(wait_ms, self.id_and_epoch, changed, forgotten)

    def answered(self, session_id: int) -> None:
        epoch = self.id_and_epoch[1]
        # A broker with no room for a session answers 0: then each request is a full one.
        self.id_and_epoch = (session_id, epoch % LONGEST_EPOCH + 1) if session_id else FULL_SESSION

    def lost(self) -> None:
        self.id_and_epoch = FULL_SESSION


class Fetching:
    """Reads wanted partitions from wanted offsets until stopped; recovers from loss of a broker by itself.

    `on_records` is called for each partition that has records, in the order of its log; it must not wait. It may change
    what is wanted. `on_range` is told of an offset that the log does not hold; the partition is then not wanted any more.
    """

    def __init__(
        self,
        kafka: str,
        client: str,
        topics: Sequence[str],
        on_records: OnRecords,
        on_range: Callable[[str, int, int], None],
        *,
        time: TimeSource,
        wait_ms: int,
        gather: float = 0.0,
    ) -> None:
        """`wait_ms`: how long the broker holds a poll that finds nothing. `gather`: while records come at shorter distances
        than this (seconds), leave them on the log for so long that several come with a poll."""
        self._kafka, self._name, self._topics = kafka, client, tuple(topics)
        self._on_records, self._on_range = on_records, on_range
        self._time, self._wait_ms, self._gather = time, wait_ms, gather
        self._wanted: dict[Slot, int] = {}
        self._client: AIOKafkaClient | None = None
        self._polls: dict[int, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        """Something new is wanted: no gathering now."""
        self._found_at = float("-inf")
        self.fetched_at: float | None = None
        self.ends: dict[Slot, int] = {}
        """End of the log by partition, as last heard."""

    async def start(self) -> None:
        """Raises KafkaError, OSError, TimeoutError where no broker answers."""
        client = AIOKafkaClient(
            bootstrap_servers=self._kafka,
            client_id=self._name,
            request_timeout_ms=7_000,
            retry_backoff_ms=100,
            metadata_max_age_ms=30_000,
        )
        try:
            async with asyncio.timeout(10):
                await client.bootstrap()
                for topic in self._topics:
                    await client.add_topic(topic)
        except BaseException:
            await client.close()
            raise
        self._client = client
        self.fetched_at = self._time.monotonic()
        self._main = asyncio.get_running_loop().create_task(self._run(client))

    async def stop(self) -> None:
        tasks = [*self._polls.values(), *([self._main] if self._main else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    def want(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from here on; joins with the next poll."""
        self._wanted[(topic, partition)] = offset
        self._changed.set()
        self._hurry.set()

    def unwant(self, topic: str, partition: int) -> None:
        self._wanted.pop((topic, partition), None)

    async def _run(self, client: AIOKafkaClient) -> None:
        """Keeps one poll for each broker that leads something wanted."""
        while True:
            self._changed.clear()
            leaders = set()
            for topic, partition in self._wanted:
                leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
                if leader is None or leader == -1:
                    client.force_metadata_update()
                else:
                    leaders.add(leader)
            for node in leaders:
                if node not in self._polls or self._polls[node].done():
                    self._polls[node] = asyncio.get_running_loop().create_task(self._poll(client, node))
            handle = asyncio.get_running_loop().call_later(1.0, self._changed.set)
            await self._changed.wait()
            handle.cancel()

    async def _poll(self, client: AIOKafkaClient, node: int) -> None:
        session = _Session()
        while True:
            wanted = {
                slot: offset
                for slot, offset in self._wanted.items()
                if client.cluster.leader_for_partition(TopicPartition(*slot)) == node
            }
            if not wanted:
                return
            try:
                answer = await client.send(node, session.next_request(wanted, self._wait_ms))
            except Exception as fault:  # the library lets more than its own errors out of a broken connection
                session.lost()
                log.warning("a fetch failed", client=self._name, fault=repr(fault)[:200])
                client.force_metadata_update()
                await self._time.sleep(0.1)
                continue
            if answer.error_code:
                session.lost()
                if answer.error_code not in SESSION_ERRORS:
                    log.warning(
                        "a fetch was refused", client=self._name, fault=for_code(answer.error_code).__name__
                    )
                    await self._time.sleep(0.1)
                continue
            session.answered(answer.session_id)
            self.fetched_at = self._time.monotonic()
            for topic, partitions in answer.topics:
                for partition, code, end, *rest in partitions:
                    slot = (topic, partition)
                    if code:
                        await self._refused(client, session, slot, code)
                    elif self._wanted.get(slot) == wanted.get(slot):
                        self.ends[slot] = end
                        self._give(slot, wanted[slot], rest[-1], end)
            await self._pause(found_some=bool(answer.topics))

    async def _pause(self, *, found_some: bool) -> None:
        now = self._time.monotonic()
        soon = found_some and now - self._found_at < self._gather
        if found_some:
            self._found_at = now
        if not soon or self._hurry.is_set():
            self._hurry.clear()
            # Someone else's turn: a full log must not keep the loop from everything else.
            await self._time.sleep(0)
            return
        handle = asyncio.get_running_loop().call_later(self._gather, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            handle.cancel()
            self._hurry.clear()

    async def _refused(self, client: AIOKafkaClient, session: _Session, slot: Slot, code: int) -> None:
        session.known.pop(slot, None)
        if code == OUT_OF_RANGE:
            offset = self._wanted.pop(slot, 0)
            self._on_range(*slot, offset)
            return
        log.warning(
            "a partition cannot be fetched", topic=slot[0], partition=slot[1], fault=for_code(code).__name__
        )
        client.force_metadata_update()
        await self._time.sleep(0.1)

    def _give(self, slot: Slot, asked: int, raw: bytes, end: int) -> None:
        topic, partition = slot
        found: list[Incoming] = []
        after = asked
        records = MemoryRecords(raw)
        while records.has_next():
            batch = records.next_batch()
            if not batch.validate_crc():
                log.error(
                    "a batch with a wrong checksum; it is fetched again", topic=topic, partition=partition
                )
                break
            if not batch.is_control_batch:
                found += [
                    Incoming(topic, partition, r.offset, r.timestamp, r.key, r.value, r.headers)
                    for r in batch
                    if r.offset >= after
                ]
            after = max(after, batch.next_offset)
        if after == asked:
            return
        self._wanted[slot] = after
        if found:
            other = self._on_records(topic, partition, found, end)
            if other is not None and slot in self._wanted:
                self._wanted[slot] = other
