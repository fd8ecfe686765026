"""This file gives tests one real broker and one real database for the whole session."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from deploy.local.stack import LocalStack, Servers
from libs.flow.topics import create

structlog.configure(
    processors=[structlog.processors.add_log_level, structlog.processors.LogfmtRenderer(bool_as_flag=False)]
)


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """Broker and database: the user's own, containers, or embedded ones."""
    with LocalStack() as running:
        yield running


@pytest.fixture(scope="session")
def servers(stack: LocalStack) -> Servers:
    return stack.servers


@pytest.fixture(scope="session")
def postgres_dsn(servers: Servers) -> str:
    """The address of a real database; tests make schemas of their own."""
    return servers.postgres


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> str:
    """The address of a real broker on which every topic of the map exists."""
    asyncio.run(create(servers.kafka))
    return servers.kafka


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """A directory that another account can enter, gone after the test."""
    with tempfile.TemporaryDirectory(prefix="sambung-") as name:
        os.chmod(name, 0o755)  # noqa: PTH101
        yield Path(name)
