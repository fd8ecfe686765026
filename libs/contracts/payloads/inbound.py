"""This file models `inbound`: what adapters make of one provider item, with the raw item beside it."""

from typing import Any

from pydantic import Field

from libs.contracts.payloads.base import Content, Identifier, Payload, ProviderError, Time
from libs.contracts.vocabulary import Channel, MessageStatus


class Item(Payload):
    """Common to all: one item of a webhook body. `item_id` is the provider's key and the event's id."""

    item_id: str
    inbox_id: str
    channel: Channel
    address: str
    """The customer's address on that channel, normalised; with the inbox it makes the contact point."""
    contact_point_id: str
    occurred_at: Time
    """When the provider says that it happened; the time of receipt where it says nothing."""
    profile_name: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    raw: dict[str, Any] = Field(default_factory=dict)


class MessageIngested(Item):
    """A customer's message; with `echo`, one that the business wrote in the provider's own app."""

    type = "message.ingested.v1"
    provider_message_id: str
    content: Content
    reply_to: str | None = None
    echo: bool = False


class ReceiptIngested(Item):
    """The provider's word on a message of ours. `correlation` is our own message id where the provider echoes it."""

    type = "receipt.ingested.v1"
    provider_message_id: str
    status: MessageStatus
    correlation: str | None = None
    error: ProviderError | None = None


class EditIngested(Item):
    """A changed (`content`) or withdrawn (`content` is None) message."""

    type = "edit.ingested.v1"
    provider_message_id: str
    content: Content | None = None


class ReactionIngested(Item):
    """An emoji put on a message; None takes it away."""

    type = "reaction.ingested.v1"
    provider_message_id: str
    emoji: str | None = None


class SignalIngested(Item):
    """Anything else that an adapter understands and that is no message: calls, number changes, account notices."""

    type = "signal.ingested.v1"
    kind: str
    text: str = ""


class UnsupportedIngested(Item):
    """An item that could not be understood, kept whole with the reason."""

    type = "unsupported.ingested.v1"
    reason: str
