"""This file runs a coroutine beside others and makes sure that its death does not go unnoticed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(
    name: str, work: Coroutine[Any, Any, None], died: Callable[[str, BaseException | None], None]
) -> AsyncIterator[None]:
    """`work` runs while the block does and is cancelled with it. It must not end by itself: then `died` is called
    with the name and what it raised."""
    task = asyncio.get_running_loop().create_task(work, name=name)

    def ended(_: asyncio.Task[None]) -> None:
        if not task.cancelled():
            died(name, task.exception())

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.remove_done_callback(ended)
        task.cancel()
        await asyncio.wait([task])
