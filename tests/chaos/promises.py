"""This file reads the whole log as a consumer would, and counts what the promises say about it."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deploy.demo.reconcile import Finding
from libs.contracts.payloads.conversations import ConversationEvent, ConversationResolved, MessageQueued
from libs.contracts.payloads.sla import ClockBreached, ClockEvent, ClockMet, ClockStarted
from libs.contracts.payloads.timeline import EntryRecorded
from libs.contracts.vocabulary import AuthorKind, Metric
from libs.flow.tail import Marks, Tail, Tailed

TOPICS = ("conversations", "sla", "timeline")
QUIET = 2.0
"""So long without an event is the end of the log (seconds)."""


@dataclass
class Log:
    """Every event of the topics in question, each once, in the order of its partition."""

    conversations: dict[str, list[ConversationEvent]] = field(default_factory=lambda: defaultdict(list))
    clocks: dict[str, list[ClockEvent]] = field(default_factory=lambda: defaultdict(list))
    entries: Counter[str] = field(default_factory=Counter)
    latest: datetime | None = None

    def take(self, tailed: Tailed) -> None:
        data, at = tailed.event.data, tailed.event.envelope.time
        self.latest = max(self.latest or at, at)
        if isinstance(data, ConversationEvent):
            self.conversations[data.conversation_id].append(data)
        elif isinstance(data, ClockEvent):
            self.clocks[data.clock_id].append(data)
        elif isinstance(data, EntryRecorded):
            self.entries[data.entry_id] += 1

    @property
    def size(self) -> int:
        return (
            sum(map(len, self.conversations.values()))
            + sum(map(len, self.clocks.values()))
            + self.entries.total()
        )


async def read_log(kafka: str) -> Log:
    """From the beginning to the end."""
    log = Log()
    tail = Tail(kafka, TOPICS, log.take)
    await tail.start(Marks({}))
    size, quiet = -1, 0.0
    while quiet < QUIET:
        await asyncio.sleep(0.25)
        quiet = quiet + 0.25 if log.size == size else 0.0
        size = log.size
    await tail.stop()
    return log


def order(log: Log) -> Finding:
    """P3: a conversation's events are there in one order without a gap, as its versions count them."""
    finding = Finding("every conversation's events are in order, none missing, none twice")
    for conversation, events in log.conversations.items():
        versions = [event.version for event in events]
        finding.expect(
            versions == list(range(1, len(versions) + 1)), f"{conversation} has versions {versions}"
        )
    return finding


def timeline_once(log: Log) -> Finding:
    """P2: what every consumer of the timeline reads."""
    finding = Finding("every entry is on the topic `timeline` once")
    for entry, copies in log.entries.items():
        finding.expect(copies == 1, f"{entry} is there {copies} times")
    return finding


def timers(log: Log, *, margin: timedelta = timedelta(seconds=5)) -> Finding:
    """P6: breaches are those that the conversations' own events and the targets give, each once, stamped with its deadline.

    Only first-response clocks: a human answer at or before the deadline meets them, a resolution before it ends them.
    """
    finding = Finding("every due first-response timer fired once, no other")
    for clock, events in log.clocks.items():
        start = next((event for event in events if isinstance(event, ClockStarted)), None)
        if start is None:
            finding.expect(False, f"{clock} was never started")
            continue
        if (
            start.metric is not Metric.FIRST_RESPONSE
            or log.latest is None
            or start.due_at > log.latest - margin
        ):
            continue
        breaches = [event for event in events if isinstance(event, ClockBreached)]
        taken_back = sum(isinstance(event, ClockMet) and event.corrects_breach for event in events)
        due = ended_at(log, start) is None or ended_at(log, start) > start.due_at  # type: ignore[operator]
        stamped = all(breach.occurred_at == start.due_at for breach in breaches)
        finding.expect(
            len(breaches) - taken_back == int(due) and stamped,
            f"{clock} of {start.conversation_id}: {len(breaches)} breaches, {taken_back} taken back, {int(due)} expected",
        )
    return finding


def ended_at(log: Log, start: ClockStarted) -> datetime | None:
    """When the clock's conversation was first answered by a person, or resolved, after the clock had started."""
    ends = [
        event.occurred_at
        for event in log.conversations[start.conversation_id]
        if event.occurred_at >= start.started_at
        and (
            (isinstance(event, MessageQueued) and event.author.kind is AuthorKind.AGENT)
            or isinstance(event, ConversationResolved)
        )
    ]
    return min(ends, default=None)


def findings(log: Log) -> list[Finding]:
    return [order(log), timeline_once(log), timers(log)]
