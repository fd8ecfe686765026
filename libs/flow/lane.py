"""This file is the life of a lane: take over, batch after batch, hand back.

load (rows; outbox published again) ─▶ attach (seek, resume) ─▶ [ wait ─▶ batch ─▶ commit ─▶ publish ]* ─▶ release
  ▲                                                                   │ any fault of database or broker
  └───────────────────── epoch + 1, memory thrown away ◀──────────────┘
"""

import asyncio
import json
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg
import structlog

from libs.contracts.topics import topic_map
from libs.flow import metrics
from libs.flow.batch import Entry, Intake, Place, Poison, Working, replayed, run, utc, without_seen
from libs.flow.commit import statement_of
from libs.flow.database import Database, DatabaseAway
from libs.flow.effects import Effects
from libs.flow.flow import Flow, Retry
from libs.flow.memory import Changes, DeadRow, EffectRow, Memory, TimerRow, Timers, apply
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing, Record, unpack
from libs.timesource import TimeSource, jitter

log = structlog.get_logger(__name__)


REMEMBERED = 4_000
"""First-hand events that a lane keeps in mind."""

PARKED = "select key, count(*) from dead_letter where flow = $1 and lane = $2 and key <> '' group by key"


class Lost(Exception):
    """Another process owns the lane now: forget everything, write nothing."""


class Stopped(Exception):
    """Too many records in a row were dead: a bad deploy. The lane does no more until the process is started again."""


class Repeated(Exception):
    """The batch wrote nothing: one of its first-hand events was handled before, or the lane is not ours."""

    def __init__(self, digests: list[UUID]) -> None:
        super().__init__("a first-hand event came again")
        self.digests = digests


class Refused(Exception):
    """The database is there but will not take what some item of the batch made of its rows."""

    def __init__(self, items: int) -> None:
        super().__init__(f"a batch of {items} items was refused")
        self.items = items


@dataclass(frozen=True, slots=True)
class Limits:
    """The kernel's times (seconds) and sizes; the times are those under which two prototypes were broken on purpose."""

    batch: int = 500
    lease: float = 2.0
    beat: float = 0.5
    look: float = 0.25
    grace: float = 1.5
    stuck: float = 12.0
    fetch_wait_ms: int = 50
    dead_in_a_row: int = 100
    unsafe: frozenset[str] = field(default_factory=frozenset)
    """`epoch`, `watermark`: checks switched off by the chaos campaign to show that it can fail. Never else."""


class Feed(Protocol):
    """Where a lane's records come from."""

    async def attach(self, lane: "Lane", positions: dict[str, int]) -> None:
        """Begin to offer records from these offsets (0 where a topic is missing), and set the lane's `goals`."""
        ...

    def detach(self, index: int) -> None: ...

    def more(self, index: int) -> None:
        """The lane's queue is short again: go on fetching."""
        ...


class Publishes(Protocol):
    async def publish(self, records: Sequence[Outgoing]) -> None: ...


@dataclass(slots=True)
class Shared:
    """What all lanes of one flow in a process use."""

    flow: Flow
    database: Database
    publisher: Publishes
    feed: Feed
    time: TimeSource
    limits: Limits
    owner: str = ""


class Lane:
    """One lane while this process owns it. A lane that was lost or handed back is never used again."""

    def __init__(self, shared: Shared, index: int, epoch: int) -> None:
        self.shared, self.index, self.epoch = shared, index, epoch
        self.flow = shared.flow
        self.assigned = True
        self.ready = False
        self.stopped = False
        self.caught_up = False
        self.goals: dict[str, int] = {}
        self.lenient: set[str] = set()
        now = shared.time.monotonic()
        self.born = self.progress = self.renewed = now
        self.task: asyncio.Task[None] | None = None
        self.queue: deque[Record] = deque()
        self.next_offsets: dict[str, int] = {}
        self.paused = False
        self._wake = asyncio.Event()
        self._store = self.flow.store(index)
        self._memory: Memory | None = None
        self._effects = Effects(self.flow, shared.time, self._wake.set)
        self._recent: OrderedDict[UUID, None] = OrderedDict()
        self._single = 0
        """So many batches hold one item each, to find the one that the database refuses."""
        self._replay = True
        self._gone: list[int] = []

    # -- called by others -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.run(), name=f"{self.flow.name}/{self.index}")

    def offer(self, topic: str, records: Sequence[Record]) -> bool:
        """Take records from the feed. False: they do not continue what is queued; the feed must seek to `next_offsets`."""
        if not self.ready:
            return True
        expected = self.next_offsets.get(topic, 0)
        for record in records:
            if record.offset < expected:
                continue
            if record.offset > expected and topic not in self.lenient and not topic_map()[topic].compact:
                self.next_offsets[topic] = expected
                return False
            self.queue.append(record)
            expected = record.offset + 1
        self.next_offsets[topic] = expected
        self._wake.set()
        return True

    @property
    def full(self) -> bool:
        """More than four batches wait: the feed should pause."""
        return len(self.queue) > 4 * self.shared.limits.batch

    def leave(self) -> None:
        """Hand the lane back after the batch under way."""
        self.assigned = False
        self._wake.set()

    def begin_anew(self) -> None:
        """Something under the lane changed: read its rows and the log's range again."""
        self.ready = False
        self._wake.set()

    def look_for_replays(self) -> None:
        self._replay = True
        self._wake.set()

    @property
    def positions(self) -> dict[str, int]:
        return dict(self._memory.positions) if self._memory else {}

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(timers, effects, dead letters, batches in the outbox) of this lane."""
        m = self._memory
        return (len(m.timers), len(m.effects), sum(m.parked.values()), len(m.outbox)) if m else (0, 0, 0, 0)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Ends when the lane was handed back, lost, or given up."""
        pause, fresh = 0.1, True
        shared, name = self.shared, self.flow.name
        try:
            while self.assigned:
                try:
                    async with asyncio.timeout(30):
                        await self.load(fresh=fresh)
                    fresh, pause = False, 0.1
                    await shared.feed.attach(self, self._state.positions)
                    await self._loop()
                except (Lost, Stopped):
                    raise
                except (DatabaseAway, PublishFailed, Retry, TimeoutError, OSError) as fault:
                    why = type(fault).__name__
                    metrics.RELOADS.labels(name, why).inc()
                    log.warning("lane begins anew", flow=name, lane=self.index, fault=repr(fault)[:300])
                    fresh = False
                    self._forget()
                    self.progress = shared.time.monotonic()
                    await shared.time.sleep(pause * jitter(0.5, 1.5))
                    pause = min(2.0, pause * 2)
            await self._release()
        except Lost:
            metrics.LOST.labels(name).inc()
            log.warning("lane lost", flow=name, lane=self.index, epoch=self.epoch)
        except Stopped as fault:
            self.stopped = True
            log.error(
                "lane stopped: too many records in a row are dead",
                flow=name,
                lane=self.index,
                detail=str(fault),
            )
            await self._wait_until_left()
        except Exception as fault:
            log.exception("lane failed", flow=name, lane=self.index, fault=repr(fault))
        finally:
            self._forget()
            await self._effects.stop()

    async def _wait_until_left(self) -> None:
        self._forget()
        while self.assigned:
            self.progress = self.shared.time.monotonic()
            self._wake.clear()
            await self._wait(1.0)

    @property
    def _state(self) -> Memory:
        if self._memory is None:
            raise Retry("the lane is not loaded")
        return self._memory

    def _forget(self) -> None:
        self.ready = False
        self.shared.feed.detach(self.index)
        self.queue.clear()
        self._memory = None
        self._store.discard()

    async def load(self, *, fresh: bool) -> None:
        """Read the lane's rows and publish again what its outbox holds.

        After any fault a new epoch comes first, since an earlier statement may still be running on the server.
        Raises Lost where the lane is not ours any more.
        """
        name, index = self.flow.name, self.index
        self._store.discard()
        async with self.shared.database.connection() as c:
            if fresh:
                row = await c.fetchrow(
                    "select epoch, next_seq, incarnation, tails from lane where flow = $1 and lane = $2 and epoch = $3",
                    name, index, self.epoch,
                )  # fmt: skip
            else:
                row = await c.fetchrow(
                    "update lane set epoch = epoch + 1, lease_until = clock_timestamp() + $4::float8 * interval '1 second' "
                    "where flow = $1 and lane = $2 and epoch = $3 and owner = $5 returning epoch, next_seq, incarnation, tails",
                    name, index, self.epoch, self.shared.limits.lease, self.shared.owner,
                )  # fmt: skip
            if row is None:
                raise Lost
            self.epoch = row["epoch"]
            positions = dict(
                await c.fetch(
                    'select topic, next_offset from "position" where flow = $1 and lane = $2', name, index
                )
            )
            marks = await c.fetch(
                "select topic, source, seq from watermark where flow = $1 and lane = $2", name, index
            )
            timers = await c.fetch(
                "select id, key, due, name, body, cause from timer where flow = $1 and lane = $2", name, index
            )
            effects = await c.fetch(
                "select id, key, seq, name, body, cause from effect where flow = $1 and lane = $2",
                name,
                index,
            )
            parked = await c.fetch(PARKED, name, index)
            outbox = await c.fetch(
                "select first_seq, records from outbox where flow = $1 and lane = $2 order by first_seq",
                name,
                index,
            )
            await self._store.open(c)
        memory = Memory(
            epoch=self.epoch,
            next_seq=row["next_seq"],
            source=f"/{name}/{index}/{row['incarnation']}",
            tails=json.loads(row["tails"]),
            positions=positions,
            watermarks={(topic, source): seq for topic, source, seq in marks},
            timers=Timers([TimerRow(*t) for t in timers]),
            effects={e["id"]: EffectRow(*e) for e in effects},
            parked=dict(parked),
        )
        if outbox:
            await self.shared.publisher.publish([event for row in outbox for event in unpack(row["records"])])
            memory.outbox = [row["first_seq"] for row in outbox]
        self._memory = memory
        if memory.outbox:
            await self._clear_outbox()
        self._effects.sync(memory.effects, fresh=False)
        self.next_offsets = {topic: positions.get(topic, 0) for topic in self.flow.reads}
        self.caught_up = False
        self._replay = True
        self.ready = True
        self.progress = self.shared.time.monotonic()

    async def _release(self) -> None:
        """Give the lane to whoever wants it; its members are told."""
        memory = self._memory
        await self.shared.database.execute(
            "with own as (update lane set owner = null, lease_until = null, epoch = epoch + 1 "
            "where flow = $1 and lane = $2 and epoch = $3 returning 1), "
            "gone as (delete from outbox o using own where o.flow = $1 and o.lane = $2 and o.first_seq = any($4::bigint[])) "
            "select pg_notify($5, 'released') from own",
            self.flow.name, self.index, self.epoch, memory.outbox if memory else [], channel(self.shared.database.schema),
        )  # fmt: skip

    async def give_up(self) -> None:
        """Hand back a lane whose task was ended from outside."""
        await self._release()

    async def _clear_outbox(self) -> None:
        state = self._state
        ours = await self.shared.database.fetchval(
            "with own as (select 1 from lane where flow = $1 and lane = $2 and epoch = $3 for update), "
            "gone as (delete from outbox o using own where o.flow = $1 and o.lane = $2 and o.first_seq = any($4::bigint[])) "
            "select count(*) from own",
            self.flow.name, self.index, state.epoch, state.outbox,
        )  # fmt: skip
        if not ours:
            raise Lost
        state.outbox.clear()

    # -- batches ------------------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        state, time = self._state, self.shared.time
        while self.assigned:
            self.progress = time.monotonic()
            if not self.ready:
                raise Retry("the feed gave the lane up")
            if not self._work_waits():
                limit = 0.3 if state.outbox else 1.0
                due = self._state.timers.next_due()
                if due is not None:
                    limit = min(limit, max(0.0, (due - time.now()).total_seconds()))
                self._wake.clear()
                if not self._work_waits():
                    await self._wait(limit)
                if not self._work_waits():
                    if state.outbox:
                        await self._clear_outbox()
                    continue
            await self.batch()
            if self.paused and len(self.queue) < 2 * self.shared.limits.batch:
                self.shared.feed.more(self.index)

    async def _wait(self, limit: float) -> None:
        # Cheaper than wait_for: no task, one timer.
        handle = asyncio.get_running_loop().call_later(limit, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()

    def _work_waits(self) -> bool:
        if self.queue or self._effects.results or self._replay:
            return True
        if not self._caught_up():
            return False
        due = self._state.timers.next_due()
        return due is not None and due <= self.shared.time.now()

    def _caught_up(self) -> bool:
        """Timers wait until the lane has read what was on the log when it was taken: what happened in time may lie there."""
        if not self.caught_up:
            positions = self._state.positions
            self.caught_up = all(positions.get(topic, 0) >= goal for topic, goal in self.goals.items())
        return self.caught_up

    async def batch(self) -> None:
        """Take what waits, handle it, commit, publish. Raises Lost, DatabaseAway, PublishFailed, Stopped, Retry."""
        limit = 1 if self._single else self.shared.limits.batch
        records = [self.queue[i] for i in range(min(limit, len(self.queue)))]
        replays = await self._requested_replays() if self._replay else []
        poison: dict[Place, str] = {}
        while True:
            try:
                first_seq = self._state.next_seq
                changes, entries = await self._attempt(records, replays, poison, limit)
                break
            except Poison as found:
                log.error("a handler failed", flow=self.flow.name, lane=self.index, place=found.place, fault=repr(found.fault),
                          exc_info=found.fault)  # fmt: skip
                poison[found.place] = f"{type(found.fault).__name__}: {found.fault}"
                replays = await self._without_failed(replays, found)
                await self._reopen()
            except Repeated as repeated:
                before = await self._seen_before(repeated.digests)
                if not before:
                    raise Lost from None
                self._remember(before)
                await self._reopen()
            except Refused as refused:
                log.error("the database refused a batch; its items are taken one by one", flow=self.flow.name,
                          lane=self.index, fault=repr(refused.__cause__)[:500])  # fmt: skip
                self._single, limit, records, replays = refused.items, 1, records[:1], []
                self._replay = bool(self._state.parked)
                await self._reopen()
        for _ in records:
            self.queue.popleft()
        if self._single:
            self._single -= 1
        self._count_dead(changes, entries)
        if changes.outgoing:
            with metrics.PUBLISH.labels(self.flow.name).time():
                await self.shared.publisher.publish(changes.outgoing)
            self._state.outbox.append(first_seq)

    async def _attempt(
        self, records: list[Record], replays: list[DeadRow], poison: dict[Place, str], limit: int
    ) -> tuple[Changes, list[Entry]]:
        shared, state, flow = self.shared, self._state, self.flow
        now = shared.time.now()
        working = Working(flow, self.index, self._store, state, now)
        changes = working.changes
        intake = Intake(flow, state, self.lenient, "watermark" not in shared.limits.unsafe)
        entries = intake.records(records, changes)
        entries = without_seen(entries, changes, self._recent)
        if not (self._single and records):
            entries = self._with_timers(intake, entries, records, now, limit)
            entries += [intake.performed(done, row) for done, row in self._effects.take(limit)]
            entries = [
                e for e in (replayed(intake, dead, changes) for dead in replays) if e is not None
            ] + entries
        items = [entry.item for entry in entries if entry.item is not None]
        if items:
            await self._store.load(shared.database, items)
        run(working, entries, poison)
        dead_run = sum(1 for d in changes.dead if d.state == "dead" and d.key)
        if state.dead_run + dead_run > shared.limits.dead_in_a_row:
            metrics.STOPPED.labels(flow.name).inc()
            raise Stopped(
                f"{state.dead_run + dead_run} dead letters in a row; the last: {changes.dead[-1].detail}"
            )
        rows = self._store.statements()
        sql, arguments = statement_of(
            flow.name,
            self.index,
            state,
            changes,
            rows,
            shared.limits.lease,
            fenced="epoch" not in shared.limits.unsafe,
        )
        try:
            with metrics.COMMIT.labels(flow.name).time():
                ours = await shared.database.fetchval(sql, *arguments)
        except (asyncpg.PostgresError, asyncpg.DataError) as fault:
            if len(entries) == 1:
                raise Poison(entries[0].place, fault) from fault
            raise Refused(len(entries)) from fault
        if not ours:
            if not changes.seen:
                raise Lost
            raise Repeated(changes.seen)
        state.outbox.clear()
        apply(state, changes)
        self._remember(changes.seen)
        self._store.committed()
        self.renewed = self.progress = shared.time.monotonic()
        if changes.effects:
            self._effects.sync(state.effects, fresh=True)
        self._measure(entries, changes, now)
        return changes, entries

    def _with_timers(
        self, intake: Intake, entries: list[Entry], records: list[Record], now: datetime, limit: int
    ) -> list[Entry]:
        """Put due timers between the records, by the time at which the broker took those."""
        state = self._state
        if self._caught_up() or not self.goals:
            moment = now
        elif records:
            moment = min(now, utc(records[-1].timestamp))
        else:
            return entries
        due = state.timers.due_until(moment, limit)
        if not due:
            return entries
        merged: list[Entry] = []
        waiting = deque(due)
        for entry in entries:
            at = utc(entry.record.timestamp) if entry.record is not None else now
            while waiting and waiting[0].due <= at:
                merged.append(intake.timer(waiting.popleft()))
            merged.append(entry)
        return merged + [intake.timer(row) for row in waiting]

    def _remember(self, digests: Iterable[UUID]) -> None:
        """Providers repeat themselves within seconds: those repeats need no question to the database."""
        self._recent.update(dict.fromkeys(digests))
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    async def _seen_before(self, digests: list[UUID]) -> set[UUID]:
        return {
            row[0]
            for row in await self.shared.database.fetch(
                "select digest from seen where digest = any($1::uuid[])", digests
            )
        }

    async def _requested_replays(self) -> list[DeadRow]:
        """Dead letters that a person asked to try again, with what waits behind them, in their order."""
        database, name = self.shared.database, self.flow.name
        # A person may have dropped some: what is parked is what the table says.
        self._state.parked = dict(await database.fetch(PARKED, name, self.index))
        rows = await database.fetch(
            'select id, key, state, topic, "offset", record_time, record_key, record_value, record_headers, reason, detail '
            "from dead_letter where flow = $1 and lane = $2 and replay order by id limit $3",
            name, self.index, self.shared.limits.batch,
        )  # fmt: skip
        self._replay = len(rows) == self.shared.limits.batch
        return [DeadRow(*row) for row in rows]

    async def _without_failed(self, replays: list[DeadRow], found: Poison) -> list[DeadRow]:
        """A replay that failed stays dead, and those of its key behind it stay parked."""
        failed = next((r for r in replays if (r.topic, r.offset) == found.place), None)
        if failed is None:
            return replays
        left_out = [r.id for r in replays if r.id == failed.id or (r.key == failed.key and r.id > failed.id)]
        await self.shared.database.execute(
            "update dead_letter set replay = false, detail = case when id = $2 then $3 else detail end where id = any($1::bigint[])",
            left_out, failed.id, repr(found.fault)[:2000],
        )  # fmt: skip
        return [r for r in replays if r.id not in left_out]

    async def _reopen(self) -> None:
        self._store.discard()
        async with self.shared.database.connection() as c:
            await self._store.open(c)

    def _count_dead(self, changes: Changes, entries: list[Entry]) -> None:
        dead = sum(1 for d in changes.dead if d.state == "dead" and d.key)
        self._state.dead_run = self._state.dead_run + dead if dead and dead == len(entries) else 0

    def _measure(self, entries: list[Entry], changes: Changes, now: datetime) -> None:
        name = self.flow.name
        for outcome, count in changes.outcomes.items():
            metrics.RECORDS.labels(name, outcome).inc(count)
        for reason, count in changes.drops.items():
            metrics.DROPPED.labels(name, reason).inc(count)
        for dead in changes.dead:
            metrics.DEAD.labels(name, dead.reason).inc()
        metrics.BATCH.labels(name).observe(len(entries))
        for entry in entries:
            if entry.timer is not None:
                metrics.TIMER_LATENESS.labels(name).observe((now - entry.timer.due).total_seconds())
            elif entry.recorded_at is not None:
                metrics.APPLIED.labels(name).observe(
                    max(0.0, (self.shared.time.now() - entry.recorded_at).total_seconds())
                )


def channel(schema: str) -> str:
    """The NOTIFY channel of a schema's lanes."""
    return f"sambung_{schema}"
