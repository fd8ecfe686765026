"""This file makes the one statement of a batch: lane row first, then everything else under the condition that it was ours.

A single statement is the whole transaction, so a process that is stopped in the middle holds no lock, and a lane that
has another owner (its epoch moved) writes nothing: every part selects from `own`, which is then empty.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from libs.flow.memory import Changes, Memory
from libs.flow.store import Statement
from libs.flow.wire import pack

OWN = (
    "update lane set next_seq = $4, tails = $5, lease_until = clock_timestamp() + $6::float8 * interval '1 second' "
    "where flow = $1 and lane = $2 and epoch = $3 returning 1"
)
UNSEEN = " and not exists (select 1 from seen where digest = any($7::uuid[]))"
"""Added where the batch holds first-hand events: one that was handled before makes the statement write nothing."""

OWN_UNFENCED = OWN.replace("epoch = $3", "epoch >= least($3, 0)")
"""Without the epoch check: only for the chaos campaign that shows that the check is needed."""

POSITIONS = (
    'insert into "position" (flow, lane, topic, next_offset) select $1, $2, u.topic, u.next_offset '
    "from own, unnest($3::text[], $4::bigint[]) as u(topic, next_offset) "
    "on conflict (flow, lane, topic) do update set next_offset = excluded.next_offset"
)
WATERMARKS = (
    "insert into watermark (flow, lane, topic, source, seq) select $1, $2, u.topic, u.source, u.seq "
    "from own, unnest($3::text[], $4::text[], $5::bigint[]) as u(topic, source, seq) "
    "on conflict (flow, lane, topic, source) do update set seq = excluded.seq"
)
OUTBOX_ADD = (
    "insert into outbox (flow, lane, first_seq, records) select $1, $2, $3::bigint, $4::bytea from own"
)
OUTBOX_CLEAR = (
    "delete from outbox o using own where o.flow = $1 and o.lane = $2 and o.first_seq = any($3::bigint[])"
)
TIMERS_SET = (
    "insert into timer (flow, lane, id, key, due, name, body, cause) select $1, $2, u.* from own, "
    "unnest($3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[]) as u(id, key, due, name, body, cause) "
    "on conflict (flow, lane, id) do update set key = excluded.key, due = excluded.due, name = excluded.name, "
    "body = excluded.body, cause = excluded.cause"
)
TIMERS_CLEAR = "delete from timer t using own where t.flow = $1 and t.lane = $2 and t.id = any($3::text[])"
EFFECTS_ADD = (
    "insert into effect (flow, lane, id, key, seq, name, body, cause) select $1, $2, u.* from own, "
    "unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[]) as u(id, key, seq, name, body, cause) "
    "on conflict (flow, lane, id) do nothing"
)
EFFECTS_CLEAR = "delete from effect e using own where e.flow = $1 and e.lane = $2 and e.id = any($3::text[])"
SEEN = (
    "insert into seen (day, digest) select (now() at time zone 'utc')::date, u.digest from own, unnest($1::uuid[]) as u(digest) "
    "on conflict do nothing"
)
DEAD_ADD = (
    'insert into dead_letter (flow, lane, key, state, topic, "offset", record_time, record_key, record_value, record_headers, reason, detail) '
    "select $1, $2, u.* from own, unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[], "
    "$10::text[], $11::text[], $12::text[]) as u(key, state, topic, off, record_time, record_key, record_value, record_headers, reason, detail)"
)
DEAD_CLEAR = (
    "delete from dead_letter d using own where d.flow = $1 and d.lane = $2 and d.id = any($3::bigint[])"
)

_ARGUMENT = re.compile(r"\$(\d+)")


def statement_of(
    flow: str,
    lane: int,
    memory: Memory,
    changes: Changes,
    rows: Sequence[Statement],
    lease: float,
    *,
    fenced: bool = True,
) -> tuple[str, list[Any]]:
    """SQL and arguments of the batch's statement. It returns 1 where the batch was written, 0 where the lane is not ours
    or where a first-hand event of the batch had been handled before."""
    where = (flow, lane)
    tails = json.dumps(memory.tails | changes.tails if changes.tails else memory.tails, separators=(",", ":"))
    own = OWN if fenced else OWN_UNFENCED
    claim = (flow, lane, memory.epoch, changes.next_seq, tails, lease)
    if changes.seen:
        parts = [Statement(own.replace(" returning 1", UNSEEN + " returning 1"), (*claim, changes.seen))]
    else:
        parts = [Statement(own, claim)]
    if changes.positions:
        parts.append(
            Statement(POSITIONS, (*where, list(changes.positions), list(changes.positions.values())))
        )
    if changes.watermarks:
        topics = [topic for topic, _ in changes.watermarks]
        sources = [source for _, source in changes.watermarks]
        parts.append(Statement(WATERMARKS, (*where, topics, sources, list(changes.watermarks.values()))))
    if changes.outgoing:
        parts.append(Statement(OUTBOX_ADD, (*where, memory.next_seq, pack(changes.outgoing))))
    if memory.outbox:
        parts.append(Statement(OUTBOX_CLEAR, (*where, list(memory.outbox))))
    if changes.timers:
        kept = [row for row in changes.timers.values() if row is not None]
        gone = [timer_id for timer_id, row in changes.timers.items() if row is None]
        if kept:
            columns = zip(*[(t.id, t.key, t.due, t.name, t.body, t.cause) for t in kept], strict=True)
            parts.append(Statement(TIMERS_SET, (*where, *map(list, columns))))
        if gone:
            parts.append(Statement(TIMERS_CLEAR, (*where, gone)))
    if changes.effects:
        asked = [row for row in changes.effects.values() if row is not None]
        ended = [effect_id for effect_id, row in changes.effects.items() if row is None]
        if asked:
            columns = zip(*[(e.id, e.key, e.seq, e.name, e.body, e.cause) for e in asked], strict=True)
            parts.append(Statement(EFFECTS_ADD, (*where, *map(list, columns))))
        if ended:
            parts.append(Statement(EFFECTS_CLEAR, (*where, ended)))
    if changes.seen:
        parts.append(Statement(SEEN, (changes.seen,)))
    if changes.dead:
        columns = zip(
            *[
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
            ],
            strict=True,
        )
        parts.append(Statement(DEAD_ADD, (*where, *map(list, columns))))
    if changes.replayed:
        parts.append(Statement(DEAD_CLEAR, (*where, [d.id for d in changes.replayed])))
    parts += rows
    return _compose(tuple(p.sql for p in parts)), [argument for p in parts for argument in p.args]


@lru_cache(maxsize=1024)
def _compose(statements: tuple[str, ...]) -> str:
    """One statement from many, each with its own $1…; `own` is the first."""
    named: list[str] = []
    offset = 0
    for index, sql in enumerate(statements):
        count = max((int(n) for n in _ARGUMENT.findall(sql)), default=0)
        shifted = _ARGUMENT.sub(lambda m, by=offset: f"${int(m[1]) + by}", sql)  # type: ignore[misc]
        named.append(f"own as materialized ({shifted})" if index == 0 else f"p{index} as ({shifted})")
        offset += count
    return "with " + ",\n".join(named) + "\nselect count(*) from own"
