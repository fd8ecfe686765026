"""This file is the life of a conversation.

         ┌────── snooze ──────┐
         ▼                    │
    ┌─ snoozed ── reopen ──▶ open ◀── reopen ── resolved
    │                         │                    ▲
    └──────── resolve ────────┴────── resolve ─────┘

Its claim on attention (the work item) and who holds it are kept beside, since the conversations flow alone knows when
attention is needed; matching decides who gives it. A snoozed or resolved conversation claims none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.contracts.ids import ContactId, ContactPointId, ConversationId, conversation_id, work_item_id
from libs.contracts.vocabulary import VIP, Channel, ConversationState

OPEN, SNOOZED, RESOLVED = ConversationState.OPEN, ConversationState.SNOOZED, ConversationState.RESOLVED

MOVES: Mapping[ConversationState, frozenset[ConversationState]] = {
    OPEN: frozenset({SNOOZED, RESOLVED}),
    SNOOZED: frozenset({OPEN, SNOOZED, RESOLVED}),
    RESOLVED: frozenset({OPEN}),
}
"""From a state to the states that may follow. Snoozed to snoozed moves the hour."""


class Forbidden(ValueError):
    """A move that the table does not have: the caller must refuse it before."""


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """One address on one inbox. `identifiers`: what was seen of it, as it was written -> as it was understood."""

    contact_point_id: ContactPointId
    contact_id: ContactId
    inbox_id: str
    channel: Channel
    address: str
    name: str | None
    first_seen_at: datetime
    conversation_id: ConversationId | None = None
    """The latest conversation; all before it are resolved."""
    conversations: int = 0
    """How many there were."""
    identifiers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation as the router keeps it; what was said is not here."""

    conversation_id: ConversationId
    contact_point_id: ContactPointId
    contact_id: ContactId
    inbox_id: str
    channel: Channel
    number: int
    """Counts the contact point's conversations from 1."""
    state: ConversationState
    version: int
    """How many events were published."""
    queue: str
    pool: str
    opened_at: datetime
    changed_at: datetime
    """When the state last changed. A change that is told late is not dated before it: states follow one another."""
    resolved_at: datetime | None = None
    snoozed_until: datetime | None = None
    customer_wrote_at: datetime | None = None
    """The customer's last message, over all conversations of the contact point: it opens the provider's reply window."""
    agent_id: str | None = None
    """Who holds the work item now."""
    last_agent_id: str | None = None
    """Who held one last; matching prefers them."""
    work_items: int = 0
    """How many there were."""
    work_item_id: str | None = None
    """The one that is not finished."""
    work_requested_at: datetime | None = None
    work_due_at: datetime | None = None
    """The deadline that matching was told."""
    spoke_at: datetime | None = None
    """When anybody wrote last, or an agent got it: from then on it is silent."""
    silent: bool = False
    """Whether matching was told that it is."""
    tags: tuple[str, ...] = ()
    raised_priority: int | None = None
    """The least priority of its work, by an SLA policy; until it comes to another queue, or is resolved."""
    clocks: dict[str, datetime] = field(default_factory=dict)
    """SLA clocks that run or were breached -> deadline."""

    @property
    def due_at(self) -> datetime | None:
        """The nearest deadline; a breached one stays the nearest until it is answered."""
        return min(self.clocks.values(), default=None)

    @property
    def vip(self) -> bool:
        return VIP in self.tags

    def no_earlier(self, at: datetime) -> datetime:
        """The time of a change of state that happened at `at`."""
        return max(at, self.changed_at)


def begin(
    point: ContactPoint, latest: Conversation | None, *, queue: str, pool: str, at: datetime
) -> tuple[ContactPoint, Conversation]:
    """The next conversation of a contact point, open."""
    number = point.conversations + 1
    name = conversation_id(point.contact_point_id, number)
    conversation = Conversation(
        conversation_id=name,
        contact_point_id=point.contact_point_id,
        contact_id=point.contact_id,
        inbox_id=point.inbox_id,
        channel=point.channel,
        number=number,
        state=OPEN,
        version=0,
        queue=queue,
        pool=pool,
        opened_at=at,
        changed_at=at,
        customer_wrote_at=latest.customer_wrote_at if latest else None,
        last_agent_id=latest.last_agent_id if latest else None,
    )
    return replace(point, conversation_id=name, conversations=number), conversation


def reopen(conversation: Conversation, *, queue: str, pool: str, at: datetime) -> Conversation:
    _check(conversation, OPEN)
    return replace(conversation, state=OPEN, changed_at=at, snoozed_until=None, queue=queue, pool=pool)


def resolve(conversation: Conversation, at: datetime) -> Conversation:
    """Deadlines end with it; clocks that run on after a reopening are told anew."""
    _check(conversation, RESOLVED)
    return replace(
        conversation,
        state=RESOLVED,
        changed_at=at,
        resolved_at=at,
        snoozed_until=None,
        raised_priority=None,
        clocks={},
    )


def snooze(conversation: Conversation, *, until: datetime, at: datetime) -> Conversation:
    _check(conversation, SNOOZED)
    return replace(conversation, state=SNOOZED, changed_at=at, snoozed_until=until)


def transfer(conversation: Conversation, *, queue: str, pool: str) -> Conversation:
    """Goes to a queue; whoever held it last is preferred no more."""
    raised = conversation.raised_priority if queue == conversation.queue else None
    return replace(conversation, queue=queue, pool=pool, last_agent_id=None, raised_priority=raised)


def raise_priority(conversation: Conversation, priority: int) -> Conversation:
    """Never lowers one that was raised before."""
    raised = conversation.raised_priority
    return replace(conversation, raised_priority=priority if raised is None else max(raised, priority))


def hear(conversation: Conversation, at: datetime) -> Conversation:
    """The customer wrote at `at`; a late message does not move the time back."""
    last = conversation.customer_wrote_at
    return conversation if last is not None and at <= last else replace(conversation, customer_wrote_at=at)


def claim(conversation: Conversation, requested_at: datetime) -> Conversation:
    """A new work item."""
    number = conversation.work_items + 1
    return replace(
        conversation,
        work_items=number,
        work_item_id=work_item_id(conversation.conversation_id, number),
        work_requested_at=requested_at,
        work_due_at=conversation.due_at,
        agent_id=None,
        silent=False,
    )


def unclaim(conversation: Conversation) -> Conversation:
    """No work item any more. `last_agent_id` stays."""
    return replace(
        conversation,
        work_item_id=None,
        work_requested_at=None,
        work_due_at=None,
        agent_id=None,
        silent=False,
    )


def held_by(conversation: Conversation, agent_id: str | None) -> Conversation:
    """Matching gave the work to an agent, or (None) took it back to the queue."""
    last = agent_id or conversation.last_agent_id
    return replace(conversation, agent_id=agent_id, last_agent_id=last, silent=False)


def spoke(conversation: Conversation, at: datetime) -> Conversation:
    """Somebody wrote at `at`, or an agent got it then; what comes late does not move the time back."""
    last = conversation.spoke_at
    return conversation if last is not None and at <= last else replace(conversation, spoke_at=at)


def watch(conversation: Conversation, clock: str, due_at: datetime | None) -> Conversation:
    """An SLA clock runs towards `due_at`, or (None) has ended."""
    if conversation.clocks.get(clock) == due_at:
        return conversation
    others = {name: due for name, due in conversation.clocks.items() if name != clock}
    return replace(conversation, clocks=others if due_at is None else {**others, clock: due_at})


def _check(conversation: Conversation, to: ConversationState) -> None:
    if to not in MOVES[conversation.state]:
        raise Forbidden(f"{conversation.conversation_id}: {conversation.state} cannot become {to}")
