"""This file gives integration tests a schema of the kernel's own."""

from collections.abc import AsyncIterator

import pytest

from libs.flow.database import Database
from libs.flow.schema import migrate
from libs.timesource import random_token
from tests.flows.test_kernel import DDL


@pytest.fixture
async def kernel_database(postgres_dsn: str) -> AsyncIterator[Database]:
    schema = f"t_{random_token(4)}"
    await migrate(postgres_dsn, schema, "libs.flow")
    found = Database(postgres_dsn, schema)
    await found.start()
    await found.execute(DDL)
    yield found
    await found.execute(f'drop schema "{schema}" cascade')
    await found.stop()
