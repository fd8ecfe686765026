"""This file runs the kernel tests' little flow on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from libs.contracts.payloads.commands import Heartbeat
from libs.flow.database import Database
from libs.flow.publisher import Publisher, first_hand
from libs.flow.runner import Runner
from tests.flows.test_kernel import Bench

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def runner(kafka: str, database: Database, bench: Bench) -> AsyncIterator[Runner]:
    publisher = Publisher(kafka, "test")
    running = Runner([bench.flow()], database=database, kafka=kafka, publisher=publisher)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()
        await publisher.stop()


async def send(publisher: Publisher, run: str, key: str, number: int) -> None:
    record = first_hand(
        Heartbeat(agent_id=run, pool="p"),
        key=f"{run}-{key}",
        source=f"/test/{run}",
        id=f"{key}-{number}",
        at=AT,
    )
    await publisher.publish([record])
