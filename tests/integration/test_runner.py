"""This file proves that lanes run on a real broker: end to end, in order, handed over, taken over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.contracts.payloads.assignments import AgentChanged
from libs.contracts.payloads.commands import Heartbeat
from libs.flow.database import Database
from libs.flow.publisher import Publisher, first_hand
from libs.flow.runner import Runner
from libs.flow.schema import migrate
from libs.flow.tail import Tail, Tailed, read_marks
from libs.timesource import random_token
from tests.flows.test_kernel import DDL, Bench

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

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


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    schema = f"t_{random_token(4)}"
    await migrate(postgres_dsn, schema, "libs.flow")
    found = Database(postgres_dsn, schema)
    await found.start()
    await found.execute(DDL)
    yield found
    await found.execute(f'drop schema "{schema}" cascade')
    await found.stop()


async def send(publisher: Publisher, run: str, key: str, number: int) -> None:
    record = first_hand(
        Heartbeat(agent_id=run, pool="p"), key=f"{run}-{key}", source=f"/test/{run}", id=f"{key}-{number}", at=AT
    )
    await publisher.publish([record])


class Screen:
    """What a tail saw of one run: load by agent, in order."""

    def __init__(self, run: str) -> None:
        self.run, self.loads = run, dict[str, list[int]]()

    def show(self, tailed: Tailed) -> None:
        data: Any = tailed.event.data
        if isinstance(data, AgentChanged) and data.agent_id.startswith(self.run):
            self.loads.setdefault(data.agent_id, []).append(data.load)

    @property
    def total(self) -> int:
        return sum(map(len, self.loads.values()))


async def test_every_event_arrives_once_and_in_order_while_lanes_move(kafka: str, database: Database) -> None:
    run, publisher = random_token(4), Publisher(kafka, "sender")
    screen = Screen(run)
    tail = Tail(kafka, ["agents"], screen.show)
    await tail.start(None)
    async with runner(kafka, database, Bench()) as first:
        await until(lambda: first.health().ready)
        for number in range(1, 21):
            await asyncio.gather(*(send(publisher, run, f"k{k}", number) for k in range(12)))
            if number == 7:
                second = runner(kafka, database, Bench())
                other = await second.__aenter__()
                await until(lambda: other.health().details["lanes"]["assignment"] == 6)
            if number == 14:
                await second.__aexit__(None, None, None)
        await until(lambda: screen.total == 240)
        await until(lambda: first.health().details["lanes"]["assignment"] == 12)
    assert {agent: loads for agent, loads in screen.loads.items() if loads != list(range(1, 21))} == {}
    marks = await read_marks(database, flow="assignment")
    assert sum(marks.positions.values()) >= 240
    await tail.stop()
    await publisher.stop()
