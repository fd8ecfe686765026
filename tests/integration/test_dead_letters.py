"""This file proves that a person can list, look into, replay and drop dead letters of a running service."""

import asyncio
import os
import sys

import pytest

from libs.flow.database import Database
from libs.flow.publisher import Publisher
from libs.timesource import random_token
from tests.flows.test_kernel import Bench
from tests.integration.kernel import runner, send, until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def dead(database: Database, *arguments: str) -> tuple[int, str]:
    """Exit status and output of `python -m libs.flow.dead`."""
    environ = {**os.environ, "SAMBUNG_POSTGRES": database.dsn, "COLUMNS": "240", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "libs.flow.dead", *arguments, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def counts(database: Database, key: str) -> int:
    rows = await database.fetch("select count from tally where agent_id = $1", key)
    return int(rows[0][0]) if rows else 0


async def wait_for(database: Database, sql: str, wanted: int) -> None:
    async with asyncio.timeout(20):
        while await database.fetchval(sql) != wanted:
            await asyncio.sleep(0.02)


async def test_a_dead_letter_is_listed_shown_and_replayed_with_what_waits_behind_it(
    kafka: str,
    kernel_database: Database,
) -> None:
    bench, publisher, letters = Bench(), Publisher(kafka, "sender"), "select count(*) from dead_letter"
    async with runner(kafka, kernel_database, bench) as running:
        await until(lambda: running.health().ready)
        await send(publisher, "poison", random_token(4), 1)
        await wait_for(kernel_database, letters, 1)
        row = (await kernel_database.fetch("select id, key from dead_letter"))[0]
        name, key = f"{kernel_database.schema}:{row['id']}", row["key"]
        await send(publisher, "poison", key.removeprefix("poison-"), 2)
        await wait_for(kernel_database, letters, 2)
        status, listed = await dead(kernel_database, "list", kernel_database.schema)
        assert (status, name in listed, "this handler has a bug" in listed) == (0, True, True)
        status, shown = await dead(kernel_database, "show", name)
        assert (status, "heartbeat.v1" in shown, '"agent_id":"poison"' in shown) == (0, True, True)
        bench.broken.clear()
        assert (await dead(kernel_database, "replay", name))[0] == 0
        await wait_for(kernel_database, letters, 0)
        assert await counts(kernel_database, key) == 2
    await publisher.stop()


async def test_an_unknown_letter_is_answered_with_what_to_do(kafka: str, kernel_database: Database) -> None:
    status, said = await dead(kernel_database, "drop", "router:999999")
    assert (status, "`list` names them all" in said) == (1, True)
