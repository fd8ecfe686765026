"""This file brings a service's schema up to date and keeps the day partitions of `seen`."""

from datetime import date, timedelta
from importlib.resources import files
from typing import Any

import asyncpg

from libs.flow.database import AWAY, Database, DatabaseAway

KEEP_DAYS = 9
"""How long first-hand events are remembered: providers retry for up to 7 days, and the first day is not whole."""


class MigrationChanged(Exception):
    """A migration that was applied already has another text now; migrations are only ever added."""


async def migrate(dsn: str, schema: str, package: str) -> list[str]:
    """Apply the kernel's and the package's numbered migrations that are missing; safe to run from many processes at once.

    Returns the names applied. Raises DatabaseAway, MigrationChanged.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=5, command_timeout=60)
    except AWAY as fault:
        raise DatabaseAway(str(fault)) from fault
    try:
        async with connection.transaction():
            # One migrator at a time for this schema; the lock goes with the transaction.
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 7741))", schema)
            await connection.execute(f'create schema if not exists "{schema}"')
            await connection.execute(f'set local search_path to "{schema}"')
            await connection.execute(
                "create table if not exists migration (name text primary key, body text not null, at timestamptz not null default now())"
            )
            applied = {
                row["name"]: row["body"] for row in await connection.fetch("select name, body from migration")
            }
            names = []
            for name, body in [
                *_scripts("libs.flow", "sql", "kernel/"),
                *_scripts(package, "migrations", ""),
            ]:
                if name in applied:
                    if applied[name] != body:
                        raise MigrationChanged(
                            f"{schema}: migration {name} was changed after it had been applied"
                        )
                    continue
                await connection.execute(body)
                await connection.execute("insert into migration (name, body) values ($1, $2)", name, body)
                names.append(name)
            await _days(connection, await connection.fetchval("select current_date"))
    except AWAY as fault:
        raise DatabaseAway(str(fault)) from fault
    else:
        return names
    finally:
        connection.terminate()


async def keep_days(database: Database) -> None:
    """Make the coming days' partitions of `seen` and drop those past KEEP_DAYS; run now and then by any process."""
    async with database.connection() as connection, connection.transaction():
        if await connection.fetchval(
            "select pg_try_advisory_xact_lock(hashtextextended($1, 7742))", database.schema
        ):
            await _days(connection, await connection.fetchval("select current_date"))


async def _days(connection: Any, today: date) -> None:
    for ahead in range(-1, 3):
        day = today + timedelta(days=ahead)
        await connection.execute(
            f'create table if not exists "seen_{day:%Y%m%d}" partition of seen '
            f"for values from ('{day}') to ('{day + timedelta(days=1)}')"
        )
    oldest = f"seen_{today - timedelta(days=KEEP_DAYS):%Y%m%d}"
    for (name,) in await connection.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'seen'::regclass"
    ):
        if name.strip('"').rpartition(".")[2] < oldest:
            await connection.execute(f"drop table {name}")


def _scripts(package: str, folder: str, prefix: str) -> list[tuple[str, str]]:
    place = files(package).joinpath(folder)
    if not place.is_dir():
        return []
    found = sorted(
        (entry.name, entry.read_text()) for entry in place.iterdir() if entry.name.endswith(".sql")
    )
    return [(prefix + name, body) for name, body in found]
