"""This file does a lane's batches: take what waits, try it, find what is poison in it, commit, hand over for publishing."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from libs.flow import metrics
from libs.flow.batch import Entry, Intake, Place, Poison, Working, replayed, run, utc, without_seen
from libs.flow.commit import commit_of
from libs.flow.database import Unfit
from libs.flow.effects import Effects
from libs.flow.flow import Retry
from libs.flow.memory import Changes, DeadRow, Memory, apply
from libs.flow.outbound import Committed, Outbound
from libs.flow.shared import Lost, Shared, Stopped
from libs.flow.store import Statement
from libs.flow.timers import read_next
from libs.flow.wire import Record

log = structlog.get_logger(__name__)

AHEAD = timedelta(seconds=0.5)
"""What timers due so soon will need is loaded together with what the due ones need: one question for many batches."""
REMEMBERED = 4_000
"""First-hand events that a lane keeps in mind."""

PARKED = "select key, count(*) from dead_letter where flow = $1 and lane = $2 group by key"
"""Records by key that wait for a person; under the empty key those that hold nothing up."""


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


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


def _has_effect(changes: Changes) -> bool:
    return bool(
        changes.timers
        or changes.effects
        or changes.seen
        or changes.dead
        or changes.replayed
        or changes.outgoing
    )


class Batches:
    """The lane's memory, its rows and what waits for it. One task calls `batch`; the feed appends to `queue`."""

    def __init__(self, shared: Shared, index: int) -> None:
        self.shared, self.index, self.flow = shared, index, shared.flow
        self.wake = asyncio.Event()
        self.queue: deque[Record] = deque()
        self.next_offsets: dict[str, int] = {}
        """Where the queue goes on, by topic."""
        self.goals: dict[str, int] = {}
        """End of each log when the lane was taken."""
        self.lenient: set[str] = set()
        """Topics whose head was lost before it was read."""
        self.caught_up = False
        self.committed_at = shared.time.monotonic()
        self.memory: Memory | None = None
        self.store = self.flow.store(index)
        self.effects = Effects(self.flow, shared.time, self.wake.set)
        self.outbound = Outbound(shared, self.wake.set)
        self.replay = True
        """A person may have asked for dead letters to be tried again."""
        self._unsaved = Changes(next_seq=0)
        self.unsaved_since: float | None = None
        """Since when positions are ahead of their rows (monotonic seconds)."""
        self._recent: OrderedDict[UUID, None] = OrderedDict()
        self._loaded_until = LONG_AGO
        """What timers due until then need was loaded."""
        self._single = 0
        """So many batches hold one item each, to find the one that the database refuses."""

    @property
    def state(self) -> Memory:
        """Raises Retry where the lane's rows are not loaded."""
        if self.memory is None:
            raise Retry("the lane is not loaded")
        return self.memory

    def begin(self, memory: Memory) -> None:
        """Go on from rows that were just read."""
        self.memory = memory
        self.effects.sync(memory.effects, fresh=False)
        self.next_offsets = {topic: memory.positions.get(topic, 0) for topic in self.flow.reads}
        self.caught_up = False
        self.replay = True

    def forget(self) -> None:
        """Nothing in memory may outlive a fault or the lane; effects under way do, until the rows are read again."""
        self.queue.clear()
        self.outbound.forget()
        self.memory = None
        self._unsaved, self.unsaved_since = Changes(next_seq=0), None
        self.store.discard()
        self._loaded_until = LONG_AGO

    def waits(self) -> bool:
        """Whether there is something for a batch."""
        if self.queue or self.effects.results or self.replay:
            return True
        if not self._caught_up():
            return False
        fires = self._next_firing()
        return fires is not None and fires <= self.shared.time.now()

    async def wait(self, longest: float) -> None:
        """Return when something may have come, when a timer is due, or after `longest` seconds."""
        fires, alarms = self._next_firing(), self.shared.alarms
        cancel: Callable[[], None]
        if fires is not None and (left := (fires - self.shared.time.now()).total_seconds()) < longest:
            alarms.set(fires, max(0.0, left), self.wake.set)
            cancel = partial(alarms.cancel, fires, self.wake.set)
        else:
            # Cheaper than wait_for: no task, one timer.
            cancel = asyncio.get_running_loop().call_later(longest, self.wake.set).cancel
        try:
            await self.wake.wait()
        finally:
            cancel()

    def _next_firing(self) -> datetime | None:
        """When the next timer is to fire: at its due time, or at the flow's next tick after it."""
        due = self.memory.timers.next_due() if self.memory is not None else None
        tick = self.flow.tick
        if due is None or not tick:
            return due
        step = timedelta(seconds=tick)
        over = (due - EPOCH) % step
        return due + (step - over) if over else due

    @property
    def untidy(self) -> bool:
        """Something is still to be written that can wait: positions that moved without effect, acknowledged batches."""
        return bool(self._unsaved.positions or self.state.outbox or self.outbound.busy)

    async def tidy(self) -> None:
        """Write what could wait. Raises Lost, DatabaseAway."""
        state, unsaved = self.state, self._unsaved
        unsaved.next_seq = state.next_seq
        acknowledged = len(state.outbox)
        if not await self.shared.together.write(commit_of(self.index, state, unsaved, ())):
            raise Lost
        self._saved(acknowledged)

    def _saved(self, acknowledged: int) -> None:
        """A statement was written that cleared the first so many acknowledged batches from the outbox."""
        del self.state.outbox[:acknowledged]
        self._unsaved, self.unsaved_since = Changes(next_seq=0), None
        self.committed_at = self.shared.time.monotonic()

    def _caught_up(self) -> bool:
        """Timers wait until the lane has read what was on the log when it was taken: what happened in time may lie there."""
        if not self.caught_up:
            read = all(self.next_offsets.get(topic, 0) >= goal for topic, goal in self.goals.items())
            self.caught_up = read and len(self.queue) <= self.shared.limits.batch
        return self.caught_up

    async def batch(self) -> None:
        """Take what waits, handle it, commit, hand it over to be published.

        Raises Lost, DatabaseAway, Stopped, Retry; PublishFailed where an earlier one could not be published.
        """
        # Records wait: more of them share a batch then, which counts where processors are short. Timers and effects do not.
        await (self.outbound.drained() if self.queue else self.outbound.room())
        limit = 1 if self._single else self.shared.limits.batch
        records = [self.queue[i] for i in range(min(limit, len(self.queue)))]
        replays = await self._requested_replays() if self.replay else []
        poison: dict[Place, str] = {}
        while True:
            try:
                first_seq = self.state.next_seq
                changes, entries = await self._attempt(records, replays, poison, limit)
                break
            except Poison as found:
                log.error("a handler failed", flow=self.flow.name, lane=self.index, place=found.place, fault=repr(found.fault),
                          exc_info=found.fault)  # fmt: skip
                poison[found.place] = found.told
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
                self.replay = bool(self.state.parked)
                await self._reopen()
        for _ in records:
            self.queue.popleft()
        if self._single:
            self._single -= 1
        self._count_dead(changes, entries)
        if changes.outgoing:
            self.outbound.add(Committed(first_seq, changes.outgoing, self.state.outbox))
        await self._read_timers()

    async def _read_timers(self) -> None:
        """Lanes that were read together grow short together: one at a time, so that a burst of reading holds none of them up."""
        timers, reading = self.state.timers, self.shared.reading_timers
        if timers.scarce or (timers.short and not reading.locked()):
            async with reading:
                await read_next(self.shared.database, self.flow.name, self.index, timers)

    async def _attempt(
        self, records: list[Record], replays: list[DeadRow], poison: dict[Place, str], limit: int
    ) -> tuple[Changes, list[Entry]]:
        shared, state, flow = self.shared, self.state, self.flow
        now = shared.time.now()
        working = Working(flow, self.index, self.store, state, now)
        changes = working.changes
        intake = Intake(flow, state, self.lenient, "watermark" not in shared.limits.unsafe)
        entries = intake.records(records, changes)
        entries = without_seen(entries, changes, self._recent)
        if not (self._single and records):
            entries = self._with_timers(intake, entries, records, now, limit)
            entries += [intake.performed(done, row) for done, row in self.effects.take(limit)]
            entries = [
                e for e in (replayed(intake, dead, changes) for dead in replays) if e is not None
            ] + entries
        items = [entry.item for entry in entries if entry.item is not None]
        if items:
            await self.store.load(shared.database, items + self._soon(intake, entries, now, limit))
        run(working, entries, poison)
        dead_run = sum(1 for d in changes.dead if d.state == "dead" and d.key)
        if state.dead_run + dead_run > shared.limits.dead_in_a_row:
            metrics.STOPPED.labels(flow.name).inc()
            raise Stopped(
                f"{state.dead_run + dead_run} dead letters in a row; the last: {changes.dead[-1].detail}"
            )
        rows = self.store.statements()
        if rows or _has_effect(changes):
            await self._commit(entries, changes, rows)
        else:
            self._defer(changes)
        apply(state, changes)
        self.store.committed()
        self._remember(changes.seen)
        if changes.effects:
            self.effects.sync(state.effects, fresh=True)
        self._measure(entries, changes, now)
        return changes, entries

    async def _commit(self, entries: list[Entry], changes: Changes, rows: list[Statement]) -> None:
        """The batch's one statement. Raises Lost, Repeated, Refused, Poison, DatabaseAway."""
        state = self.state
        acknowledged = len(state.outbox)
        changes.positions = self._unsaved.positions | changes.positions
        changes.watermarks = self._unsaved.watermarks | changes.watermarks
        try:
            written = await self.shared.together.write(commit_of(self.index, state, changes, rows))
        except (asyncpg.PostgresError, Unfit) as fault:
            if len(entries) == 1:
                raise Poison(entries[0].place, fault) from fault
            raise Refused(len(entries)) from fault
        if not written:
            raise Repeated(changes.seen) if changes.seen else Lost
        self._saved(acknowledged)

    def _defer(self, changes: Changes) -> None:
        """A batch without effect only moves positions: those can wait for the next one that has, or for `tidy`.

        Should the process die before, its records are read again by the same state, and have no effect again.
        """
        self._unsaved.positions.update(changes.positions)
        self._unsaved.watermarks.update(changes.watermarks)
        if self.unsaved_since is None:
            self.unsaved_since = self.shared.time.monotonic()

    def _with_timers(
        self, intake: Intake, entries: list[Entry], records: list[Record], now: datetime, limit: int
    ) -> list[Entry]:
        """Put due timers between the records, by the time at which the broker took those."""
        state = self.state
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

    def _soon(self, intake: Intake, entries: list[Entry], now: datetime, limit: int) -> list[Any]:
        """Timers that fire within AHEAD, where one that fires now was not among them the last time."""
        due = [entry.timer.due for entry in entries if entry.timer is not None]
        if not due or max(due) <= self._loaded_until or self._single:
            return []
        self._loaded_until = now + AHEAD
        soon, last = self.state.timers.due_until(self._loaded_until, limit), max(due)
        return list(intake.soon(row for row in soon if row.due > last))

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
        self.state.parked = dict(await database.fetch(PARKED, name, self.index))
        rows = await database.fetch(
            'select id, key, state, topic, "offset", record_time, record_key, record_value, record_headers, reason, detail '
            "from dead_letter where flow = $1 and lane = $2 and replay order by id limit $3",
            name, self.index, self.shared.limits.batch,
        )  # fmt: skip
        self.replay = len(rows) == self.shared.limits.batch
        return [DeadRow(*row) for row in rows]

    async def _without_failed(self, replays: list[DeadRow], found: Poison) -> list[DeadRow]:
        """A replay that failed is dead, also one that was only parked before; those of its key behind it stay parked."""
        failed = next((r for r in replays if (r.topic, r.offset) == found.place), None)
        if failed is None:
            return replays
        left_out = [r.id for r in replays if r.id == failed.id or (r.key == failed.key and r.id > failed.id)]
        await self.shared.database.execute(
            "update dead_letter d set replay = false, state = case when f.it then 'dead' else state end, "
            "reason = case when f.it then $3 else reason end, detail = case when f.it then $4 else detail end "
            "from (select id, id = $2 as it from unnest($1::bigint[]) as u(id)) f where d.id = f.id",
            left_out, failed.id, found.reason, found.told[:2000],
        )  # fmt: skip
        return [r for r in replays if r.id not in left_out]

    async def _reopen(self) -> None:
        self.store.discard()
        async with self.shared.database.connection() as c:
            await self.store.open(c)
        self.state.opened, self.state.fired = self.state.opened + 1, 0

    def _count_dead(self, changes: Changes, entries: list[Entry]) -> None:
        dead = sum(1 for d in changes.dead if d.state == "dead" and d.key)
        self.state.dead_run = self.state.dead_run + dead if dead and dead == len(entries) else 0

    def _measure(self, entries: list[Entry], changes: Changes, now: datetime) -> None:
        name = self.flow.name
        for outcome, count in changes.outcomes.items():
            metrics.of(metrics.RECORDS, name, outcome).inc(count)
        for reason, count in changes.drops.items():
            metrics.DROPPED.labels(name, reason).inc(count)
        for dead in changes.dead:
            metrics.DEAD.labels(name, dead.reason).inc()
        metrics.of(metrics.BATCH, name).observe(len(entries))
        lateness, applied = metrics.of(metrics.TIMER_LATENESS, name), metrics.of(metrics.APPLIED, name)
        for entry in entries:
            if entry.timer is not None:
                lateness.observe((now - entry.timer.due).total_seconds())
            elif entry.recorded_at is not None:
                applied.observe(max(0.0, (self.shared.time.now() - entry.recorded_at).total_seconds()))
