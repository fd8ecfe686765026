"""This file is the life of a lane: take over, batch after batch, hand back.

load (rows; outbox published again) ─▶ attach (fetch from the positions) ─▶ [ wait ─▶ batch ─▶ commit ]* ─▶ release
  ▲                                                                             │  ╰▶ publish (outbound.py)
  │                                                                             │ any fault of database or broker
  └───────────────────────────── epoch + 1, memory thrown away ◀───────────────┘
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import structlog

from libs.contracts.topics import topic_map
from libs.flow import metrics
from libs.flow.batches import PARKED, Batches
from libs.flow.database import DatabaseAway
from libs.flow.flow import Retry
from libs.flow.memory import EffectRow, Memory
from libs.flow.publisher import PublishFailed
from libs.flow.shared import Lost, Shared, Stopped, channel
from libs.flow.timers import read_first
from libs.flow.wire import Record, unpack
from libs.timesource import jitter

log = structlog.get_logger(__name__)


UNSAVED = 1.0
"""How long positions may be ahead of their rows while batches without effect follow one another (seconds)."""


WIND_DOWN = 3.0
"""How long a lane that is handed back waits for effects under way; its owner gives it up after four (seconds)."""


class Lane:
    """One lane while this process owns it. A lane that was lost or handed back is never used again."""

    def __init__(self, shared: Shared, index: int, epoch: int) -> None:
        self.shared, self.index, self.epoch, self.flow = shared, index, epoch, shared.flow
        self.assigned = True
        """False once it is to be handed back."""
        self.ready = False
        """It takes records and makes batches."""
        self.stopped = False
        self.paused = False
        """The feed holds back, since too much waits."""
        self.born = self.progress = self.beaten = shared.time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self.work = Batches(shared, index)

    # -- called by others -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.run(), name=f"{self.flow.name}/{self.index}")

    def offer(self, topic: str, records: Sequence[Record]) -> bool:
        """Take records from the feed. False: they do not continue what is queued; the feed must go back to `next_offsets`."""
        if not self.ready:
            return True
        work = self.work
        expected = work.next_offsets.get(topic, 0)
        for record in records:
            if record.offset < expected:
                continue
            if record.offset > expected and topic not in work.lenient and not topic_map()[topic].compact:
                work.next_offsets[topic] = expected
                return False
            work.queue.append(record)
            expected = record.offset + 1
        work.next_offsets[topic] = expected
        work.wake.set()
        return True

    @property
    def full(self) -> bool:
        """More than four batches wait: the feed should pause."""
        return len(self.work.queue) > 4 * self.shared.limits.batch

    def leave(self) -> None:
        """Hand the lane back after the batch under way."""
        self.assigned = False
        self.work.wake.set()

    def begin_anew(self) -> None:
        """Something under the lane changed: read its rows and the log's range again."""
        self.ready = False
        self.work.wake.set()

    def look_for_replays(self) -> None:
        self.work.replay = True
        self.work.wake.set()

    @property
    def renewed(self) -> float:
        """When the lease was last renewed, by a beat or by a batch (monotonic seconds)."""
        return max(self.beaten, self.work.committed_at)

    @property
    def positions(self) -> dict[str, int]:
        return dict(self.work.memory.positions) if self.work.memory else {}

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """(timers in memory, effects, dead letters, batches in the outbox) of this lane."""
        m = self.work.memory
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
                    await shared.feed.attach(self, self.positions)
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
            await self.release()
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
            await self.work.effects.stop()

    async def _loop(self) -> None:
        work = self.work
        while self.assigned:
            self.progress = self.shared.time.monotonic()
            if not self.ready:
                raise Retry("the feed gave the lane up")
            work.outbound.check()
            work.wake.clear()
            if not work.waits():
                await work.wait(0.3 if work.untidy else 1.0)
                if not work.waits():
                    if work.untidy:
                        await work.tidy()
                    continue
            await work.batch()
            if work.unsaved_since is not None and self.progress - work.unsaved_since > UNSAVED:
                await work.tidy()
            if self.paused and len(work.queue) < 2 * self.shared.limits.batch:
                self.shared.feed.more(self.index)
        if self.ready:
            await work.effects.wind_down(WIND_DOWN)
            if work.effects.results:
                await work.batch()
            await work.outbound.drained()
            if work.untidy:
                await work.tidy()

    async def _wait_until_left(self) -> None:
        self._forget()
        while self.assigned:
            self.progress = self.shared.time.monotonic()
            self.work.wake.clear()
            await self.work.wait(1.0)

    def _forget(self) -> None:
        self.ready = False
        self.shared.feed.detach(self.index)
        self.work.forget()

    async def load(self, *, fresh: bool) -> None:
        """Read the lane's rows and publish again what its outbox holds.

        After any fault a new epoch comes first, since an earlier statement may still be running on the server.
        Raises Lost where the lane is not ours any more.
        """
        self.work.store.discard()
        async with self.shared.database.connection() as c:
            row = await self._own(c, fresh=fresh)
            if row is None:
                raise Lost
            self.epoch = row["epoch"]
            memory = await self._memory(c, row)
            outbox = await c.fetch(
                "select first_seq, records from outbox where flow = $1 and lane = $2 order by first_seq",
                self.flow.name, self.index,
            )  # fmt: skip
            await self.work.store.open(c)
        if outbox:
            await self.shared.publish([event for row in outbox for event in unpack(row["records"])])
            memory.outbox = [row["first_seq"] for row in outbox]
        self.work.begin(memory)
        if memory.outbox:
            await self.work.tidy()
        self.ready = True
        self.progress = self.shared.time.monotonic()

    async def _own(self, c: Any, *, fresh: bool) -> Any | None:
        """The lane's row where it is still ours."""
        if fresh:
            return await c.fetchrow(
                "select epoch, next_seq, incarnation, tails from lane where flow = $1 and lane = $2 and epoch = $3",
                self.flow.name, self.index, self.epoch,
            )  # fmt: skip
        return await c.fetchrow(
            "update lane set epoch = epoch + 1, lease_until = clock_timestamp() + $4::float8 * interval '1 second' "
            "where flow = $1 and lane = $2 and epoch = $3 and owner = $5 returning epoch, next_seq, incarnation, tails",
            self.flow.name, self.index, self.epoch, self.shared.limits.lease, self.shared.owner,
        )  # fmt: skip

    async def _memory(self, c: Any, row: Any) -> Memory:
        """The kernel's rows of this lane."""
        place = (self.flow.name, self.index)
        of_lane = "where flow = $1 and lane = $2"
        positions = await c.fetch(f'select topic, next_offset from "position" {of_lane}', *place)
        marks = await c.fetch(f"select topic, source, seq from watermark {of_lane}", *place)
        effects = await c.fetch(f"select id, key, seq, name, body, cause from effect {of_lane}", *place)
        return Memory(
            epoch=self.epoch,
            next_seq=row["next_seq"],
            source=f"/{self.flow.name}/{self.index}/{row['incarnation']}",
            tails=json.loads(row["tails"]),
            positions=dict(positions),
            watermarks={(topic, source): seq for topic, source, seq in marks},
            timers=await read_first(c, *place),
            effects={e["id"]: EffectRow(*e) for e in effects},
            parked=dict(await c.fetch(PARKED, *place)),
        )

    async def release(self) -> None:
        """Give the lane to whoever wants it; the other members are told."""
        memory = self.work.memory
        await self.shared.database.execute(
            "with own as (update lane set owner = null, lease_until = null, epoch = epoch + 1 "
            "where flow = $1 and lane = $2 and epoch = $3 returning 1), "
            "gone as (delete from outbox o using own where o.flow = $1 and o.lane = $2 and o.first_seq = any($4::bigint[])) "
            "select pg_notify($5, 'released') from own",
            self.flow.name, self.index, self.epoch, memory.outbox if memory else [], channel(self.shared.database.schema),
        )  # fmt: skip
