"""This file holds the flow's rows and brings what a batch needs: nothing at all where its contact points are cached."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import ContactPointId, ConversationId, MessageId, digest, incoming_message_id
from libs.contracts.payloads.assignments import WorkEvent
from libs.contracts.payloads.base import ProviderError
from libs.contracts.payloads.commands import ConversationCommand, SendReply
from libs.contracts.payloads.conversations import DeliveryReported
from libs.contracts.payloads.inbound import EditIngested, MessageIngested, ReactionIngested, ReceiptIngested
from libs.contracts.payloads.sla import ClockEvent
from libs.contracts.vocabulary import MessageStatus
from libs.flow.flow import Fired
from libs.flow.store import Reader, Store, Table
from libs.workspace import Workspace
from services.router.conversations.domain.conversation import ContactPoint, Conversation
from services.router.conversations.domain.text import storable
from services.router.conversations.identifying import Identifying, Sighting
from services.router.conversations.timers import ReceiptsLapsed, SilenceDue, SnoozeEnded

CACHED = 1_000
"""Contact points, and conversations, that each lane keeps in memory: about 2.6 kB together with a message, twelve lanes to a process."""


@dataclass(frozen=True, slots=True)
class Message:
    """What must be known of a message to follow what happens to it. `status` is None for a customer's message."""

    message_id: MessageId
    contact_point_id: ContactPointId
    conversation_id: ConversationId
    provider_message_id: str | None
    status: MessageStatus | None
    occurred_at: datetime
    edited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageName:
    """What the provider calls a message of ours; or, while `message_id` is None, the most that was heard of that name."""

    lookup: str
    contact_point_id: ContactPointId
    message_id: MessageId | None
    status: MessageStatus | None = None
    error: ProviderError | None = None
    occurred_at: datetime | None = None


class ConversationStore(Store):
    """The rows of one lane. Handlers read through the methods; `sighting` is what `load` found out about identity."""

    def __init__(self, lane: int, workspace: Workspace) -> None:
        super().__init__(lane)
        self.contact_points = Table(
            "contact_point", ContactPoint, key=["contact_point_id"], group="contact_point_id", cache=CACHED
        )
        self.conversations = Table(
            "conversation", Conversation, key=["conversation_id"], group="conversation_id", cache=CACHED
        )
        self.messages = Table("message", Message, key=["message_id"], group="message_id", cache=CACHED)
        self.names = Table("message_name", MessageName, key=["lookup"], group="lookup", cache=CACHED)
        self.tables = (self.contact_points, self.conversations, self.messages, self.names)
        self._identifying = Identifying(workspace, self.contact_points)

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        await self.contact_points.load(db, {storable(item.key) for item in items})
        # A name leads to a message, a message to its conversation.
        await self.names.load(db, {lookup for item in items for lookup in _lookups(item)})
        await self.messages.load(db, {message for item in items for message in self._messages_of(item)})
        await self.conversations.load(db, {name for item in items for name in self._conversations_of(item)})
        await self._identifying.load(db, [item for item in items if isinstance(item, Event)])

    def discard(self) -> None:
        super().discard()
        self._identifying.forget()

    def sighting(self, event: Event[Any]) -> Sighting | None:
        """What this event showed of who the contact point is; None where it showed nothing new."""
        return self._identifying.sightings.get(event.envelope.name)

    def contact_point(self, name: str) -> ContactPoint | None:
        return self.contact_points.get(name, name)

    def conversation(self, name: str) -> Conversation | None:
        name = storable(name)
        return self.conversations.get(name, name)

    def latest(self, point: ContactPoint) -> Conversation | None:
        return None if point.conversation_id is None else self.conversation(point.conversation_id)

    def message(self, name: str) -> Message | None:
        name = storable(name)
        return self.messages.get(name, name)

    def name(self, point: str, provider_message_id: str) -> MessageName | None:
        lookup = lookup_of(point, provider_message_id)
        return self.names.get(lookup, lookup)

    def named(self, point: str, provider_message_id: str) -> Message | None:
        """The message that the provider calls so, ours or the customer's."""
        return self.message(self._id_named(point, provider_message_id))

    def _id_named(self, point: str, provider_message_id: str) -> MessageId:
        name = self.name(point, provider_message_id)
        if name is not None and name.message_id is not None:
            return name.message_id
        return incoming_message_id(ContactPointId(point), provider_message_id)

    def _messages_of(self, item: Any) -> Iterable[str]:
        if not isinstance(item, Event):
            return
        data = item.data
        for provider_message_id in _provider_ids(data):
            yield self._id_named(item.key, provider_message_id)
        match data:
            case ReceiptIngested(correlation=str(message)) | DeliveryReported(message_id=message):
                yield storable(message)
            case SendReply(reply_to=str(message)):
                yield storable(message)

    def _conversations_of(self, item: Any) -> Iterable[str]:
        point = self.contact_point(storable(item.key))
        if point is not None and point.conversation_id is not None:
            yield point.conversation_id
        match item:
            case Fired(timer=SnoozeEnded(conversation_id=name) | SilenceDue(conversation_id=name)):
                yield name
            case Event(data=ConversationCommand() | WorkEvent() | ClockEvent() as data):
                yield storable(data.conversation_id)
            case Event():
                messages = (self.message(name) for name in self._messages_of(item))
                yield from (message.conversation_id for message in messages if message is not None)


def lookup_of(point: str, provider_message_id: str) -> str:
    """The key under which a provider's name for a message is kept: names are unique only within a contact point."""
    return digest("name", point, provider_message_id)


def _provider_ids(data: Any) -> Iterable[str]:
    """The messages that an item refers to by the provider's name."""
    match data:
        case MessageIngested():
            if data.reply_to:
                yield data.reply_to
            if data.echo:
                yield data.provider_message_id
        case ReceiptIngested() | EditIngested() | ReactionIngested():
            yield data.provider_message_id
        case DeliveryReported(provider_message_id=str(name)):
            yield name


def _lookups(item: Any) -> Iterable[str]:
    match item:
        case Event():
            yield from (lookup_of(item.key, name) for name in _provider_ids(item.data))
        case Fired(timer=ReceiptsLapsed(lookup=lookup)):
            yield lookup
