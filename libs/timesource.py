"""This file is the only place where time, sleep and randomness come from."""

import asyncio
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class TimeSource(Protocol):
    """Time as an argument. Domain code receives values; shells receive this."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a line that never steps back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this time source."""
        ...


class SystemTime:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualTime:
    """A time source that moves only when told to; for tests, replays and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._start = start
        self._moved = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        until = self._now + timedelta(seconds=seconds)
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def advance(self, by: timedelta) -> None:
        """Move forward and wake every sleeper whose time has come."""
        self._now += by
        async with self._moved:
            self._moved.notify_all()


def random_token(nbytes: int = 8) -> str:
    """Unguessable hexadecimal text of 2*nbytes characters, e.g. for the incarnation of a lane."""
    return secrets.token_hex(nbytes)


def jitter(low: float, high: float) -> float:
    """A float in [low, high), so that many processes do not move in step."""
    return low + (high - low) * (secrets.randbits(30) / (1 << 30))
