"""This file tries policies on recorded traffic: `python -m services.sla.dryrun workspace.yaml RECORDED...`.

A recording has the events of the topics `conversations` and `assignments`, one a line as JSON, {"envelope": ..., "data": ...} in
the form of libs/contracts/examples, plain or gzipped; `--since 24h` reads the running log instead. What is counted is what
the workspace's policies would have promised from the first event on; what happened stays as it was, so people who would
have been faster, or slower, for the other policies are not.
"""

import asyncio
import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Column, Table

from libs.contracts import registry
from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.assignments import WorkAssigned
from libs.contracts.payloads.conversations import ConversationEvent
from libs.flow.tail import Tail, Tailed
from libs.workspace import Workspace, WorkspaceError, load
from libs.workspace.durations import parse_duration
from services.sla.calendars import KnownCalendars
from services.sla.domain.clock import State
from services.sla.domain.conversation import Conversation, fold
from services.sla.domain.facts import Fact
from services.sla.domain.standing import Happened, news, standing
from services.sla.hearing import fact_of
from services.sla.policies import KnownPolicies

console = Console()


class Unreadable(ValueError):
    """A recording that cannot be used; says where and why."""


@dataclass
class Tally:
    """What became of the clocks of one metric and policy."""

    clocks: int = 0
    in_time: int = 0
    late: int = 0
    """Ended after their deadline."""
    overdue: int = 0
    """Open past their deadline at the end of the recording."""
    open: int = 0
    """Open before their deadline."""
    cancelled: int = 0
    """In time; a promise that became moot."""
    warned: int = 0
    steps: Counter[int] = field(default_factory=Counter)
    """By number, how often it would have been taken."""


def tried(events: Iterable[Event[Any]], workspace: Workspace) -> dict[tuple[str, str], Tally]:
    """By metric and policy, what the policies would have promised and what became of it until the last event.

    An event that is there twice counts once. A conversation whose opening is not there has no clocks before it is reopened.
    """
    policies, calendars = KnownPolicies(workspace), KnownCalendars(workspace)
    facts: defaultdict[str, list[Fact]] = defaultdict(list)
    end: datetime | None = None
    seen = set[str]()
    for event in events:
        name = event.envelope.name
        if isinstance(event.data, ConversationEvent | WorkAssigned) and name not in seen:
            seen.add(name)
            fact = fact_of(event, policies, calendars.current)
            if fact is not None:
                facts[event.data.conversation_id].append(fact)
                end = fact.at if end is None else max(end, fact.at)
    found: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
    for story in facts.values():
        for clock in fold(Conversation(), tuple(story)).conversation.clocks:
            assert end is not None, "there is a fact"
            stands = standing(clock, end, calendars.calendars)
            tally = found[clock.metric.value, clock.numbered(len(stands.changes)).policy]
            tally.clocks += 1
            match stands.state:
                case State.RUNNING | State.PAUSED:
                    tally.overdue += stands.breached
                    tally.open += not stands.breached
                case State.MET:
                    tally.late += stands.breached
                    tally.in_time += not stands.breached
                case State.CANCELLED:
                    tally.late += stands.breached
                    tally.cancelled += not stands.breached
            for happening in news(None, clock, stands, calendars.calendars):
                tally.warned += happening.what is Happened.WARNED
                if happening.step is not None:
                    tally.steps[happening.step.number] += 1
    return dict(found)


def recorded(path: Path) -> Iterator[Event[Any]]:
    """The events of a file, those of unknown types left out. Raises Unreadable."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                event = _event(line, f"{path}:{number}")
                if event is not None:
                    yield event
    except (OSError, EOFError, UnicodeDecodeError) as fault:
        raise Unreadable(f"{path}: {fault}") from None


def _event(line: str, where: str) -> Event[Any] | None:
    try:
        found = json.loads(line)
        envelope = found["envelope"]
        model = registry.model_of(envelope["type"])
        if model is None:
            return None
        data = model.model_validate(found["data"])
        recorded_at = envelope.get("recorded_at")
        named = Envelope(
            id=envelope["id"],
            source=envelope["source"],
            type=envelope["type"],
            time=datetime.fromisoformat(envelope["time"]),
            subject=envelope.get("subject", ""),
            recorded_at=datetime.fromisoformat(recorded_at) if recorded_at else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as fault:
        raise Unreadable(f"{where}: expected one event as JSON with envelope and data ({fault})") from None
    return Event(key=envelope.get("subject", ""), envelope=named, data=data)


async def from_log(kafka: str, since: timedelta) -> list[Event[Any]]:
    """The events of the last so long, from the running log."""
    found: list[Event[Any]] = []

    def take(tailed: Tailed) -> None:
        found.append(tailed.event)

    tail = Tail(kafka, ("conversations", "assignments"), take, client="sambung-sla-dryrun")
    await tail.start(since)
    try:
        await tail.caught_up()
    finally:
        await tail.stop()
    return found


def table(found: dict[tuple[str, str], Tally]) -> Table:
    counted = ("clocks", "in time", "late", "overdue", "open", "moot", "kept", "warned", "steps")
    names = (Column(name, no_wrap=True) for name in ("metric", "policy"))
    shown = Table(*names, *(Column(name, justify="right") for name in counted), box=None, pad_edge=False)
    for (metric, policy), tally in sorted(found.items()):
        judged = tally.in_time + tally.late + tally.overdue
        kept = f"{tally.in_time / judged:.1%}" if judged else "-"
        steps = ", ".join(f"{number}: {count}" for number, count in sorted(tally.steps.items())) or "-"
        counts = (tally.clocks, tally.in_time, tally.late, tally.overdue, tally.open, tally.cancelled)
        shown.add_row(metric, policy, *map(str, counts), kept, str(tally.warned), steps)
    return shown


def main(
    policy: Annotated[Path, typer.Argument(help="a workspace file with the policies to try")],
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="files of events, .jsonl or .jsonl.gz")
    ] = None,
    since: Annotated[str, typer.Option(help="read the last so long of the running log, such as 24h")] = "",
) -> None:
    """Try policies on recorded traffic."""
    try:
        workspace = load(policy, secrets=False)
        events: Iterable[Event[Any]] = (event for path in recordings or () for event in recorded(path))
        if since:
            kafka = os.environ.get("SAMBUNG_KAFKA", "")
            if not kafka:
                raise Unreadable("SAMBUNG_KAFKA is not set: it names the brokers of the running log")
            events = [*asyncio.run(from_log(kafka, parse_duration(since))), *events]
        elif not recordings:
            raise Unreadable("expected recordings, or --since 24h for the running log")
        found = tried(events, workspace)
    except (WorkspaceError, ValueError) as fault:
        console.print(str(fault), style="red", markup=False)
        raise typer.Exit(2) from None
    console.print(table(found))


if __name__ == "__main__":
    typer.run(main)
