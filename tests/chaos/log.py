"""This file follows the whole log as a consumer would, each event once, and keeps of it what the promises are counted by."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from libs.contracts.envelope import Envelope
from libs.contracts.ids import entry_id
from libs.contracts.payloads.assignments import AgentChanged, WorkEvent
from libs.contracts.payloads.conversations import ConversationEvent, MessageQueued, MessageReceived
from libs.contracts.payloads.sla import ClockEvent
from libs.contracts.payloads.timeline import EntryRecorded
from libs.contracts.vocabulary import AuthorKind
from libs.flow.tail import Marks, Tail, Tailed

TOPICS = ("conversations", "assignments", "sla", "identity", "agents", "timeline")
TOLD_BY_HISTORY = ("conversations", "assignments", "sla", "identity")
QUIET = 1.5
"""So long without an event is the end of the log (seconds)."""


@dataclass(frozen=True, slots=True)
class Step:
    """An event of a conversation, as far as its clocks depend on it."""

    type: str
    version: int
    at: datetime
    """Event time; never later than it was recorded."""
    queue: str | None
    answer: bool
    """A message of one of our agents."""


@dataclass
class Log:
    """Events in the order of their partition; a repeated one was left out by its source's chain."""

    conversations: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    clocks: dict[str, list[ClockEvent]] = field(default_factory=lambda: defaultdict(list))
    work: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """Work item -> (version, type) of its events."""
    agents: dict[str, int] = field(default_factory=dict)
    """Agent -> version of the last event."""
    messages: set[str] = field(default_factory=set)
    """Ids of all messages, theirs and ours."""
    replies: Counter[str] = field(default_factory=Counter)
    """Texts of agents' messages."""
    entries: set[str] = field(default_factory=set)
    """The entry that history must make of each event."""
    recorded: Counter[str] = field(default_factory=Counter)
    """Entries on the topic `timeline`."""
    size: int = 0

    def take(self, tailed: Tailed) -> None:
        envelope, data = tailed.event.envelope, tailed.event.data
        self.size += 1
        if tailed.topic in TOLD_BY_HISTORY:
            self.entries.add(entry_id(envelope.source, envelope.id))
        match data:
            case ConversationEvent():
                self.conversations[data.conversation_id].append(_step(envelope, data))
                if isinstance(data, MessageReceived | MessageQueued):
                    self.messages.add(data.message_id)
                if isinstance(data, MessageQueued) and data.author.kind is AuthorKind.AGENT:
                    self.replies[data.content.text] += 1
            case ClockEvent():
                self.clocks[data.clock_id].append(data)
            case WorkEvent():
                self.work[data.work_item_id].append((data.version, data.type))
            case AgentChanged():
                self.agents[data.agent_id] = data.version
            case EntryRecorded():
                self.recorded[data.entry_id] += 1

    async def until_quiet(self) -> None:
        """Return when nothing more comes."""
        size, quiet = -1, 0.0
        while quiet < QUIET:
            quiet = quiet + 0.1 if self.size == size else 0.0
            size = self.size
            await asyncio.sleep(0.1)


@asynccontextmanager
async def following(kafka: str) -> AsyncIterator[Log]:
    """The log from its beginning, growing for as long as the block lasts."""
    log = Log()
    tail = Tail(kafka, TOPICS, log.take, client="chaos")
    await tail.start(Marks({}))
    try:
        yield log
    finally:
        await tail.stop()


def _step(envelope: Envelope, data: ConversationEvent) -> Step:
    answer = isinstance(data, MessageQueued | MessageReceived) and data.author.kind is AuthorKind.AGENT
    at = min(data.occurred_at, envelope.recorded_at) if envelope.recorded_at else data.occurred_at
    return Step(data.type, data.version, at, getattr(data, "queue", None), answer)
