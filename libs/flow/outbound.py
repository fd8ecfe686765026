"""This file publishes a lane's committed batches in their order, while the lane goes on with timers and effects.

commit 7 ─▶ publish 7 ───────────▶ publish 8, 9
            commit 8 ─▶ commit 9 ─▶ …
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libs.flow import metrics
from libs.flow.shared import Shared
from libs.flow.wire import Outgoing

AHEAD = 8
"""Batches that may be committed and not acknowledged yet; then the lane waits for the broker."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch's events, which stand in the outbox under `first_seq`."""

    first_seq: int
    records: Sequence[Outgoing]
    acknowledged: list[int]
    """Where `first_seq` goes once the broker has them."""


class Outbound:
    """What was committed and is not acknowledged yet. Nothing is sent before everything that was added before it is acknowledged.

    After a fault nothing more is sent: the lane must be read again, and publishes what its outbox holds.
    """

    def __init__(self, shared: Shared, wake: Callable[[], None]) -> None:
        """`wake` is called when publishing failed."""
        self._shared, self._wake = shared, wake
        self._waiting: deque[Committed] = deque()
        self._task: asyncio.Task[None] | None = None
        self._fault: Exception | None = None
        self._moved = asyncio.Event()

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def add(self, committed: Committed) -> None:
        self._waiting.append(committed)
        if self._task is None and self._fault is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def check(self) -> None:
        """Raises PublishFailed where something could not be published."""
        if self._fault is not None:
            raise self._fault

    async def room(self) -> None:
        """Return when a batch may be added. Raises PublishFailed."""
        await self._until(AHEAD - 1)

    async def drained(self) -> None:
        """Return when everything is acknowledged. Raises PublishFailed."""
        await self._until(0)

    def forget(self) -> None:
        """The outbox holds what was not acknowledged; what is under way may still arrive."""
        if self._task is not None:
            self._task.cancel()
        self._task, self._fault = None, None
        self._waiting.clear()

    async def _until(self, most: int) -> None:
        self.check()
        while len(self._waiting) > most:
            self._moved.clear()
            await self._moved.wait()
            self.check()

    async def _run(self) -> None:
        try:
            while self._waiting:
                batches = list(self._waiting)
                with metrics.of(metrics.PUBLISH, self._shared.flow.name).time():
                    await self._shared.publish([record for batch in batches for record in batch.records])
                for batch in batches:
                    self._waiting.popleft()
                    batch.acknowledged.append(batch.first_seq)
                self._moved.set()
            self._task = None
        except Exception as fault:  # the lane raises it in its own task
            self._task, self._fault = None, fault
            self._moved.set()
            self._wake()
