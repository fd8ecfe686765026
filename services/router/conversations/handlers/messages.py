"""This file follows the messages of ours: what delivery reports, and what the provider's receipts say."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import ContactPointId
from libs.contracts.payloads.base import ProviderError
from libs.contracts.payloads.conversations import DeliveryReported, MessageStatusChanged
from libs.contracts.payloads.inbound import ReceiptIngested
from libs.contracts.vocabulary import MessageStatus
from libs.flow.flow import Drop, Fired, Outcome
from services.router.conversations.domain.receipts import RANK, moves_up
from services.router.conversations.domain.text import storable
from services.router.conversations.handlers.writer import ELSEWHERE, Hand, Writer, happened_at
from services.router.conversations.identifying import belongs
from services.router.conversations.store import Message, MessageName, lookup_of
from services.router.conversations.timers import ReceiptsLapsed, receipts_id

KEEP_RECEIPTS = timedelta(days=1)
"""How long receipts wait for the report of their message. Delivery reports within its own retries, hours at most."""


class MessageHandlers:
    """Handlers of the topic `deliveries`, and of receipts on `inbound`."""

    def on_delivery_reported(self, turn: Hand, event: Event[DeliveryReported]) -> Outcome | None:
        if not belongs(event):
            return ELSEWHERE
        data = event.data
        message = turn.store.message(data.message_id)
        if message is None or message.contact_point_id != event.key:
            return Drop("unknown_message")
        early = _learn_name(turn, message, data.provider_message_id)
        outcome = _hear(turn, message, data.status, data.error, data.occurred_at)
        if early is not None:
            return _hear_early(turn, message, early)
        return outcome

    def on_receipt_ingested(self, turn: Hand, event: Event[ReceiptIngested]) -> Outcome | None:
        if not belongs(event):
            return ELSEWHERE
        data, store = event.data, turn.store
        message = store.message(data.correlation) if data.correlation else None
        if message is None or message.contact_point_id != event.key:
            message = store.named(event.key, data.provider_message_id)
        if message is None:
            return _keep_early(turn, event)
        if message.status is None:
            return Drop("receipt_of_customers_message")
        early = _learn_name(turn, message, data.provider_message_id)
        if early is not None:
            _hear_early(turn, message, early)
        return _hear(turn, message, data.status, data.error, happened_at(event))

    def on_receipts_lapsed(self, turn: Hand, fired: Fired[Any]) -> Outcome | None:
        lookup = fired.timer.lookup
        name = turn.store.names.get(lookup, lookup)
        if name is None or name.message_id is not None:
            return Drop("receipts_claimed")
        turn.store.names.delete(name)
        return None


def _learn_name(turn: Hand, message: Message, provider_message_id: str | None) -> MessageName | None:
    """Note what the provider calls the message; returns the receipts that came for this name before."""
    if not provider_message_id or message.provider_message_id == storable(provider_message_id):
        return None
    point, store = message.contact_point_id, turn.store
    before = store.name(point, provider_message_id)
    if before is not None and before.message_id is not None:
        return None
    store.names.put(MessageName(lookup_of(point, provider_message_id), point, message.message_id))
    if message.provider_message_id is None:
        store.messages.put(replace(message, provider_message_id=storable(provider_message_id)))
    if before is not None:
        turn.cancel_timer(receipts_id(before.lookup))
    return before


def _hear(
    turn: Hand, message: Message, status: MessageStatus, error: ProviderError | None, at: datetime
) -> Outcome | None:
    """Publish a status where it says more than what is known."""
    store = turn.store
    known = store.message(message.message_id) or message
    if not moves_up(known.status, status):
        return Drop("status_not_new")
    store.messages.put(replace(known, status=status))
    conversation = store.conversation(known.conversation_id)
    assert conversation is not None, "a message's conversation is never deleted"
    Writer(turn, conversation).tell(
        MessageStatusChanged, at, message_id=known.message_id, status=status, error=error
    )
    return None


def _hear_early(turn: Hand, message: Message, early: MessageName) -> Outcome | None:
    if early.status is None or early.occurred_at is None:
        return None
    return _hear(turn, message, early.status, early.error, early.occurred_at)


def _keep_early(turn: Hand, event: Event[ReceiptIngested]) -> Outcome | None:
    """The most that was heard of a name waits for the message that claims it."""
    data, store = event.data, turn.store
    before = store.name(event.key, data.provider_message_id)
    if data.status not in RANK or (before is not None and not moves_up(before.status, data.status)):
        return Drop("status_not_new")
    lookup = lookup_of(event.key, data.provider_message_id)
    store.names.put(
        MessageName(lookup, ContactPointId(event.key), None, data.status, data.error, happened_at(event))
    )
    if before is None:
        due = turn.now + KEEP_RECEIPTS
        turn.set_timer(ReceiptsLapsed(lookup=lookup), id=receipts_id(lookup), key=event.key, due=due)
    return None
