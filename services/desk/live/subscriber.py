"""This file is one connected feed as the hub sees it: a bounded queue of frames that its connection empties."""

import asyncio
from collections import deque

FRAMES, BYTES = 500, 512 * 1024
"""What may wait for one agent's connection."""
POOL_FRAMES, POOL_BYTES = 4_000, 4 * 1024 * 1024
"""The same for a reader of a whole pool, through whom a thousand events a second may go."""


class Subscriber:
    """`pool` is set for a reader of a whole pool. After an overflow nothing is queued until `restart`."""

    def __init__(self, agent_id: str, *, pool: str | None = None) -> None:
        self.agent_id, self.pool = agent_id, pool
        self.wake = asyncio.Event()
        self.overflowed = False
        self._most, self._size = (FRAMES, BYTES) if pool is None else (POOL_FRAMES, POOL_BYTES)
        self._queue: deque[str] = deque()
        self._bytes = 0

    def offer(self, frame: str) -> None:
        """Queue a frame, or give up the queue where the connection does not keep up."""
        if self.overflowed:
            return
        self._bytes += len(frame)
        if len(self._queue) >= self._most or self._bytes > self._size:
            self.restart()
            self.overflowed = True
        else:
            self._queue.append(frame)
        self.wake.set()

    def take(self) -> list[str]:
        """All that waits, in order."""
        frames = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        self.wake.clear()
        return frames

    def restart(self) -> None:
        """Forget what waits: a snapshot that holds it goes out next."""
        self._queue.clear()
        self._bytes = 0
        self.overflowed = False
        self.wake.clear()
