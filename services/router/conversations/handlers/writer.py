"""This file tells a conversation's story: each event with the next version, its row, and its claim on attention."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkReprioritised, WorkRequested, WorkWithdrawn
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.commands import ConversationCommand
from libs.contracts.payloads.conversations import (
    CommandRefused,
    ConversationEvent,
    ConversationPrioritised,
)
from libs.contracts.payloads.inbound import Item
from libs.flow.flow import Dead, Turn
from libs.workspace import Queue
from services.router.conversations.domain.conversation import Conversation, claim, raise_priority, unclaim
from services.router.conversations.domain.refusal import Refusal
from services.router.conversations.domain.text import storable
from services.router.conversations.domain.times import plausible
from services.router.conversations.store import ConversationStore

Hand = Turn[ConversationStore]

NO_SKILLS: Mapping[str, int] = MappingProxyType({})
ELSEWHERE = Dead("the record's key is not the contact point that it names")


def happened_at(event: Event[Item]) -> datetime:
    """When a provider's item happened."""
    return plausible(event.data.occurred_at, event.envelope.recorded_at)


class Writer:
    """One conversation while one event is handled. Whatever changes it goes through here, so that versions have no gap."""

    def __init__(self, turn: Hand, conversation: Conversation) -> None:
        self.turn, self.conversation = turn, conversation

    def change(self, conversation: Conversation) -> None:
        """Keep the row."""
        self.conversation = conversation
        self.turn.store.conversations.put(conversation)

    def tell(self, event: type[ConversationEvent], at: datetime, **fields: Any) -> None:
        """Publish an event of this conversation that happened at `at`."""
        self.change(replace(self.conversation, version=self.conversation.version + 1))
        c = self.conversation
        payload = event(
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            contact_id=c.contact_id,
            inbox_id=c.inbox_id,
            version=c.version,
            occurred_at=at,
            **fields,
        )
        self.turn.emit(payload, key=c.contact_point_id, at=at, correlation=c.conversation_id)

    def request_work(
        self,
        queue: Queue,
        at: datetime,
        *,
        waiting_since: datetime | None = None,
        agent_id: str | None = None,
        skills: Mapping[str, int] = NO_SKILLS,
        not_to: str | None = None,
        reason: str = "requested",
    ) -> None:
        """Claim attention. A work item that is still open must be withdrawn first.

        `waiting_since` is the time of an earlier claim that this one continues; `agent_id` alone is considered; `skills`
        are required besides the queue's; `not_to` is not considered.
        """
        self.change(claim(self.conversation, waiting_since or at))
        c = self.conversation
        payload = WorkRequested(
            work_item_id=c.work_item_id or "",
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            pool=c.pool,
            queue=queue.id,
            channel=c.channel,
            skills={s: max(queue.skills.get(s, 0), skills.get(s, 0)) for s in {**queue.skills, **skills}},
            preferred_skills=dict(queue.prefers),
            priority=max(queue.priority, c.raised_priority or queue.priority),
            last_agent_id=c.last_agent_id,
            only_agent_id=agent_id,
            excluded_agent_ids=(not_to,) if not_to else (),
            reason=reason,
            requested_at=waiting_since or at,
            due_at=c.work_due_at,
            vip=c.vip,
        )
        self.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)

    def withdraw_work(self, reason: str, at: datetime, *, wrap_up: bool = False) -> None:
        """Give up the claim on attention, if there is one."""
        c = self.conversation
        if c.work_item_id is None:
            return
        payload = WorkWithdrawn(
            work_item_id=c.work_item_id,
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            pool=c.pool,
            reason=reason,
            wrap_up=wrap_up,
            occurred_at=at,
        )
        self.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)
        self.change(unclaim(c))

    def tell_deadline(self, at: datetime, *, wake: bool = False) -> None:
        """Tell matching the nearest deadline of work that waits, where it is another than it knows; with `wake` in any case."""
        c = self.conversation
        news = c.agent_id is None and c.due_at != c.work_due_at
        if c.work_item_id is None or not (news or wake):
            return
        payload = WorkReprioritised(work_item_id=c.work_item_id, pool=c.pool, due_at=c.due_at, occurred_at=at)
        self.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)
        self.change(replace(c, work_due_at=c.due_at))

    def raise_priority(self, priority: int, at: datetime, *, by: Author) -> None:
        """Also where nobody waits: targets may depend on the priority, and work that is requested later begins with it."""
        at = self.conversation.no_earlier(at)
        self.change(raise_priority(self.conversation, priority))
        self.tell(ConversationPrioritised, at, by=by, priority=priority)
        c = self.conversation
        if c.work_item_id is not None:
            payload = WorkReprioritised(
                work_item_id=c.work_item_id,
                pool=c.pool,
                least_priority=priority,
                due_at=c.due_at,
                occurred_at=at,
            )
            self.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)

    def tell_vip(self, at: datetime) -> None:
        """Tell matching whether the conversation is a VIP's, where it has work."""
        c = self.conversation
        if c.work_item_id is None:
            return
        payload = WorkReprioritised(work_item_id=c.work_item_id, pool=c.pool, vip=c.vip, occurred_at=at)
        self.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)


def refuse(turn: Hand, command: ConversationCommand, command_id: str, refusal: Refusal, at: datetime) -> None:
    """Answer a command that is not carried out."""
    conversation = storable(command.conversation_id)
    payload = CommandRefused(
        conversation_id=conversation,
        contact_point_id=command.contact_point_id,
        command_id=command_id,
        code=refusal.code,
        text=refusal.text,
        occurred_at=at,
    )
    turn.emit(payload, key=command.contact_point_id, at=at, correlation=conversation)
