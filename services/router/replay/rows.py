"""This file takes what the tables hold of matching at one moment, from which a recording can begin in the middle of its topics."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

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
