"""This file handles what customers do: messages, edits, reactions and signals."""

from dataclasses import replace
from datetime import datetime

from libs.contracts.envelope import Event
from libs.contracts.ids import incoming_message_id
from libs.contracts.payloads.base import Author, Content
from libs.contracts.payloads.conversations import (
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    NoteAdded,
)
from libs.contracts.payloads.inbound import (
    EditIngested,
    MessageIngested,
    ReactionIngested,
    SignalIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import AuthorKind, ContentKind, ConversationState, MessageStatus
from libs.flow.flow import Dead, Drop, Outcome
from libs.workspace import Inbox, Queue, Workspace
from services.router.conversations.domain.conversation import (
    ContactPoint,
    Conversation,
    begin,
    hear,
    reopen,
    resolve,
)
from services.router.conversations.domain.text import storable
from services.router.conversations.domain.threading import Place, place_of_echo, place_of_message
from services.router.conversations.handlers.meeting import meet
from services.router.conversations.handlers.silence import Silence
from services.router.conversations.handlers.writer import ELSEWHERE, Hand, Writer, happened_at
from services.router.conversations.identifying import begins, belongs
from services.router.conversations.store import Message
from services.router.conversations.timers import snooze_id

BUSINESS = Author(kind=AuthorKind.AGENT)
"""Somebody of the business, in the provider's own app: which agent it was, nobody says."""
SYSTEM = Author(kind=AuthorKind.SYSTEM)


class InboundHandlers:
    """Handlers of the topic `inbound`."""

    def __init__(self, workspace: Workspace, silence: Silence) -> None:
        self.workspace, self.silence = workspace, silence

    def on_message_ingested(self, turn: Hand, event: Event[MessageIngested]) -> Outcome | None:
        data = event.data
        if data.echo and turn.store.name(event.key, data.provider_message_id) is not None:
            return Drop("echo_of_ours")
        return self._receive(
            turn,
            event,
            provider_message_id=data.provider_message_id,
            content=data.content,
            reply_to=data.reply_to,
            echo=data.echo,
        )

    def on_unsupported_ingested(self, turn: Hand, event: Event[UnsupportedIngested]) -> Outcome | None:
        """The agent must see that something came, even if nobody can say what."""
        data = event.data
        if not begins(data):
            return Drop("no_address")
        content = Content(kind=ContentKind.UNSUPPORTED, details={"reason": data.reason})
        return self._receive(turn, event, provider_message_id=data.item_id, content=content)

    def on_edit_ingested(self, turn: Hand, event: Event[EditIngested]) -> Outcome | None:
        """Goes to the message's own conversation, also when that is over: withdrawn words must not stay readable."""
        data, at = event.data, happened_at(event)
        message = turn.store.named(event.key, data.provider_message_id)
        if message is None:
            return Drop("unknown_message")
        if message.edited_at is not None and at <= message.edited_at:
            return Drop("stale_edit")
        turn.store.messages.put(replace(message, edited_at=at))
        self._of(turn, message).tell(MessageEdited, at, message_id=message.message_id, content=data.content)
        return None

    def on_reaction_ingested(self, turn: Hand, event: Event[ReactionIngested]) -> Outcome | None:
        data = event.data
        message = turn.store.named(event.key, data.provider_message_id)
        if message is None:
            return Drop("unknown_message")
        self._of(turn, message).tell(
            MessageReacted, happened_at(event), message_id=message.message_id, emoji=data.emoji
        )
        return None

    def on_signal_ingested(self, turn: Hand, event: Event[SignalIngested]) -> Outcome | None:
        """A note in the conversation that is under way; without one there is nobody to tell."""
        if not belongs(event):
            return ELSEWHERE
        point = turn.store.contact_point(event.key)
        if point is None:
            return Drop("signal_without_conversation")
        point = meet(turn, event, point)
        latest = turn.store.latest(point)
        if latest is None or latest.state is ConversationState.RESOLVED:
            return Drop("signal_without_conversation")
        data = event.data
        text = f"{data.kind}: {data.text}" if data.text else data.kind
        Writer(turn, latest).tell(NoteAdded, happened_at(event), author=SYSTEM, text=text)
        return None

    def _receive(
        self,
        turn: Hand,
        event: Event[MessageIngested] | Event[UnsupportedIngested],
        *,
        provider_message_id: str,
        content: Content,
        reply_to: str | None = None,
        echo: bool = False,
    ) -> Outcome | None:
        data, store, at = event.data, turn.store, happened_at(event)
        if not belongs(event):
            return ELSEWHERE
        inbox = self.workspace.inboxes.get(data.inbox_id)
        if inbox is None:
            return Dead(f"the workspace has no inbox {data.inbox_id!r}")
        point = store.contact_point(event.key)
        if point is None and not begins(data):
            return Dead("a message without an address can be neither shown nor answered")
        point = meet(turn, event, point)
        writer, place = self._thread(turn, point, inbox, at, echo=echo)
        quoted = store.named(event.key, reply_to) if reply_to else None
        message = Message(
            message_id=incoming_message_id(point.contact_point_id, provider_message_id),
            contact_point_id=point.contact_point_id,
            conversation_id=writer.conversation.conversation_id,
            provider_message_id=storable(provider_message_id),
            status=MessageStatus.SENT if echo else None,
            occurred_at=at,
        )
        store.messages.put(message)
        if not echo:
            writer.change(hear(writer.conversation, at))
        self.silence.heard(writer, at, customer=not echo)
        writer.tell(
            MessageReceived,
            at,
            message_id=message.message_id,
            provider_message_id=provider_message_id,
            author=BUSINESS if echo else Author(kind=AuthorKind.CUSTOMER, name=point.name),
            content=content,
            reply_to=quoted.message_id if quoted else None,
        )
        if echo and place is Place.BEGIN:
            writer.change(resolve(writer.conversation, at))
            writer.tell(ConversationResolved, at, by=SYSTEM, reason="begun_by_business")
        elif not echo and writer.conversation.work_item_id is None:
            conversation = writer.conversation
            writer.request_work(self._queue_of(conversation, inbox), conversation.no_earlier(at))
        return None

    def _thread(
        self, turn: Hand, point: ContactPoint, inbox: Inbox, at: datetime, *, echo: bool
    ) -> tuple[Writer, Place]:
        """The conversation that the message belongs to, opened or reopened where it must be."""
        latest = turn.store.latest(point)
        place = (place_of_echo if echo else place_of_message)(latest, at, inbox.reopen_window)
        if latest is None or place is Place.BEGIN:
            return self._begin(turn, point, latest, inbox, at), Place.BEGIN
        writer = Writer(turn, latest)
        if place is Place.REOPEN:
            queue, at = self._queue_of(latest, inbox), latest.no_earlier(at)
            turn.cancel_timer(snooze_id(latest.conversation_id))
            writer.change(reopen(latest, queue=queue.id, pool=queue.pool, at=at))
            writer.tell(ConversationReopened, at, queue=queue.id, pool=queue.pool)
        return writer, place

    def _begin(
        self, turn: Hand, point: ContactPoint, latest: Conversation | None, inbox: Inbox, at: datetime
    ) -> Writer:
        queue = self.workspace.queues[inbox.queue]
        point, conversation = begin(point, latest, queue=queue.id, pool=queue.pool, at=at)
        turn.store.contact_points.put(point)
        writer = Writer(turn, conversation)
        writer.tell(
            ConversationOpened,
            at,
            channel=point.channel,
            queue=queue.id,
            pool=queue.pool,
            priority=queue.priority,
            previous_conversation_id=latest.conversation_id if latest else None,
            customer_name=point.name,
        )
        return writer

    def _queue_of(self, conversation: Conversation, inbox: Inbox) -> Queue:
        """The conversation's queue; the inbox's where the workspace has that no more."""
        return self.workspace.queues.get(conversation.queue) or self.workspace.queues[inbox.queue]

    def _of(self, turn: Hand, message: Message) -> Writer:
        conversation = turn.store.conversation(message.conversation_id)
        assert conversation is not None, "a message's conversation is never deleted"
        return Writer(turn, conversation)
