"""This file takes what the tables hold of matching at one moment, from which a recording can begin in the middle of its topics:
`python -m services.router.replay.rows --out FOLDER`, before `make record OUT=FOLDER`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter

from libs.flow.database import Database, DatabaseAway
from libs.flow.recording import SUFFIX
from libs.flow.store import Session
from libs.flow.timers import TimerRow
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.store import AssignmentStore
from services.router.replay.decisions import FLOW

ROWS = "rows.json"


@dataclass(frozen=True)
class LaneRows:
    """One lane: what it had read, what it waits for, what it holds. Events of its own from `next_seq` on came later."""

    lane: int
    next_seq: int
    positions: Mapping[str, int]
    watermarks: tuple[tuple[str, str, int], ...]
    """(topic, source, sequence)"""
    timers: tuple[TimerRow, ...]
    items: tuple[WorkItem, ...]
    agents: tuple[AgentState, ...]


_ALL = TypeAdapter(tuple[LaneRows, ...])


async def read_rows(db: Session) -> tuple[LaneRows, ...]:
    """Every lane of matching. Call it in one repeatable-read transaction on the router's schema."""
    found = []
    for lane, next_seq in await db.fetch(
        "select lane, next_seq from lane where flow = $1 order by lane", FLOW
    ):
        place = (FLOW, lane)
        where = "where flow = $1 and lane = $2"
        store = AssignmentStore(lane, _no_policy)
        await store.work_items.load_all(db, "lane = $1", lane)
        await store.foreign.load_all(db, "lane = $1", lane)
        await store.agents.load_all(db, "lane = $1", lane)
        timers = await db.fetch(
            f"select id, key, due, name, body, cause from timer {where} order by due, id", *place
        )
        found.append(
            LaneRows(
                lane,
                next_seq,
                dict(await db.fetch(f'select topic, next_offset from "position" {where}', *place)),
                tuple(
                    map(tuple, await db.fetch(f"select topic, source, seq from watermark {where}", *place))
                ),
                tuple(TimerRow(*row) for row in timers),
                (*store.work_items, *store.foreign),
                tuple(store.agents),
            )
        )
    return tuple(found)


def _no_policy(pool: str) -> Policy:
    return Policy(pool, "")


def to_json(rows: tuple[LaneRows, ...]) -> bytes:
    return _ALL.dump_json(rows)


def from_json(text: bytes) -> tuple[LaneRows, ...]:
    """Raises ValueError."""
    return _ALL.validate_json(text)


async def _read(postgres: str) -> tuple[LaneRows, ...]:
    database = Database(postgres, "router", application="sambung-record", size=1)
    await database.start()
    try:
        async with database.connection() as db, db.transaction(isolation="repeatable_read", readonly=True):
            return await read_rows(db)
    finally:
        await database.stop()


def main(
    out: Annotated[Path, typer.Option(help="the folder that is recorded into afterwards")],
    postgres: Annotated[str, typer.Option(envvar="SAMBUNG_POSTGRES", help="the router's database")] = "",
) -> None:
    """Write what matching holds now into a folder; run it before `make record`, whose folder it must be."""
    if not postgres:
        raise typer.BadParameter("SAMBUNG_POSTGRES is not set: it names the router's database")
    if any(out.glob(f"*{SUFFIX}")):
        raise typer.BadParameter(
            f"{out} holds a recording already: rows come first, in a folder of their own"
        )
    try:
        rows = asyncio.run(_read(postgres))
    except DatabaseAway as fault:
        typer.secho(f"{fault}; is the database up?", fg="red", err=True)
        raise typer.Exit(1) from None
    out.mkdir(parents=True, exist_ok=True)
    (out / ROWS).write_bytes(to_json(rows))
    typer.echo(f"{len(rows)} lanes: {out / ROWS}")


if __name__ == "__main__":
    typer.run(main)
