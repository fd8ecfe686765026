"""This file models `conversations` and `outbound` and `deliveries`: the life of a conversation and its messages."""

from libs.contracts.payloads.base import Author, Content, Payload, ProviderError, Time
from libs.contracts.vocabulary import Channel, MessageStatus


class ConversationEvent(Payload):
    """Common to all: keyed by contact point. `version` counts this conversation's events from 1 without gaps."""

    conversation_id: str
    contact_point_id: str
    contact_id: str
    inbox_id: str
    version: int
    occurred_at: Time


class ConversationOpened(ConversationEvent):
    type = "conversation.opened.v1"
    channel: Channel
    queue: str
    pool: str
    priority: int = 0
    previous_conversation_id: str | None = None
    customer_name: str | None = None


class ConversationReopened(ConversationEvent):
    type = "conversation.reopened.v1"
    queue: str
    pool: str


class ConversationResolved(ConversationEvent):
    """The reason `merged` says that it goes on in another conversation."""

    type = "conversation.resolved.v1"
    by: Author
    reason: str | None = None


class ConversationSnoozed(ConversationEvent):
    type = "conversation.snoozed.v1"
    until: Time
    by: Author


class ConversationTransferred(ConversationEvent):
    type = "conversation.transferred.v1"
    by: Author
    queue: str
    agent_id: str | None = None
    skill: str | None = None
    """Required of whoever gets it, besides the queue's."""


class ConversationTagged(ConversationEvent):
    type = "conversation.tagged.v1"
    by: Author
    tags: tuple[str, ...]
    """All tags after the change."""


class ConversationPrioritised(ConversationEvent):
    """Raised: it has at least this priority from now on, until it comes to another queue or is resolved."""

    type = "conversation.prioritised.v1"
    by: Author
    priority: int


class MessageReceived(ConversationEvent):
    """A customer's message, or (`author` is not the customer) one typed in the provider's own app."""

    type = "message.received.v1"
    message_id: str
    provider_message_id: str
    author: Author
    content: Content
    reply_to: str | None = None


class MessageQueued(ConversationEvent):
    """A message of ours was accepted for sending."""

    type = "message.queued.v1"
    message_id: str
    author: Author
    content: Content
    reply_to: str | None = None


class NoteAdded(ConversationEvent):
    type = "note.added.v1"
    author: Author
    text: str


class MessageStatusChanged(ConversationEvent):
    """Only moves up the lattice are published."""

    type = "message.status_changed.v1"
    message_id: str
    status: MessageStatus
    error: ProviderError | None = None


class MessageEdited(ConversationEvent):
    """`content` is None where the message was withdrawn."""

    type = "message.edited.v1"
    message_id: str
    content: Content | None = None


class MessageReacted(ConversationEvent):
    type = "message.reacted.v1"
    message_id: str
    emoji: str | None = None


class CommandRefused(Payload):
    """The answer to a command that cannot be carried out; `code` is stable, `text` is for people."""

    type = "command.refused.v1"
    conversation_id: str
    contact_point_id: str
    command_id: str
    code: str
    text: str
    occurred_at: Time


class ContactResolved(Payload):
    """Which contact a contact point belongs to, said when it is first seen and when it changes."""

    type = "contact.resolved.v1"
    contact_point_id: str
    contact_id: str
    inbox_id: str
    channel: Channel
    address: str
    name: str | None = None
    occurred_at: Time


class MessageRequested(Payload):
    """One message to send. `message_id` is the idempotency key towards the provider where it has one."""

    type = "message.requested.v1"
    message_id: str
    conversation_id: str
    contact_point_id: str
    inbox_id: str
    channel: Channel
    address: str
    content: Content
    reply_to: str | None = None
    """The provider's id of the message that is answered."""
    requested_at: Time


class DeliveryReported(Payload):
    """What became of a `message.requested`: `accepted` with the provider's id, or `failed` with the reason."""

    type = "delivery.reported.v1"
    message_id: str
    conversation_id: str
    contact_point_id: str
    status: MessageStatus
    provider_message_id: str | None = None
    error: ProviderError | None = None
    attempts: int
    occurred_at: Time
