"""This file holds the rows of the projection: one table for each entity that agents see."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import AgentChanged, WorkEvent
from libs.contracts.payloads.conversations import CommandRefused, ContactResolved, ConversationEvent
from libs.contracts.payloads.sla import ClockEvent
from libs.flow.database import queries
from libs.flow.store import Reader, Store, Table
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock
from services.desk.domain.conversation import Conversation, Message, is_open
from services.desk.domain.work import Work

SQL = queries("services.desk")
_NUMBER = attrgetter("number")


class DeskStore(Store):
    """Everything is loaded by conversation, except agents.

    The caches are small, since each lane has its own and the live view holds the same in memory; what is missing costs
    one query a table and batch.
    """

    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        by_conversation = "conversation_id"
        self.conversations = Table(
            "conversation_view", Conversation, key=["conversation_id"], group=by_conversation, cache=600
        )
        self.messages = Table(
            "message_view", Message, key=["conversation_id", "message_id"], group=by_conversation, cache=100
        )
        self.work = Table("work_view", Work, key=["work_item_id"], group=by_conversation, cache=600)
        self.clocks = Table("clock_view", Clock, key=["clock_id"], group=by_conversation, cache=600)
        self.agents = Table("agent_view", Agent, key=["agent_id"], group="agent_id", cache=600)
        self.tables = (self.conversations, self.messages, self.work, self.clocks, self.agents)

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        """Only what an event's own topic changes; see fold.py."""
        conversations, messages, work, clocks, agents = set(), set(), set(), set(), set()
        contact_points: set[str] = set()
        for item in items:
            match item:
                case Event(data=ConversationEvent(conversation_id=conversation_id)):
                    conversations.add(conversation_id)
                    messages.add(conversation_id)
                case Event(data=CommandRefused(conversation_id=conversation_id)):
                    conversations.add(conversation_id)
                case Event(data=ContactResolved(contact_point_id=contact_point_id)):
                    contact_points.add(contact_point_id)
                case Event(data=WorkEvent(conversation_id=conversation_id)):
                    work.add(conversation_id)
                case Event(data=ClockEvent(conversation_id=conversation_id)):
                    clocks.add(conversation_id)
                case Event(data=AgentChanged(agent_id=agent_id)):
                    agents.add(agent_id)
        if contact_points:
            rows = await db.fetch(SQL["open_of_contact_points"], list(contact_points))
            conversations.update(row["conversation_id"] for row in rows)
        wanted = (conversations, messages, work, clocks, agents)
        for table, groups in zip(self.tables, wanted, strict=True):
            if groups:
                await table.load(db, groups)  # type: ignore[union-attr]

    def latest(self, conversation_id: str) -> tuple[Message, ...]:
        """A loaded conversation's latest messages, in their order."""
        return tuple(sorted(self.messages.of(conversation_id), key=_NUMBER))

    def open_of(self, contact_point_id: str) -> list[Conversation]:
        """A contact point's open conversations, as far as this lane has them in memory; `load` saw to the rest."""
        return [c for c in self.conversations if c.contact_point_id == contact_point_id and is_open(c)]
