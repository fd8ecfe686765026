"""This file proves that epochs and watermarks keep effects single, by taking each of them away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack, Servers
from libs.flow.topics import create
from tests.chaos.pair import pair, under_load

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.postgres]

RATE = 400.0
TRIES = 6
"""A check that is missing shows after the first fault or two."""


@pytest.fixture(scope="module")
async def own_servers() -> AsyncIterator[Servers]:
    """A broker and a database of the test's own: its flows read topics from their beginning under the names of real ones."""
    stack = LocalStack()
    servers = await asyncio.to_thread(stack.start)
    await create(servers.kafka)
    yield servers
    await asyncio.to_thread(stack.stop)


async def test_each_effect_is_committed_once_and_in_order_under_kills_and_zombies(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with pair(own_servers, tmp_path) as both:
        async with under_load(both, RATE) as load:
            for name in ("first", "second"):
                await both.kill(name)
                await both.stop_and_go(name)
                await both.until_counted()
        assert await both.drained(load.sent) == []
        assert await both.broken() == []
        assert sum(load.sent.values()) > RATE


async def test_without_the_epoch_check_a_zombie_commits_effects_again(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with pair(own_servers, tmp_path, unsafe="epoch") as both, under_load(both, RATE):
        for _ in range(TRIES):
            await both.stop_and_go("first")
            await both.until_counted()
            if await both.broken():
                return
    pytest.fail("zombies did no harm although nothing kept them from it")


async def test_without_the_watermark_a_killed_process_leaves_events_that_are_handled_again(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with pair(own_servers, tmp_path, unsafe="watermark") as both, under_load(both, RATE):
        for _ in range(TRIES):
            await both.kill("first")
            await both.until_counted()
            if await both.broken():
                return
    pytest.fail("events published twice did no harm although nothing kept them from it")
