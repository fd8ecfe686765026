"""This file waits for conditions with a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def until(what: str, found: Callable[[], T | None], within: float = 15.0) -> T:
    """What `found` gives, once it gives something that counts as true. Fails with `what` when the time is up."""
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}"
        await asyncio.sleep(0.02)
    return value
