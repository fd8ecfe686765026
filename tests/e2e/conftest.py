"""This file gives the end-to-end tests one whole system of their own, as processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.demo.provider import Trouble
from deploy.demo.run import Plan, World, world
from deploy.local.stack import LocalStack


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Broker, database, six services and the simulated providers; nobody writes and nobody works until a test says so.

    Its broker is its own: the services read topics from their beginning, and other tests leave strange records there.
    """
    stack = LocalStack()
    servers = await asyncio.to_thread(stack.start)
    try:
        plan = Plan(agents=2, trouble=Trouble(limited=0.0))
        async with world(servers, tmp_path_factory.mktemp("e2e"), plan) as running:
            yield running
    finally:
        await asyncio.to_thread(stack.stop)
