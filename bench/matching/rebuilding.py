"""This file times how a router's lane comes back: rows of a real Postgres to an engine that decides."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from time import perf_counter

import asyncpg

from bench.matching.pool import NOW, Drawn
from libs.flow.database import Database
from libs.flow.schema import migrate
from services.router.assignment.domain.inputs import Heartbeat
from services.router.assignment.store import AssignmentStore


async def fill(dsn: str, drawn: Drawn) -> None:
    """Put the pool's rows where a router has them."""
    await migrate(dsn, "router", "services.router")
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set search_path to router; truncate work_item, agent_state, learned")
        await _copy(connection, "work_item", drawn.items)
        await _copy(connection, "agent_state", drawn.agents)
        await _copy(connection, "learned", drawn.cells)
        await connection.execute("analyze")
    finally:
        await connection.close()


async def rebuild(dsn: str, drawn: Drawn) -> tuple[float, float]:
    """Seconds until the rows are an engine, and until it has decided for the first time."""
    database = Database(dsn, "router")
    await database.start()
    try:
        begun = perf_counter()
        store = AssignmentStore(0, lambda _: drawn.policy)
        async with database.connection() as connection:
            await store.open(connection)
        engine = store.engine(drawn.policy.pool)
        built = perf_counter() - begun
        engine.apply(Heartbeat(drawn.busy[0]), at=NOW, now=NOW)
        return built, perf_counter() - begun
    finally:
        await database.stop()


async def _copy(connection: asyncpg.Connection, table: str, rows: Sequence[object]) -> None:
    names = [field.name for field in fields(rows[0])]  # type: ignore[arg-type]
    text = io.StringIO()
    csv.writer(text).writerows(_cells(row, names) for row in rows)
    await connection.copy_to_table(
        table, source=io.BytesIO(text.getvalue().encode()), columns=names, format="csv", schema_name="router"
    )


def _cells(row: object, names: Iterable[str]) -> list[str | None]:
    return [_cell(getattr(row, name)) for name in names]


def _cell(value: object) -> str | None:
    match value:
        case None:
            return None
        case dict() | list() | tuple():
            return json.dumps(value)
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
