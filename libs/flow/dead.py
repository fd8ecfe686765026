"""This file is the desk for dead letters: `python -m libs.flow.dead list|show|replay|drop [SERVICE:ID|SERVICE]`.

A dead letter holds its key: later records of that key are parked behind it. `replay` tries it and those behind it again,
in their order; `drop` throws one record away for good, and when the last dead one of a key is gone, tries the parked ones.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from libs.flow.memory import headers_from_text
from libs.flow.shared import channel

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console()

Letter = Annotated[str, typer.Argument(help="SERVICE:ID, e.g. router:12")]

SCHEMAS = (
    "select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = 'dead_letter' "
    "and c.relkind = 'r' order by 1"
)


def _run(work: Callable[[asyncpg.Connection], Awaitable[int]]) -> None:
    dsn = os.environ.get("SAMBUNG_POSTGRES", "")
    if not dsn:
        console.print(
            "SAMBUNG_POSTGRES is not set: it names the database, e.g. postgresql://user@host/name",
            style="red",
        )
        raise typer.Exit(2)

    async def whole() -> int:
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            return await work(connection)
        finally:
            await connection.close()

    raise typer.Exit(asyncio.run(whole()))


async def _locate(c: asyncpg.Connection, letter: str) -> tuple[str, asyncpg.Record] | None:
    schema, _, number = letter.partition(":")
    if schema in {row[0] for row in await c.fetch(SCHEMAS)} and number.isdigit():
        row = await c.fetchrow(f'select * from "{schema}".dead_letter where id = $1', int(number))
        if row is not None:
            return schema, row
    console.print(f"there is no dead letter {letter}; `list` names them all", style="red")
    return None


@app.command(name="list")
def list_letters(service: Annotated[str | None, typer.Argument(help="only this service")] = None) -> None:
    """All dead letters and how many records wait behind each."""

    async def work(c: asyncpg.Connection) -> int:
        table = Table(
            "letter", "flow/lane", "key", "topic", "offset", "reason", "detail", "since", "parked behind"
        )
        found = 0
        for (schema,) in await c.fetch(SCHEMAS):
            if service is not None and schema != service:
                continue
            rows = await c.fetch(
                f'select d.*, (select count(*) from "{schema}".dead_letter p where p.flow = d.flow and p.lane = d.lane '
                f"and p.key = d.key and p.state = 'parked' and d.key <> '') as behind "
                f"from \"{schema}\".dead_letter d where d.state = 'dead' order by d.id limit 500"
            )
            for row in rows:
                found += 1
                table.add_row(
                    f"{schema}:{row['id']}", f"{row['flow']}/{row['lane']}", row["key"], row["topic"], str(row["offset"]),
                    row["reason"], row["detail"][:80], f"{row['at']:%Y-%m-%d %H:%M:%S}", str(row["behind"]),
                )  # fmt: skip
        console.print(table if found else "no dead letters")
        return 0

    _run(work)


@app.command()
def show(letter: Letter) -> None:
    """One dead letter whole: reason, headers, the record's bytes."""

    async def work(c: asyncpg.Connection) -> int:
        found = await _locate(c, letter)
        if found is None:
            return 1
        _, row = found
        for name in ("flow", "lane", "key", "state", "topic", "offset", "reason", "detail", "at"):
            console.print(f"{name:>8}: {row[name]}", markup=False)
        if row["record_headers"].startswith("["):
            for name, value in headers_from_text(row["record_headers"]):
                console.print(f"{name:>20}: {value.decode('utf-8', 'backslashreplace')}", markup=False)
        console.print((row["record_value"] or b"").decode("utf-8", "backslashreplace"), markup=False)
        return 0

    _run(work)


@app.command()
def replay(letter: Letter) -> None:
    """Try a dead letter again, with everything that waits behind it. Do this after the fault was mended."""

    async def work(c: asyncpg.Connection) -> int:
        found = await _locate(c, letter)
        if found is None:
            return 1
        schema, row = found
        one = "id = $4" if not row["key"] else "(key = $3 or id = $4)"
        asked = await c.fetchval(
            f'with asked as (update "{schema}".dead_letter set replay = true where flow = $1 and lane = $2 '
            f"and $3::text is not null and {one} returning 1) select count(*) from asked",
            row["flow"], row["lane"], row["key"], row["id"],
        )  # fmt: skip
        await c.execute("select pg_notify($1, $2)", channel(schema), f"replay {row['flow']} {row['lane']}")
        console.print(f"{asked} records will be tried again; `list` shows whether they went through")
        return 0

    _run(work)


@app.command()
def drop(letter: Letter) -> None:
    """Throw one record away for good. What waited behind it is tried when no dead one of its key is left."""

    async def work(c: asyncpg.Connection) -> int:
        found = await _locate(c, letter)
        if found is None:
            return 1
        schema, row = found
        async with c.transaction():
            await c.execute(f'delete from "{schema}".dead_letter where id = $1', row["id"])
            left = await c.fetchval(
                f"select count(*) from \"{schema}\".dead_letter where flow = $1 and lane = $2 and key = $3 and state = 'dead'",
                row["flow"], row["lane"], row["key"],
            )  # fmt: skip
            if not left and row["key"]:
                await c.execute(
                    f'update "{schema}".dead_letter set replay = true where flow = $1 and lane = $2 and key = $3',
                    row["flow"], row["lane"], row["key"],
                )  # fmt: skip
            await c.execute(
                "select pg_notify($1, $2)", channel(schema), f"replay {row['flow']} {row['lane']}"
            )
        console.print(f"{letter} was dropped" + ("" if left else "; what waited behind it is tried now"))
        return 0

    _run(work)


if __name__ == "__main__":
    app(sys.argv[1:])
