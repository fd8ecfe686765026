"""This file handles what agents and bots ask of a conversation; every command is answered by an event or a refusal."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import outgoing_message_id
from libs.contracts.payloads.base import Author, Content
from libs.contracts.payloads.commands import (
    AddNote,
    PrioritiseConversation,
    ResolveConversation,
    SendReply,
    SnoozeConversation,
    TagConversation,
    TransferConversation,
)
from libs.contracts.payloads.conversations import (
    ConversationReopened,
    ConversationResolved,
    ConversationSnoozed,
    ConversationTagged,
    ConversationTransferred,
    MessageQueued,
    MessageRequested,
    NoteAdded,
)
from libs.contracts.vocabulary import ContentKind, ConversationState, MessageStatus
from libs.flow.flow import Dead, Drop, Fired, Outcome
from libs.workspace import Workspace
from services.router.conversations.domain.authority import refuse_author
from services.router.conversations.domain.conversation import reopen, resolve, snooze, transfer
from services.router.conversations.domain.queueing import Wish, destination, queue_of
from services.router.conversations.domain.refusal import Code, Refusal
from services.router.conversations.domain.reply import LONGEST_TEXT, refuse_reply, refuse_snooze
from services.router.conversations.domain.tags import change_tags
from services.router.conversations.domain.text import named, storable
from services.router.conversations.handlers.silence import Silence
from services.router.conversations.handlers.writer import ELSEWHERE, Hand, Writer, refuse
from services.router.conversations.identifying import belongs
from services.router.conversations.store import Message
from services.router.conversations.timers import SnoozeEnded, snooze_id

Act = Callable[[Writer, Event[Any]], Refusal | None]
"""Carries a command out, or says why not before it has changed anything."""

RESOLVED = Refusal(Code.RESOLVED, "the conversation is resolved")


class CommandHandlers:
    """Handlers of the topic `commands`, and of the end of a snooze."""

    def __init__(self, workspace: Workspace, silence: Silence) -> None:
        self.workspace, self.silence = workspace, silence

    def on_send_reply(self, turn: Hand, event: Event[SendReply]) -> Outcome | None:
        return self._answer(turn, event, self._reply)

    def on_add_note(self, turn: Hand, event: Event[AddNote]) -> Outcome | None:
        return self._answer(turn, event, self._note)

    def on_resolve_conversation(self, turn: Hand, event: Event[ResolveConversation]) -> Outcome | None:
        return self._answer(turn, event, self._resolve)

    def on_snooze_conversation(self, turn: Hand, event: Event[SnoozeConversation]) -> Outcome | None:
        return self._answer(turn, event, self._snooze)

    def on_transfer_conversation(self, turn: Hand, event: Event[TransferConversation]) -> Outcome | None:
        return self._answer(turn, event, self._transfer)

    def on_tag_conversation(self, turn: Hand, event: Event[TagConversation]) -> Outcome | None:
        return self._answer(turn, event, self._tag)

    def on_prioritise_conversation(self, turn: Hand, event: Event[PrioritiseConversation]) -> Outcome | None:
        return self._answer(turn, event, self._prioritise)

    def on_snooze_ended(self, turn: Hand, fired: Fired[Any]) -> Outcome | None:
        """Open again, dated to the hour that was set, however late it is noticed."""
        conversation = turn.store.conversation(fired.timer.conversation_id)
        if conversation is None or conversation.state is not ConversationState.SNOOZED:
            return Drop("not_snoozed")
        queue = queue_of(self.workspace, conversation)
        if queue is None:
            return Dead(f"the workspace has neither queue {conversation.queue!r} nor its inbox")
        writer, at = Writer(turn, conversation), conversation.no_earlier(fired.due_at)
        writer.change(reopen(conversation, queue=queue.id, pool=queue.pool, at=at))
        writer.tell(ConversationReopened, at, queue=queue.id, pool=queue.pool)
        writer.request_work(queue, at)
        return None

    def _answer(self, turn: Hand, event: Event[Any], act: Act) -> Outcome | None:
        if not belongs(event):
            return ELSEWHERE
        author = event.data.author
        conversation = turn.store.conversation(event.data.conversation_id)
        if conversation is None or conversation.contact_point_id != event.key:
            refusal: Refusal | None = Refusal(Code.NOT_FOUND, "there is no such conversation")
        else:
            refusal = refuse_author(author.kind, author.agent_id, conversation, self.workspace.agents)
            refusal = refusal or act(Writer(turn, conversation), event)
        if refusal is not None:
            refuse(turn, event.data, event.envelope.id, refusal, event.envelope.time)
        return None

    def _author(self, author: Author) -> Author:
        """With the agent's name as customers and colleagues know it."""
        agent = self.workspace.agents.get(author.agent_id or "")
        return author if agent is None or author.name else author.model_copy(update={"name": agent.name})

    def _reply(self, writer: Writer, event: Event[SendReply]) -> Refusal | None:
        c, command, at = writer.conversation, event.data, event.envelope.time
        content, store = _storable(command.content), writer.turn.store
        more = bool(content.media or content.location or content.details)
        refusal = refuse_reply(c, content.text, more or content.kind is not ContentKind.TEXT, at)
        if refusal is not None:
            return refusal
        quoted = store.message(command.reply_to) if command.reply_to else None
        if command.reply_to and (quoted is None or quoted.contact_point_id != c.contact_point_id):
            return Refusal(Code.UNKNOWN_MESSAGE, "the message that is answered is not known")
        point = store.contact_point(c.contact_point_id)
        assert point is not None, "a conversation has a contact point"
        # Named by the whole name of the command: two agents may use the same idempotency key.
        name = outgoing_message_id(c.contact_point_id, event.envelope.name)
        message = Message(name, c.contact_point_id, c.conversation_id, None, MessageStatus.QUEUED, at)
        store.messages.put(message)
        self.silence.heard(writer, at, customer=False)
        writer.tell(
            MessageQueued,
            at,
            message_id=name,
            author=self._author(command.author),
            content=content,
            reply_to=command.reply_to,
        )
        request = MessageRequested(
            message_id=name,
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            inbox_id=c.inbox_id,
            channel=c.channel,
            address=point.address,
            content=content,
            reply_to=quoted.provider_message_id if quoted else None,
            requested_at=at,
        )
        writer.turn.emit(request, key=c.contact_point_id, at=at, correlation=c.conversation_id)
        return None

    def _note(self, writer: Writer, event: Event[AddNote]) -> Refusal | None:
        """Also in a resolved conversation: what was learnt afterwards belongs there."""
        text = storable(event.data.text)
        if not text.strip():
            return Refusal(Code.EMPTY, "a note needs a text")
        if len(text) > LONGEST_TEXT:
            return Refusal(Code.TOO_LONG, f"a note has at most {LONGEST_TEXT} characters")
        writer.tell(NoteAdded, event.envelope.time, author=self._author(event.data.author), text=text)
        return None

    def _resolve(self, writer: Writer, event: Event[ResolveConversation]) -> Refusal | None:
        c = writer.conversation
        if c.state is ConversationState.RESOLVED:
            return RESOLVED
        at = c.no_earlier(event.envelope.time)
        writer.turn.cancel_timer(snooze_id(c.conversation_id))
        writer.withdraw_work("resolved", at, wrap_up=True)
        writer.change(resolve(writer.conversation, at))
        by = self._author(event.data.author)
        writer.tell(ConversationResolved, at, by=by, reason=named(event.data.reason))
        return None

    def _snooze(self, writer: Writer, event: Event[SnoozeConversation]) -> Refusal | None:
        c, until = writer.conversation, event.data.until
        at = c.no_earlier(event.envelope.time)
        refusal = refuse_snooze(c, until, at)
        if refusal is not None:
            return refusal
        writer.withdraw_work("snoozed", at)
        writer.change(snooze(writer.conversation, until=until, at=at))
        writer.tell(ConversationSnoozed, at, until=until, by=self._author(event.data.author))
        timer = SnoozeEnded(conversation_id=c.conversation_id)
        writer.turn.set_timer(timer, id=snooze_id(c.conversation_id), key=c.contact_point_id, due=until)
        return None

    def _transfer(self, writer: Writer, event: Event[TransferConversation]) -> Refusal | None:
        """Waits on with its age; a snoozed conversation is opened by it."""
        c, command = writer.conversation, event.data
        if c.state is ConversationState.RESOLVED:
            return RESOLVED
        wish = Wish(command.queue, command.agent_id, command.skill, command.level)
        to = destination(self.workspace, c, wish)
        if isinstance(to, Refusal):
            return to
        at, waiting_since, giver = c.no_earlier(event.envelope.time), c.work_requested_at, c.agent_id
        writer.withdraw_work("transferred", at)
        if c.state is ConversationState.SNOOZED:
            writer.turn.cancel_timer(snooze_id(c.conversation_id))
            writer.change(reopen(writer.conversation, queue=c.queue, pool=c.pool, at=at))
            writer.tell(ConversationReopened, at, queue=c.queue, pool=c.pool)
        writer.change(transfer(writer.conversation, queue=to.queue.id, pool=to.queue.pool))
        by = self._author(command.author)
        writer.tell(
            ConversationTransferred,
            at,
            by=by,
            queue=to.queue.id,
            agent_id=to.agent_id,
            skill=named(command.skill),
        )
        writer.request_work(
            to.queue,
            at,
            waiting_since=waiting_since,
            agent_id=to.agent_id,
            skills=to.skills,
            not_to=giver,
            reason="transferred",
        )
        return None

    def _tag(self, writer: Writer, event: Event[TagConversation]) -> Refusal | None:
        command, was_vip = event.data, writer.conversation.vip
        tags = change_tags(writer.conversation.tags, command.add, command.remove)
        if isinstance(tags, Refusal):
            return tags
        writer.change(replace(writer.conversation, tags=tags))
        writer.tell(ConversationTagged, event.envelope.time, by=self._author(command.author), tags=tags)
        if writer.conversation.vip is not was_vip:
            writer.tell_vip(event.envelope.time)
        return None

    def _prioritise(self, writer: Writer, event: Event[PrioritiseConversation]) -> Refusal | None:
        if writer.conversation.state is ConversationState.RESOLVED:
            return RESOLVED
        command = event.data
        writer.raise_priority(command.priority, event.envelope.time, by=self._author(command.author))
        return None


def _storable(content: Content) -> Content:
    text = storable(content.text)
    return content if text is content.text else content.model_copy(update={"text": text})
