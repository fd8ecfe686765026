"""This file fills the service's tables with open clocks by COPY.

The service itself, on its own test bench, makes the rows of one conversation; every other conversation's are those rows with
other names and times. So whatever the service keeps today is what is measured.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import asyncpg

from bench.sla.world import FIRST_RESPONSE, WARN_AT, Talk
from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.topics import partition_of, topic_map
from libs.flow.harness import START, Harness
from libs.workspace import Workspace
from services.sla.flow import flow

LANE = 987_654_321
"""Stands for the lane in a pattern; no other number of a row is like it."""
TABLES: Mapping[str, str] = {
    "conversation": "select * from conversation",
    "clock": "select * from clock",
    "timer": f"select flow, {LANE} as lane, id, key, due, name, body, cause from timer",
}
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|\+00)")
CHUNK = 1_000

Names = dict[str, str]
Pattern = tuple[str, tuple[str, ...]]
"""A row of COPY's text format with %s in it, and what to put there."""


@dataclass(frozen=True)
class Patterns:
    """The rows of one conversation, by table."""

    rows: Mapping[str, Sequence[Pattern]]
    moments: Mapping[timedelta, tuple[str, str]]
    """Moments in them, since the opening -> their slots."""
    clocks: Mapping[str, tuple[str, int]]
    """Slot -> (metric, number)"""

    def names(self, customer: int, opened: datetime, partitions: int) -> Names:
        """What stands in the slots for one customer."""
        talk = Talk.of(customer)
        found: Names = {"point": talk.point, "conversation": talk.id}
        found["lane"] = str(partition_of(talk.point.encode(), partitions))
        for slot, (metric, number) in self.clocks.items():
            found[slot] = clock_id(ConversationId(talk.id), metric, number)
        for since, (sql, json) in self.moments.items():
            found[sql] = (text := (opened + since).isoformat(" ", "microseconds"))
            found[json] = text.replace(" ", "T")
        return found


@dataclass(frozen=True)
class Made:
    """Patterns of a conversation just opened, and of one of which the first response has been warned of; and the calendars."""

    opened: Patterns
    warned: Patterns
    calendars: bytes


async def made_by_the_service(dsn: str, workspace: Workspace) -> Made:
    talk = Talk.of(0)
    async with Harness(flow(workspace), dsn) as harness:
        await harness.give(talk.opened(START), key=talk.point, at=START, twice=False)
        opened = await _patterns(dsn, harness, talk)
        await harness.advance(FIRST_RESPONSE * WARN_AT)
        warned = await _patterns(dsn, harness, talk)
        calendars = await _copied(dsn, harness, "select * from calendar")
    return Made(opened, warned, calendars)


async def _patterns(dsn: str, harness: Harness, talk: Talk) -> Patterns:
    slots = {talk.point: "point", talk.id: "conversation", str(LANE): "lane"}
    clocks = {}
    for number, row in enumerate(await harness.rows("select clock_id, metric, number from clock")):
        slots[row["clock_id"]] = f"clock {number}"
        clocks[f"clock {number}"] = (row["metric"], row["number"])
    moments: dict[timedelta, tuple[str, str]] = {}
    rows = {}
    for table, sql in TABLES.items():
        lines = (await _copied(dsn, harness, sql)).decode().splitlines(keepends=True)
        rows[table] = [_pattern(line, slots, moments) for line in lines]
    return Patterns(rows, moments, clocks)


def _pattern(line: str, slots: Mapping[str, str], moments: dict[timedelta, tuple[str, str]]) -> Pattern:
    found: list[str] = []

    def slot(match: re.Match[str]) -> str:
        if match[0] in slots:
            found.append(slots[match[0]])
        else:
            since = datetime.fromisoformat(f"{match[1]}T{match[3]}+00:00") - START
            moments[since] = (f"sql {since}", f"json {since}")
            found.append(moments[since][match[2] == "T"])
        return "%s"

    anything = "|".join([MOMENT.pattern, *map(re.escape, slots)])
    return re.sub(anything, slot, line.replace("%", "%%")), tuple(found)


async def _copied(dsn: str, harness: Harness, sql: str) -> bytes:
    connection = await asyncpg.connect(
        dsn, server_settings={"search_path": harness.database.schema, "timezone": "UTC"}
    )
    out = BytesIO()
    await connection.copy_from_query(sql, output=out)
    await connection.close()
    return out.getvalue()


async def copy_in(
    connection: Any, patterns: Patterns, conversations: Iterable[tuple[int, datetime]]
) -> dict[str, int]:
    """Add the rows of these (customer, opened at), in chunks of all tables. Returns how many rows each table got."""
    partitions, counts = topic_map().partitions, dict.fromkeys(TABLES, 0)
    for chunk in _chunks(patterns.names(*one, partitions) for one in conversations):
        for table, rows in patterns.rows.items():
            source = _lines(rows, chunk)
            columns = ["flow", "lane", "id", "key", "due", "name", "body", "cause"]
            await connection.copy_to_table(
                table, source=source, columns=columns if table == "timer" else None
            )
            counts[table] += len(rows) * len(chunk)
    return counts


async def _lines(rows: Sequence[Pattern], chunk: Sequence[Names]) -> AsyncIterator[bytes]:
    yield "".join(
        text % tuple([names[slot] for slot in slots]) for names in chunk for text, slots in rows
    ).encode()


def _chunks(names: Iterator[Names]) -> Iterator[list[Names]]:
    chunk: list[Names] = []
    for one in names:
        chunk.append(one)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def spread(first: int, count: int, start: datetime, length: timedelta) -> Iterator[tuple[int, datetime]]:
    """Customers from `first` on, opened evenly over the time."""
    for number in range(count):
        yield first + number, start + length * number / count


@asynccontextmanager
async def without_indexes(connection: Any) -> AsyncIterator[None]:
    """The tables' indexes are made anew at the end: many rows come in sooner so."""
    tables = list(TABLES)
    keys = await connection.fetch(
        "select conrelid::regclass::text as of, conname as name, pg_get_constraintdef(oid) as definition from pg_constraint "
        "where contype = 'p' and conrelid = any($1::text[]::regclass[])",
        tables,
    )
    for key in keys:
        await connection.execute(f"alter table {key['of']} drop constraint {key['name']}")
    indexes = await connection.fetch(
        "select indexname as name, indexdef as definition from pg_indexes where schemaname = current_schema and tablename = any($1)",
        tables,
    )
    for index in indexes:
        await connection.execute(f"drop index {index['name']}")
    yield
    await connection.execute("set maintenance_work_mem = '256MB'")
    for key in keys:
        await connection.execute(f"alter table {key['of']} add constraint {key['name']} {key['definition']}")
    for index in indexes:
        await connection.execute(index["definition"])
