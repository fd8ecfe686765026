"""This file proves that lanes run on a real broker: end to end, in order, handed over, taken over."""

import asyncio
from typing import Any

import pytest

from libs.contracts.payloads.assignments import AgentChanged
from libs.flow.database import Database
from libs.flow.publisher import Publisher
from libs.flow.tail import Tail, Tailed, read_marks
from libs.timesource import random_token
from tests.flows.test_kernel import Bench
from tests.integration.kernel import runner, send, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


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


async def test_every_event_arrives_once_and_in_order_while_lanes_move(
    kafka: str, kernel_database: Database
) -> None:
    run, publisher = random_token(4), Publisher(kafka, "sender")
    screen = Screen(run)
    tail = Tail(kafka, ["agents"], screen.show)
    await tail.start(None)
    async with runner(kafka, kernel_database, Bench()) as first:
        await until(lambda: first.health().ready)
        for number in range(1, 21):
            await asyncio.gather(*(send(publisher, run, f"k{k}", number) for k in range(12)))
            if number == 7:
                second = runner(kafka, kernel_database, Bench())
                other = await second.__aenter__()
                await until(lambda: other.health().details["lanes"]["assignment"] == 6)
            if number == 14:
                await second.__aexit__(None, None, None)
        await until(lambda: screen.total == 240)
        await until(lambda: first.health().details["lanes"]["assignment"] == 12)
    assert {agent: loads for agent, loads in screen.loads.items() if loads != list(range(1, 21))} == {}
    marks = await read_marks(kernel_database, flow="assignment")
    assert sum(marks.positions.values()) >= 240
    await tail.stop()
    await publisher.stop()


async def test_an_effect_under_way_is_not_done_again_by_the_next_owner_of_an_orderly_hand_over(
    kafka: str, kernel_database: Database
) -> None:
    run, publisher, bench = "call", Publisher(kafka, "sender"), Bench()
    screen = Screen(run)
    tail = Tail(kafka, ["agents"], screen.show)
    await tail.start(None)
    bench.line = asyncio.Event()
    async with runner(kafka, kernel_database, bench) as first:
        await until(lambda: first.health().ready)
        await send(publisher, run, random_token(4), 1)
        await until(lambda: len(bench.performed) == 1)
        asyncio.get_running_loop().call_later(0.5, bench.line.set)
    async with runner(kafka, kernel_database, bench) as second:
        await until(lambda: second.health().ready)
        await until(lambda: screen.total == 2)
    assert list(screen.loads.values()) == [[1, -100]]
    assert len(bench.performed) == 1
    await tail.stop()
    await publisher.stop()
