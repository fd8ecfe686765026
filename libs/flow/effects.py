"""This file performs a lane's effects: one after another within a key, several keys at once, again until they end."""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from libs.flow.flow import Effect, Flow, Performed, Performing
from libs.flow.memory import EffectRow
from libs.timesource import TimeSource, jitter

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Effects:
    """What a lane has been asked to do outside. Survives a reload of the lane: what is under way stays under way."""

    def __init__(self, flow: Flow, time: TimeSource, wake: Callable[[], None]) -> None:
        self._flow, self._time, self._wake = flow, time, wake
        self._rows: dict[str, EffectRow] = {}
        self._queues: dict[str, deque[str]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(flow.effects_at_once)
        self._fresh: set[str] = set()
        self._closing = False
        self.results: deque[tuple[Performed, EffectRow]] = deque()

    def sync(self, rows: dict[str, EffectRow], *, fresh: bool) -> None:
        """Make the set of effects equal to the rows: start the missing ones, forget those that have ended.

        `fresh`: rows that are new here were asked for just now; else an earlier owner may have begun them.
        """
        for gone in self._rows.keys() - rows.keys():
            del self._rows[gone]
        self.results = deque(entry for entry in self.results if entry[1].id in self._rows)
        for row in sorted((r for i, r in rows.items() if i not in self._rows), key=lambda r: r.seq):
            self._rows[row.id] = row
            if fresh:
                self._fresh.add(row.id)
            self._queues.setdefault(row.key, deque()).append(row.id)
            if row.key not in self._tasks:
                self._tasks[row.key] = asyncio.get_running_loop().create_task(self._drain(row.key))

    def take(self, limit: int) -> list[tuple[Performed, EffectRow]]:
        """Ended effects whose end has not been handled; they stay until `sync` no longer names them."""
        return [self.results[i] for i in range(min(limit, len(self.results)))]

    async def wind_down(self, within: float) -> None:
        """Begin nothing more; return when those under way have ended, or after `within` seconds.

        An orderly hand-over would else do a deed twice: here, cut off after the other side had it, and at the next owner.
        """
        self._closing = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=within)

    async def stop(self) -> None:
        """Cancel what is under way; the next owner performs it again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _drain(self, key: str) -> None:
        queue = self._queues[key]
        try:
            while queue and not self._closing:
                row = self._rows.get(queue[0])
                if row is not None:
                    await self._perform(row)
                queue.popleft()
        finally:
            del self._tasks[key], self._queues[key]

    async def _perform(self, row: EffectRow) -> None:
        kind: type[Effect] | None = next((e for e in self._flow.performers if e.name == row.name), None)
        if kind is None:
            log.error(
                "an effect of a name that this build does not perform", flow=self._flow.name, effect=row.name
            )
            return
        effect, pause = kind.model_validate_json(row.body), FIRST_PAUSE
        again = row.id not in self._fresh
        self._fresh.discard(row.id)
        while row.id in self._rows:
            try:
                async with self._slots:
                    if self._closing:
                        return
                    result = await self._flow.performers[kind](Performing(row.id, row.key, effect, again))
            except Exception as fault:
                log.warning(
                    "an effect failed; it is tried again",
                    flow=self._flow.name,
                    effect=row.name,
                    fault=repr(fault),
                )
                again = True
                await self._time.sleep(pause * jitter(0.7, 1.3))
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            self.results.append((Performed(row.id, row.key, effect, result), row))
            self._wake()
            return
