"""This file gives each case a team of its own on one running router, and objects to whatever that router may never tell."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy.local.stack import LocalStack
from libs.flow.topics import create
from tests.integration.assignment.centre import Centre, Plan, Team

TEAMS = pytest.StashKey[dict[str, str]]()
"""Test -> its team's name."""


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def centre(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Centre]:
    """A router, and the teams that the selected tests ask for with the mark `team`.

    Its broker is its own: the router reads topics from their beginning, and other tests leave strange records there.
    """
    plans: dict[str, Plan] = {}
    names: dict[str, str] = {}
    for item in request.session.items:
        if (mark := item.get_closest_marker("team")) is not None:
            names[item.nodeid] = name = f"{len(names) + 1:02}"
            plans[name] = Plan(*mark.args, **mark.kwargs)
    request.session.stash[TEAMS] = names
    stack = LocalStack()
    servers = await asyncio.to_thread(stack.start)
    try:
        await create(servers.kafka)
        running = Centre(servers, tmp_path_factory.mktemp("centre"), plans)
        try:
            await running.start()
            yield running
        finally:
            await running.stop()
    finally:
        await asyncio.to_thread(stack.stop)


@pytest.fixture
def team(request: pytest.FixtureRequest, centre: Centre) -> Iterator[Team]:
    """The team that the test's mark describes: agents with capacities, then what is set of pool, queue and skills."""
    found = Team(centre, request.session.stash[TEAMS][request.node.nodeid])
    yield found
    assert centre.seen.objections(found.name) == []
