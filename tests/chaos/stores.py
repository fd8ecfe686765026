"""This file compares what each service holds in its tables with what the log says that it must hold."""

from collections.abc import Mapping
from typing import Any

from deploy.demo.reconcile import Finding
from libs.flow.database import Database, queries
from tests.chaos.log import Log

SQL = queries("tests.chaos")
ENDED_WORK = ("work.completed.v1", "work.cancelled.v1")
ENDED_CLOCK = ("clock.met.v1", "clock.cancelled.v1")
BREACHED = "clock.breached.v1"
SHOWN = 5
"""Of many missing or strange things, those that are named."""


async def stores(database: Database, log: Log) -> list[Finding]:
    """Raises DatabaseAway."""
    return [
        await timeline(database, log),
        numbers(log, await database.fetch(SQL["timeline_numbers"], sorted(_types(log)))),
        await messages(database, log),
        await entities(database, log),
        await nothing_left_over(database),
    ]


async def timeline(database: Database, log: Log) -> Finding:
    """P2: each event of the log is one entry, in the table and on the topic; there is no other."""
    finding = Finding("every event is one timeline entry, in the table and on the topic")
    kept = {row["entry_id"] for row in await database.fetch(SQL["entries"])}
    finding.checked = len(log.entries)
    for there, where in ((kept, "the table"), (set(log.recorded), "the topic")):
        finding.offenders += [f"{name} is missing in {where}" for name in sorted(log.entries - there)[:SHOWN]]
        finding.offenders += [
            f"{name} in {where} is no event" for name in sorted(there - log.entries)[:SHOWN]
        ]
    finding.offenders += [f"{name} is {n} times on the topic" for name, n in log.recorded.items() if n > 1]
    return finding


def numbers(log: Log, odd: list[Any]) -> Finding:
    """P3: a conversation's events are numbered without a gap, in one order on the log and all of them on the timeline."""
    finding = Finding("every conversation's events are 1, 2, 3 … on the log and on the timeline")
    for name, steps in log.conversations.items():
        versions = [step.version for step in steps]
        finding.expect(versions == list(range(1, len(versions) + 1)), f"{name} on the log: {versions}")
    finding.offenders += [f"{row['conversation_id']} on the timeline: {row['versions']}" for row in odd]
    return finding


async def messages(database: Database, log: Log) -> Finding:
    """P2: the router knows each message that it told of, and no other."""
    finding = Finding("the router's messages are those of the log", len(log.messages))
    known = {row["message_id"] for row in await database.fetch(SQL["router_messages"])}
    finding.offenders += [f"{name} is not in the table" for name in sorted(log.messages - known)[:SHOWN]]
    finding.offenders += [f"{name} was never told of" for name in sorted(known - log.messages)[:SHOWN]]
    return finding


async def entities(database: Database, log: Log) -> Finding:
    """P2, P3: conversations, work, clocks and agents stand everywhere as their last event left them."""
    finding = Finding("router, sla and desk hold every entity as its last event left it")
    conversations = {name: steps[-1].version for name, steps in log.conversations.items()}
    rows = await database.fetch(SQL["conversations"])
    _compare(finding, "conversation", conversations, rows, ("router", "desk"))
    for row in rows:
        same = row["router_state"] == row["desk_state"]
        finding.expect(
            same, f"{row['conversation_id']} is {row['router_state']}, the desk has {row['desk_state']}"
        )
    live = {name: events[-1][0] for name, events in log.work.items() if events[-1][1] not in ENDED_WORK}
    _compare(finding, "work", live, await database.fetch(SQL["work"]), ("router", "desk"))
    clocks = {name: events[-1].version for name, events in log.clocks.items()}
    last = {name: events[-1].type for name, events in log.clocks.items()}
    rows = await database.fetch(SQL["clocks"])
    _compare(finding, "clock", clocks, rows, ("sla",))
    # The desk shows clocks that run; of breached ones it may have let go.
    shown = {row[0]: row for row in rows if row["desk"] is not None}
    wanted = {
        name: clocks[name]
        for name, kind in last.items()
        if kind not in ENDED_CLOCK and (kind != BREACHED or name in shown)
    }
    _compare(finding, "clock", wanted, list(shown.values()), ("desk",))
    _compare(finding, "agent", log.agents, await database.fetch(SQL["agents"]), ("desk",))
    return finding


async def nothing_left_over(database: Database) -> Finding:
    finding = Finding("nothing waits to be published, sent or recorded")
    for what, rows in await database.fetch(SQL["left_over"]):
        finding.expect(rows == 0, f"{rows} rows in {what}")
    return finding


def _compare(
    finding: Finding, what: str, wanted: Mapping[str, int], rows: list[Any], holders: tuple[str, ...]
) -> None:
    """The first column is the id, the columns named in `holders` are versions, null where the row is missing."""
    held = {row[0]: row for row in rows if any(row[holder] is not None for holder in holders)}
    for name, version in wanted.items():
        found = [held[name][holder] if name in held else None for holder in holders]
        told = ", ".join(f"{holder} {v}" for holder, v in zip(holders, found, strict=True))
        finding.expect(all(v == version for v in found), f"{what} {name} is at {version} on the log; {told}")
    for name in held.keys() - wanted.keys():
        finding.expect(False, f"{what} {name} is still held, and should not be")


def _types(log: Log) -> set[str]:
    return {step.type for steps in log.conversations.values() for step in steps}
