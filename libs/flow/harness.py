"""This file runs one flow on real Postgres without Kafka: the kernel's own lane, fed by hand, its events caught."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import asyncpg

from libs.contracts.envelope import Envelope, Event, decode, encode_headers, encode_value
from libs.contracts.payloads.base import Payload
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.flow.database import Database
from libs.flow.flow import Flow
from libs.flow.lane import Lane
from libs.flow.schema import migrate
from libs.flow.shared import Limits, Shared
from libs.flow.wire import Incoming, Outgoing
from libs.timesource import ManualTime, random_token

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""A Monday morning; harness time begins here."""


class _Caught:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.records.extend(records)


class _Hand:
    """A feed without a broker: lanes are given records by the harness."""

    async def attach(self, lane: Lane, positions: dict[str, int]) -> None:  # noqa: ARG002
        lane.work.caught_up = True

    def detach(self, index: int) -> None: ...

    def more(self, index: int) -> None: ...


class Harness:
    """`async with Harness(flow, dsn) as h`: a schema of its own, all lanes owned here, time that moves by hand."""

    def __init__(
        self, flow: Flow, dsn: str, *, package: str | None = None, limits: Limits | None = None
    ) -> None:
        flow.check()
        self.flow, self.time = flow, ManualTime(START)
        self._dsn, self._package = dsn, package or f"services.{flow.schema}"
        self._schema = f"h_{flow.schema}_{random_token(4)}"
        self.database = Database(dsn, self._schema, application="harness")
        self._publisher = _Caught()
        self._shared = Shared(
            flow,
            self.database,
            self._publisher,
            _Hand(),
            self.time,
            limits or Limits(lease=3600.0),
            "harness",
        )
        self._lanes: dict[int, Lane] = {}
        self._logs: dict[tuple[str, int], list[Incoming]] = {}
        self._sequences: dict[tuple[str, int], int] = {}
        self._taken = self._heard = 0
        self._known: set[str] = set()
        self.emitted: list[Event[Any]] = []
        self.republished: list[Event[Any]] = []
        """Events that were published again after a crash, as the outbox promises; every reader drops them."""

    async def __aenter__(self) -> Self:
        await migrate(self._dsn, self._schema, self._package)
        await self.database.start()
        await self.database.execute(
            "insert into lane (flow, lane, incarnation) select $1, i, 'harness' from generate_series(0, $2 - 1) i",
            self.flow.name, topic_map().partitions,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes.values():
            await lane.work.effects.stop()
        await self.database.stop()
        connection = await asyncpg.connect(self._dsn)
        await connection.execute(f'drop schema "{self._schema}" cascade')
        await connection.close()

    async def give(
        self,
        payload: Payload,
        *,
        key: str,
        at: datetime | None = None,
        id: str | None = None,
        source: str | None = None,
        correlation: str = "",
        twice: bool = True,
    ) -> list[Event[Any]]:
        """Let the flow read one event (and, to prove that it is one effect, its repeat). Returns what the flow emitted.

        On a first-hand topic (source, id) names the event; elsewhere the harness numbers it.
        """
        record = self.record(payload, key=key, at=at, id=id, source=source, correlation=correlation)
        return await self.feed([record, record] if twice else [record])

    def record(
        self,
        payload: Payload,
        *,
        key: str,
        at: datetime | None = None,
        id: str | None = None,
        source: str | None = None,
        correlation: str = "",
        recorded_at: datetime | None = None,
    ) -> Incoming:
        """The Kafka record of an event, not yet read by the flow; it entered the system at `recorded_at`, default now."""
        topic = topic_of_type()[payload.type]
        raw = key.encode()
        partition = partition_of(raw, topic_map().partitions)
        sequence = previous = 0
        if not topic.first_hand:
            previous = self._sequences.get((topic.name, partition), 0)
            sequence = self._sequences[(topic.name, partition)] = previous + 1
        recorded = recorded_at or self.time.now()
        envelope = Envelope(
            id=id or (str(sequence) if sequence else random_token(8)),
            source=source or f"/harness/{partition}",
            type=payload.type,
            time=at or recorded,
            subject=key,
            correlation_id=correlation,
            recorded_at=recorded,
            sequence=sequence,
            previous=previous,
        )
        at_ms = int(recorded.timestamp() * 1000)
        return Incoming(
            topic.name, partition, -1, at_ms, raw, encode_value(payload), encode_headers(envelope)
        )

    async def feed(self, records: Sequence[Incoming]) -> list[Event[Any]]:
        """Let the flow read records (their offsets are given here), fire what is due, perform effects."""
        for record in records:
            self.append(record)
            await self.catch_up(record.partition)
        return await self.settle()

    def append(self, record: Incoming) -> None:
        """Put a record at the end of its log, unread."""
        log = self._logs.setdefault((record.topic, record.partition), [])
        log.append(replace(record, offset=len(log)))

    def logs(self) -> list[Incoming]:
        """Every record that the flow was given and that it published, with repeats, as they lie on the logs."""
        for own in self._own():
            self.append(own)
        written: dict[tuple[str, int], int] = {}
        published = []
        for record in self._publisher.records:
            if record.topic in self.flow.reads:
                continue
            slot = (record.topic, record.partition)
            offset = written[slot] = written.get(slot, -1) + 1
            published.append(Incoming(*slot, offset, 0, record.key, record.value, record.headers))
        return [record for log in self._logs.values() for record in log] + published

    async def catch_up(self, index: int) -> None:
        """Offer a lane what its logs hold beyond what it has."""
        lane = await self.lane(index)
        for (topic, partition), log in self._logs.items():
            if partition == index:
                lane.offer(topic, log[lane.work.next_offsets.get(topic, 0) :])

    async def advance(self, by: timedelta) -> list[Event[Any]]:
        """Move time and fire what becomes due. Returns what the flow emitted."""
        await self.time.advance(by)
        for row in await self.rows("select distinct lane from timer where flow = $1", self.flow.name):
            await self.lane(row[0])
        return await self.settle()

    async def hear_itself(self, rounds: int = 1_000) -> list[Event[Any]]:
        """Let the flow read what it published to topics that it reads, twice, and what it publishes then. Returns what it emitted."""
        fresh: list[Event[Any]] = []
        while rounds and (own := self._own()):
            rounds -= 1
            for record in own:
                for _ in range(2):
                    self.append(record)
                await self.catch_up(record.partition)
            fresh += await self.settle()
        return fresh

    def _own(self) -> list[Incoming]:
        """What was published to topics that the flow reads, and is on no log yet."""
        records, at = self._publisher.records[self._heard :], int(self.time.now().timestamp() * 1000)
        self._heard = len(self._publisher.records)
        return [
            Incoming(r.topic, r.partition, -1, at, r.key, r.value, r.headers)
            for r in records
            if r.topic in self.flow.reads
        ]

    async def crash(self) -> None:
        """Forget everything in memory, as a killed process does; lanes are taken again when they are next needed."""
        for lane in self._lanes.values():
            lane.work.outbound.forget()
            await lane.work.effects.stop()
        self._lanes.clear()
        await self.database.execute("update lane set epoch = epoch + 1 where flow = $1", self.flow.name)

    async def replay(self, dead_letter: int) -> list[Event[Any]]:
        """Try a dead letter again, with what waits behind it."""
        await self.database.execute(
            "update dead_letter set replay = true where flow = $1 and (lane, key) in (select lane, key from dead_letter where id = $2)",
            self.flow.name, dead_letter,
        )  # fmt: skip
        for (index,) in await self.rows("select distinct lane from dead_letter where replay"):
            (await self.lane(index)).look_for_replays()
        return await self.settle()

    async def rows(self, sql: str, *args: Any) -> list[Any]:
        """Rows of the flow's schema."""
        return await self.database.fetch(sql, *args)

    async def lane(self, index: int) -> Lane:
        """The lane, taken over where it is not held yet."""
        if index not in self._lanes:
            epoch = await self.database.fetchval(
                "update lane set owner = 'harness', epoch = epoch + 1 where flow = $1 and lane = $2 returning epoch",
                self.flow.name, index,
            )  # fmt: skip
            lane = Lane(self._shared, index, epoch)
            await lane.load(fresh=True)
            # Timers wait until what is on the logs has been read, as they do over Kafka.
            lane.work.goals = {
                topic: len(log)
                for (topic, partition), log in self._logs.items()
                if partition == index and topic in self.flow.reads
            }
            self._lanes[index] = lane
            await self.catch_up(index)
        return self._lanes[index]

    async def settle(self) -> list[Event[Any]]:
        """Batch until nothing waits in any lane: no record, no due timer, no effect under way."""
        for _ in range(1000):
            busy = False
            for lane in list(self._lanes.values()):
                while lane.work.waits():
                    await lane.work.batch()
                    await lane.work.outbound.drained()
                    busy = True
                if lane.work.effects._tasks:
                    await asyncio.wait(list(lane.work.effects._tasks.values()), timeout=5)
                    busy = True
            if not busy:
                break
        fresh: list[Event[Any]] = []
        for record in self._publisher.records[self._taken :]:
            event = decode(record.key, record.value, record.headers)
            (self.republished if event.envelope.name in self._known else fresh).append(event)
            self._known.add(event.envelope.name)
        self._taken = len(self._publisher.records)
        self.emitted += fresh
        return fresh
