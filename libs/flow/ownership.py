"""This file decides which lanes this process serves: leases and epochs in Postgres, on the database's clock alone.

One session for all flows of the process: it holds an advisory lock (gone the moment the process dies), listens, beats
(renews leases), looks (who is alive, which lanes are free) and claims. Each member serves about lanes/members of a flow.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import structlog

from libs.flow import metrics
from libs.flow.database import AWAY, session
from libs.flow.lane import Lane
from libs.flow.shared import Shared, channel
from libs.timesource import TimeSource, jitter, random_token

log = structlog.get_logger(__name__)

LOCK_CLASS = 77_410
"""First key of our advisory locks; the second is a member's own."""

ABSENT_FOR = 0.1
"""A member is dead when its lock is gone in two looks at least this far apart (seconds): one look can race a reconnect."""

BEAT = """
with m as (
    insert into member (flow, member_id, beat_at, lock_key)
    select f, $2, clock_timestamp(), $3 from unnest($1::text[]) f
    on conflict (flow, member_id) do update set beat_at = excluded.beat_at, lock_key = excluded.lock_key
), r as (
    update lane w set lease_until = clock_timestamp() + $4::float8 * interval '1 second' from (
        select l.flow, l.lane from lane l, unnest($5::text[], $6::int[], $7::bigint[]) u(flow, lane, epoch)
        where l.flow = u.flow and l.lane = u.lane and l.epoch = u.epoch and l.owner = $2
        order by l.flow, l.lane for update of l
    ) o where w.flow = o.flow and w.lane = o.lane returning w.flow, w.lane
)
select flow, lane from r
"""

LOOK = """
select true as is_member, m.flow, 0 as lane, m.member_id as who,
    extract(epoch from clock_timestamp() - m.beat_at)::float8 as seconds, k.key is not null as alive
from member m left join (
    select objid::bigint as key from pg_locks where locktype = 'advisory' and classid = $2 and granted
) k on k.key = m.lock_key
where m.flow = any($1::text[])
union all
select false, flow, lane, owner, extract(epoch from lease_until - clock_timestamp())::float8, null
from lane where flow = any($1::text[])
"""

CLAIM = """
with free as (
    select lane from lane
    where flow = $1 and lane = any($2::int[]) and (
        owner is null or lease_until < clock_timestamp() or owner = any($6::text[])
        or lease_until > clock_timestamp() + 2 * $5::float8 * interval '1 second')
    order by array_position($2::int[], lane) limit $3 for update skip locked
)
update lane l set owner = $4, epoch = epoch + 1, lease_until = clock_timestamp() + $5::float8 * interval '1 second'
from free where l.flow = $1 and l.lane = free.lane returning l.lane, l.epoch
"""


@dataclass(slots=True)
class Held:
    """The lanes of one flow in this process."""

    shared: Shared
    lanes: dict[int, Lane] = field(default_factory=dict)
    avoid: dict[int, float] = field(default_factory=dict)
    """Lanes that made no progress here, and until when (monotonic seconds) they are left to others."""
    unclaimed: dict[int, float] = field(default_factory=dict)
    """Free lanes, and since when nobody takes them."""


@dataclass(slots=True)
class Picture:
    """What one look saw."""

    members: dict[str, dict[str, tuple[float, bool]]]
    lanes: dict[str, list[tuple[int, str | None, float]]]


class Ownership:
    """Takes and gives lanes for every flow of this process."""

    def __init__(self, flows: Sequence[Shared], partitions: int, member: str, time: TimeSource) -> None:
        self.flows = {shared.flow.name: Held(shared) for shared in flows}
        self.partitions, self.time = partitions, time
        self.member = member
        for shared in flows:
            shared.owner = member
        any_flow = flows[0]
        self._limits, self._database, self._schema = (
            any_flow.limits,
            any_flow.database,
            any_flow.database.schema,
        )
        self._wake = asyncio.Event()
        self._stopping = False
        self._first = True
        self._absent: dict[str, float] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self.connected_at: float | None = None
        self.looked = False
        """Whether this session has seen which lanes are free; before that, holding none says nothing."""

    async def run(self) -> None:
        """Until `stop`: a session, and after its loss another one."""
        while not self._stopping:
            connection = None
            try:
                connection = await session(self._database.dsn, self._schema, self._database.application)
                await self._serve(connection)
            except (*AWAY, ConnectionError) as fault:
                log.warning("the ownership session ended", fault=repr(fault)[:200])
            except Exception:
                log.exception("the ownership session failed")
                await self.time.sleep(1.0)
            finally:
                self.connected_at = None
                self._first = False
                if connection is not None:
                    connection.terminate()
            if not self._stopping:
                await self.time.sleep(jitter(0.05, 0.15))

    async def stop(self) -> None:
        """Leave: the member's row first, so that nobody waits for us; then every lane after its batch."""
        self._stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(2):
                await self._database.execute("delete from member where member_id = $1", self.member)
        except Exception as fault:  # the lease lapses anyway
            log.warning("could not sign off", fault=repr(fault)[:200])
        lanes = [(held, lane) for held in self.flows.values() for lane in held.lanes.values()]
        for _, lane in lanes:
            lane.leave()
        if lanes:
            await asyncio.gather(*(self._end(held, lane) for held, lane in lanes))

    def all_lanes(self) -> list[Lane]:
        return [lane for held in self.flows.values() for lane in held.lanes.values()]

    # -- one session ----------------------------------------------------------------------------------------------------

    async def _serve(self, c: Any) -> None:
        c.add_termination_listener(lambda *_: self._wake.set())
        await c.add_listener(channel(self._schema), self._notified)
        key = int(random_token(4), 16) & 0x7FFFFFFF
        await c.execute("select pg_advisory_lock($1, $2)", LOCK_CLASS, key)
        self._absent = {}
        now = self.time.monotonic()
        up = await c.fetchval(
            "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8"
        )
        # After an outage everybody looks dead: let the others renew before anything is taken from them.
        trust_at = now if self._first and up > self._limits.grace else now + self._limits.grace
        next_beat = now
        joined = False
        self.connected_at, self.looked = now, False
        while not self._stopping:
            now = self.time.monotonic()
            if now >= next_beat:
                await self._beat(c, key)
                next_beat = now + self._limits.beat * jitter(0.9, 1.1)
                if not joined:
                    await c.execute("select pg_notify($1, 'joined')", channel(self._schema))
                    joined = True
            await self._look(c, trusted=self.time.monotonic() >= trust_at)
            self.looked = True
            await self._doze(
                max(0.01, min(self._limits.look * jitter(0.8, 1.2), next_beat - self.time.monotonic()))
            )
            if c.is_closed():
                raise ConnectionError("closed by the server")

    async def _doze(self, seconds: float) -> None:
        handle = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        await self._wake.wait()
        handle.cancel()
        self._wake.clear()

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if payload.startswith("replay "):
            _, flow, lane = payload.split(" ")
            held = self.flows.get(flow)
            if held is not None and int(lane) in held.lanes:
                held.lanes[int(lane)].look_for_replays()
        else:
            self._wake.set()

    async def _beat(self, c: Any, key: int) -> None:
        now = self.time.monotonic()
        renew: list[Lane] = []
        for held in self.flows.values():
            for index, lane in list(held.lanes.items()):
                if lane.task is not None and lane.task.done():
                    del held.lanes[index]
                elif now - lane.progress > self._limits.stuck:
                    log.error("lane made no progress; given up", flow=lane.flow.name, lane=index)
                    held.avoid[index] = now + self._limits.stuck
                    lane.assigned = False
                    self._later(self._drop(held, lane))
                elif now - lane.renewed > 0.8 * self._limits.beat:
                    renew.append(lane)
        epochs = [lane.epoch for lane in renew]
        rows = await c.fetch(
            BEAT, list(self.flows), self.member, key, self._limits.lease,
            [lane.flow.name for lane in renew], [lane.index for lane in renew], epochs,
        )  # fmt: skip
        ours = {(row[0], row[1]) for row in rows}
        for lane, epoch in zip(renew, epochs, strict=True):
            if (lane.flow.name, lane.index) in ours:
                lane.beaten = now
            elif lane.ready and lane.epoch == epoch and lane.task is not None:
                metrics.LOST.labels(lane.flow.name).inc()
                lane.assigned = False
                lane.task.cancel()
        if jitter(0, 1) < 0.01:
            await c.execute("delete from member where beat_at < clock_timestamp() - interval '60 seconds'")

    async def _look(self, c: Any, *, trusted: bool) -> None:
        picture = await self._picture(c)
        now = self.time.monotonic()
        absent = {
            who
            for members in picture.members.values()
            for who, (_, alive) in members.items()
            if not alive and who != self.member
        }
        self._absent = {who: self._absent.get(who, now) for who in absent}
        dead = {who for who, since in self._absent.items() if now - since > ABSENT_FOR} if trusted else set()
        if absent - dead and any(
            owner in absent for lanes in picture.lanes.values() for _, owner, _ in lanes
        ):
            asyncio.get_running_loop().call_later(ABSENT_FOR + 0.01, self._wake.set)
        for name, held in self.flows.items():
            for index, lane in list(held.lanes.items()):
                if lane.task is not None and lane.task.done():
                    del held.lanes[index]
            await self._balance(c, name, held, picture, absent, dead, trusted=trusted)
            metrics.LANES.labels(name).set(sum(lane.ready for lane in held.lanes.values()))

    async def _picture(self, c: Any) -> Picture:
        picture = Picture({name: {} for name in self.flows}, {name: [] for name in self.flows})
        for is_member, flow, lane, who, seconds, alive in await c.fetch(LOOK, list(self.flows), LOCK_CLASS):
            if is_member:
                picture.members[flow][who] = (seconds, alive)
            else:
                picture.lanes[flow].append((lane, who, seconds))
        return picture

    async def _balance(
        self,
        c: Any,
        name: str,
        held: Held,
        picture: Picture,
        absent: set[str],
        dead: set[str],
        *,
        trusted: bool,
    ) -> None:
        lease, now = self._limits.lease, self.time.monotonic()
        alive = {
            w for w, (age, _) in picture.members[name].items() if -lease < age < lease and w not in absent
        }
        alive.add(self.member)
        holds = Counter(owner for _, owner, _ in picture.lanes[name] if owner)
        # Who holds more keeps the remainder, so that a join moves no more lanes than it must.
        order = sorted(alive, key=lambda w: (-holds[w], crc32(f"{name}{w}".encode())))
        target = self.partitions // len(alive) + (order.index(self.member) < self.partitions % len(alive))
        mine = [lane for lane in held.lanes.values() if lane.assigned]
        if len(mine) > target and trusted:
            for lane in sorted(mine, key=lambda lane: lane.born)[: len(mine) - target]:
                lane.leave()
                self._later(self._end(held, lane))
            return
        free = [
            (index, owner)
            for index, owner, left in picture.lanes[name]
            if index not in held.lanes
            and (owner is None or owner in dead or (trusted and (left < 0 or left > 2 * lease)))
            and (held.avoid.get(index, 0) < now or len(alive) == 1)
        ]
        held.unclaimed = {index: held.unclaimed.get(index, now) for index, _ in free}
        wanted = target - len(held.lanes)
        if wanted <= 0:
            # A lane that nobody below target takes is better served above target than not at all.
            free = [(index, owner) for index, owner in free if now - held.unclaimed[index] > jitter(1, 2)]
            wanted = 1
        if free:
            await self._claim(c, name, held, free, wanted, list(dead))

    async def _claim(
        self, c: Any, name: str, held: Held, free: list[tuple[int, str | None]], wanted: int, dead: list[str]
    ) -> None:
        owners = dict(free)
        indexes = sorted(owners, key=lambda index: crc32(f"{self.member}{index}".encode()))
        rows = await c.fetch(CLAIM, name, indexes, wanted, self.member, self._limits.lease, dead)
        for index, epoch in rows:
            owner = owners[index]
            why = "free" if owner is None else "owner_dead" if owner in dead else "lease_lapsed"
            metrics.TAKEOVERS.labels(name, why).inc()
            lane = held.lanes[index] = Lane(held.shared, index, epoch)
            lane.start()

    # -- endings ----------------------------------------------------------------------------------------------------------

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end(self, held: Held, lane: Lane) -> None:
        """Wait for a lane that is leaving; end it where it takes too long."""
        if lane.task is not None:
            await asyncio.wait([lane.task], timeout=4)
            if not lane.task.done():
                await self._drop(held, lane)
        if held.lanes.get(lane.index) is lane:
            del held.lanes[lane.index]

    async def _drop(self, held: Held, lane: Lane) -> None:
        if lane.task is not None:
            lane.task.cancel()
            await asyncio.wait([lane.task], timeout=5)
        try:
            async with asyncio.timeout(4):
                await lane.release()
        except Exception as fault:  # its lease lapses
            log.warning(
                "could not hand a lane back", flow=lane.flow.name, lane=lane.index, fault=repr(fault)[:200]
            )
        if held.lanes.get(lane.index) is lane:
            del held.lanes[lane.index]
