"""This file makes the one statement that commits batches: lane rows first, then everything else for the lanes still ours.

A single statement is the whole transaction, so a process that is stopped in the middle holds no lock, and a lane that
has another owner (its epoch moved) writes nothing: every part joins `own`, which then lacks it. Lanes whose batches are
ready at the same time share one statement; each of them is written whole or not at all.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from libs.flow.memory import Changes, Memory
from libs.flow.store import Statement
from libs.flow.wire import pack


@dataclass(frozen=True, slots=True)
class Commit:
    """What one lane's batch wants written."""

    lane: int
    epoch: int
    next_seq: int
    tails: str
    seen: Sequence[UUID]
    """First-hand events that it handled; one of them handled before makes the statement write nothing."""
    parts: Sequence[Statement]


CLAIM = (
    "from unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) as u(of_lane, epoch, next_seq, tails) "
    "where l.flow = $1 and l.lane = u.of_lane and l.epoch = u.epoch"
)
SET = "next_seq = u.next_seq, tails = u.tails, lease_until = clock_timestamp() + $6::float8 * interval '1 second'"
OWN = f"update lane l set {SET} {CLAIM} returning l.flow, l.lane"
OWN_SEVERAL = (
    # In one order, as the beat locks them, so that neither waits for the other.
    "update lane w set "
    + SET
    + " from (select l.flow, l.lane, u.next_seq, u.tails "
    + CLAIM.replace("from ", "from lane l, ", 1)
    + " order by l.flow, l.lane for update of l) u where w.flow = u.flow and w.lane = u.lane returning w.flow, w.lane"
)
UNSEEN = " and not exists (select 1 from seen where digest = any($7::uuid[]))"

FENCE, NO_FENCE = "l.epoch = u.epoch", "l.epoch >= least(u.epoch, 0)"
"""Without the epoch check: only for the chaos campaign that shows that the check is needed."""

POSITIONS = (
    'insert into "position" (flow, lane, topic, next_offset) select own.flow, own.lane, u.topic, u.next_offset '
    "from own join unnest($1::int[], $2::text[], $3::bigint[]) as u(of_lane, topic, next_offset) on u.of_lane = own.lane "
    "on conflict (flow, lane, topic) do update set next_offset = excluded.next_offset"
)
WATERMARKS = (
    "insert into watermark (flow, lane, topic, source, seq) select own.flow, own.lane, u.topic, u.source, u.seq "
    "from own join unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) as u(of_lane, topic, source, seq) "
    "on u.of_lane = own.lane on conflict (flow, lane, topic, source) do update set seq = excluded.seq"
)
OUTBOX_ADD = (
    "insert into outbox (flow, lane, first_seq, records) select own.flow, own.lane, u.first_seq, u.records "
    "from own join unnest($1::int[], $2::bigint[], $3::bytea[]) as u(of_lane, first_seq, records) on u.of_lane = own.lane"
)
TIMERS_SET = (
    "insert into timer (flow, lane, id, key, due, name, body, cause) "
    "select own.flow, own.lane, u.id, u.key, u.due, u.name, u.body, u.cause from own join "
    "unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[]) "
    "as u(of_lane, id, key, due, name, body, cause) on u.of_lane = own.lane "
    "on conflict (flow, lane, id) do update set key = excluded.key, due = excluded.due, name = excluded.name, "
    "body = excluded.body, cause = excluded.cause"
)
EFFECTS_ADD = (
    "insert into effect (flow, lane, id, key, seq, name, body, cause) "
    "select own.flow, own.lane, u.id, u.key, u.seq, u.name, u.body, u.cause from own join "
    "unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[]) "
    "as u(of_lane, id, key, seq, name, body, cause) on u.of_lane = own.lane on conflict (flow, lane, id) do nothing"
)
SEEN = (
    "insert into seen (day, digest) select (now() at time zone 'utc')::date, u.digest "
    "from own join unnest($1::int[], $2::uuid[]) as u(of_lane, digest) on u.of_lane = own.lane on conflict do nothing"
)
DEAD_ADD = (
    'insert into dead_letter (flow, lane, key, state, topic, "offset", record_time, record_key, record_value, record_headers, reason, detail) '
    "select own.flow, own.lane, u.key, u.state, u.topic, u.off, u.record_time, u.record_key, u.record_value, u.record_headers, u.reason, u.detail "
    "from own join unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[], "
    "$9::text[], $10::text[], $11::text[]) as u(of_lane, key, state, topic, off, record_time, record_key, record_value, "
    "record_headers, reason, detail) on u.of_lane = own.lane"
)


def _clear(table: str, column: str, kind: str) -> str:
    return (
        f"delete from {table} t using own join unnest($1::int[], $2::{kind}[]) as u(of_lane, this) on u.of_lane = own.lane "
        f"where t.flow = own.flow and t.lane = own.lane and t.{column} = u.this"
    )


OUTBOX_CLEAR = _clear("outbox", "first_seq", "bigint")
TIMERS_CLEAR = _clear("timer", "id", "text")
EFFECTS_CLEAR = _clear("effect", "id", "text")
DEAD_CLEAR = _clear("dead_letter", "id", "bigint")


def commit_of(lane: int, memory: Memory, changes: Changes, rows: Sequence[Statement]) -> Commit:
    """A batch's changes, ready to be written. Later changes to `memory` do not show in it."""
    tails = memory.tails | changes.tails if changes.tails else memory.tails
    parts: list[Statement] = []
    if changes.positions:
        parts.append(Statement(POSITIONS, _columns(changes.positions.items())))
    if changes.watermarks:
        marks = ((topic, source, seq) for (topic, source), seq in changes.watermarks.items())
        parts.append(Statement(WATERMARKS, _columns(marks)))
    if changes.outgoing:
        parts.append(Statement(OUTBOX_ADD, ([memory.next_seq], [pack(changes.outgoing)])))
    if memory.outbox:
        parts.append(Statement(OUTBOX_CLEAR, (list(memory.outbox),)))
    parts += _timers(changes) + _effects(changes)
    if changes.seen:
        parts.append(Statement(SEEN, (list(changes.seen),)))
    if changes.dead:
        dead = (
            (
                d.key,
                d.state,
                d.topic,
                d.offset,
                d.record_time,
                d.record_key,
                d.record_value,
                d.record_headers,
                d.reason,
                d.detail,
            )
            for d in changes.dead
        )
        parts.append(Statement(DEAD_ADD, _columns(dead)))
    if changes.replayed:
        parts.append(Statement(DEAD_CLEAR, ([d.id for d in changes.replayed],)))
    return Commit(
        lane,
        memory.epoch,
        changes.next_seq,
        json.dumps(tails, separators=(",", ":")),
        changes.seen,
        (*parts, *rows),
    )


def _timers(changes: Changes) -> list[Statement]:
    kept = [(t.id, t.key, t.due, t.name, t.body, t.cause) for t in changes.timers.values() if t is not None]
    gone = [timer_id for timer_id, row in changes.timers.items() if row is None]
    parts = [Statement(TIMERS_SET, _columns(kept))] if kept else []
    return [*parts, Statement(TIMERS_CLEAR, (gone,))] if gone else parts


def _effects(changes: Changes) -> list[Statement]:
    asked = [(e.id, e.key, e.seq, e.name, e.body, e.cause) for e in changes.effects.values() if e is not None]
    ended = [effect_id for effect_id, row in changes.effects.items() if row is None]
    parts = [Statement(EFFECTS_ADD, _columns(asked))] if asked else []
    return [*parts, Statement(EFFECTS_CLEAR, (ended,))] if ended else parts


def _columns(rows: Iterable[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def statement_of(
    flow: str, commits: Sequence[Commit], lease: float, *, fenced: bool = True
) -> tuple[str, list[Any]]:
    """SQL and arguments that write these batches, each of another lane. It returns the lanes that were written.

    A lane is missing where it is not ours; all are where a first-hand event of any of them had been handled before.
    """
    seen = [digest for commit in commits for digest in commit.seen]
    own = OWN if len(commits) == 1 else OWN_SEVERAL
    if seen:
        own = own.replace(FENCE, FENCE + UNSEEN)
    if not fenced:
        own = own.replace(FENCE, NO_FENCE)
    tables: dict[str, list[list[Any]]] = {}
    for commit in commits:
        for part in commit.parts:
            lanes = [commit.lane] * len(part.columns[0])
            columns = tables.get(part.sql)
            if columns is None:
                tables[part.sql] = [lanes, *map(list, part.columns)]
            else:
                for column, more in zip(columns, (lanes, *part.columns), strict=True):
                    column.extend(more)
    arguments: list[Any] = [
        flow,
        [c.lane for c in commits],
        [c.epoch for c in commits],
        [c.next_seq for c in commits],
        [c.tails for c in commits],
        lease,
        *([seen] if seen else []),
    ]
    # One order of tables whatever the order of lanes, so that the server meets few different statements.
    order = tuple(sorted(tables))
    for sql in order:
        arguments += tables[sql]
    return _compose(own, order), arguments


_ARGUMENT = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def _compose(own: str, parts: tuple[str, ...]) -> str:
    """One statement from many, each with its own $1…"""
    named: list[str] = []
    offset = 0
    for index, sql in enumerate((own, *parts)):
        count = max((int(n) for n in _ARGUMENT.findall(sql)), default=0)
        shifted = _ARGUMENT.sub(lambda m, by=offset: f"${int(m[1]) + by}", sql)  # type: ignore[misc]
        named.append(f"own as materialized ({shifted})" if index == 0 else f"p{index} as ({shifted})")
        offset += count
    return "with " + ",\n".join(named) + "\nselect lane from own"
