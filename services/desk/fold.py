"""This file turns each event into a change of what the desk knows; the projection and the live view both use it, and nothing else.

Every fold takes what was known (None: nothing) and returns what is known now. Conversations change by events of `conversations`
alone, work by `assignments`, clocks by `sla`, agents by `agents`: so the order in which the topics are read makes no difference.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Author, Content
from libs.contracts.vocabulary import ConversationState, MessageStatus, WorkState
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock, ClockState
from services.desk.domain.conversation import Conversation, Done, Message, added, amended, remembered
from services.desk.domain.work import Work

TEXT_BYTES = 4096
"""Longer texts are cut in what is kept here; events carry them whole."""
CONTENT_BYTES = 8192
"""Content that is larger as JSON is kept without its details, media and location."""
COMMANDS_OF_THE_DESK = "/desk/"
"""How the source of every command begins that came in here."""

Latest = tuple[Message, ...]


def conversation_after(
    known: Conversation | None,
    latest: Latest,
    event: c.ConversationEvent,
    *,
    cause: str,
    pools: Mapping[str, str],
) -> tuple[Conversation, Latest]:
    """The conversation and its latest messages after an event of it. An event that it has behind it changes nothing.

    `cause` is the name (source#id) of what led to the event, `pools` maps each queue to its pool.
    """
    if known is not None and event.version <= known.version:
        return known, latest
    base = known or _unknown(event)
    now = replace(
        base, version=event.version, contact_id=event.contact_id, changed_at=event.occurred_at,
        commands=remembered(base.commands, Done(cause, event.type, event.version)) if _ours(cause) else base.commands,
    )  # fmt: skip
    match event:
        case c.ConversationOpened():
            now = replace(
                now, state=ConversationState.OPEN, channel=event.channel, queue=event.queue, pool=event.pool,
                priority=event.priority, customer_name=_plain(event.customer_name),
                previous_conversation_id=event.previous_conversation_id,
            )  # fmt: skip
        case c.ConversationReopened():
            now = replace(
                now, state=ConversationState.OPEN, queue=event.queue, pool=event.pool, snoozed_until=None
            )
        case c.ConversationResolved():
            now = replace(now, state=ConversationState.RESOLVED, snoozed_until=None)
        case c.ConversationSnoozed():
            now = replace(now, state=ConversationState.SNOOZED, snoozed_until=event.until)
        case c.ConversationTransferred():
            now = replace(now, queue=event.queue, pool=pools.get(event.queue, now.pool))
        case c.ConversationTagged():
            now = replace(now, tags=tuple(_plain(tag) or "" for tag in event.tags))
        case _:
            latest = _messages_after(latest, event)
    if now.state is ConversationState.UNKNOWN and isinstance(event, c.MessageReceived):
        now = replace(now, state=ConversationState.OPEN)  # only an open conversation receives
    return now, latest


def refusal_remembered(known: Conversation, event: c.CommandRefused, *, cause: str) -> Conversation:
    """The conversation, knowing that a command was refused. A refusal is no event of the conversation: no new version."""
    if not _ours(cause):
        return known
    return replace(
        known,
        commands=remembered(known.commands, Done(cause, event.type, known.version, event.code, event.text)),
    )


def _ours(cause: str) -> bool:
    return cause.startswith(COMMANDS_OF_THE_DESK)


def _unknown(event: c.ConversationEvent) -> Conversation:
    return Conversation(
        conversation_id=event.conversation_id,
        contact_point_id=event.contact_point_id,
        contact_id=event.contact_id,
        inbox_id=event.inbox_id,
        version=0,
        state=ConversationState.UNKNOWN,
        opened_at=event.occurred_at,
        changed_at=event.occurred_at,
        complete=event.version == 1,
    )


def _messages_after(latest: Latest, event: c.ConversationEvent) -> Latest:
    version = event.version
    match event:
        case c.MessageReceived():
            return added(
                latest, _message(event, event.message_id, event.author, event.content, event.reply_to)
            )
        case c.MessageQueued():
            message = _message(event, event.message_id, event.author, event.content, event.reply_to)
            return added(latest, replace(message, status=MessageStatus.QUEUED))
        case c.NoteAdded():
            text = compact({"kind": "text", "text": event.text})
            return added(latest, replace(_message(event, f"note:{version}", event.author, text), note=True))
        case c.MessageStatusChanged(status=status, error=error):
            return amended(
                latest, event.message_id,
                lambda m: replace(m, version=version, status=status, error=_plain(error.code) if error else None),
            )  # fmt: skip
        case c.MessageEdited(content=None):
            return amended(
                latest, event.message_id, lambda m: replace(m, version=version, content=EMPTY, withdrawn=True)
            )
        case c.MessageEdited(content=content) if content is not None:
            edited = compact_content(content)
            return amended(
                latest, event.message_id, lambda m: replace(m, version=version, content=edited, edited=True)
            )
        case c.MessageReacted(emoji=emoji):
            return amended(
                latest, event.message_id, lambda m: replace(m, version=version, reaction=_plain(emoji))
            )
    return latest


def _message(
    event: c.ConversationEvent,
    message_id: str,
    author: Author,
    content: Content | str,
    reply_to: str | None = None,
) -> Message:
    return Message(
        conversation_id=event.conversation_id,
        message_id=message_id,
        number=event.version,
        version=event.version,
        at=event.occurred_at,
        note=False,
        author_kind=author.kind,
        author_id=author.agent_id,
        author_name=_plain(author.name),
        content=content if isinstance(content, str) else compact_content(content),
        reply_to=_plain(reply_to),
    )


EMPTY = '{"kind":"text","text":""}'


def compact_content(content: Content) -> str:
    """Content as JSON text of bounded size."""
    return compact(content.model_dump(mode="json", exclude_defaults=True, exclude_none=True))


def compact(content: dict[str, Any]) -> str:
    """JSON text of content; `cut` is true in it where something was left out for its size."""
    text = str(content.get("text", ""))
    if len(text.encode("utf-8", "replace")) > TEXT_BYTES:
        kept = text.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore")
        content = {**content, "text": kept, "cut": True}
    whole = _json(content)
    if len(whole) <= CONTENT_BYTES:
        return whole
    return _json({"kind": content["kind"], "text": content.get("text", ""), "cut": True})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(text: str | None) -> str | None:
    """Text that people wrote, without NUL, which stands in no text of Postgres."""
    return text.replace("\0", "") if text else text


def work_after(known: Work | None, event: a.WorkEvent) -> Work | None:
    """The work item after an event of it; None where it has ended."""
    if known is not None and event.version <= known.version:
        return known
    now = Work(
        work_item_id=event.work_item_id,
        conversation_id=event.conversation_id,
        contact_point_id=event.contact_point_id,
        pool=event.pool,
        queue=event.queue,
        version=event.version,
        state=WorkState.QUEUED,
        changed_at=event.occurred_at,
        waiting_since=known.waiting_since if known else None,
    )
    match event:
        case a.WorkQueued():
            return replace(now, waiting_since=event.waiting_since)
        case a.ReservationOffered():
            return replace(
                now, state=WorkState.OFFERED, agent_id=event.agent_id, reservation_id=event.reservation_id,
                expires_at=event.expires_at, waiting_since=event.waiting_since,
            )  # fmt: skip
        case a.ReservationAccepted():
            return replace(
                now, state=WorkState.OFFERED, agent_id=event.agent_id, reservation_id=event.reservation_id,
                expires_at=known.expires_at if known else None,
            )  # fmt: skip
        case a.WorkAssigned():
            return replace(now, state=WorkState.ASSIGNED, agent_id=event.agent_id, forced_by=event.forced_by)
        case a.WorkWrapping():
            return replace(
                now, state=WorkState.WRAPPING, agent_id=event.agent_id, wrap_up_until=event.until,
                forced_by=known.forced_by if known else None,
            )  # fmt: skip
        case a.WorkCompleted() | a.WorkCancelled():
            return None
    return now  # declined, expired, rescinded: back in its place


def clock_after(known: Clock | None, event: s.ClockEvent) -> Clock | None:
    """The clock after an event of it; None where it is met or cancelled."""
    if known is not None and event.version <= known.version:
        return known
    now = Clock(
        clock_id=event.clock_id,
        conversation_id=event.conversation_id,
        metric=event.metric,
        policy=event.policy,
        queue=event.queue,
        version=event.version,
        state=ClockState.RUNNING,
        started_at=event.started_at,
        due_at=event.due_at,
        fraction=known.fraction if known else None,
    )
    match event:
        case s.ClockPaused():
            return replace(now, state=ClockState.PAUSED)
        case s.ClockResumed():
            return replace(now, state=ClockState.WARNED if now.fraction is not None else ClockState.RUNNING)
        case s.ClockWarned():
            return replace(now, state=ClockState.WARNED, fraction=event.fraction)
        case s.ClockBreached():
            return replace(now, state=ClockState.BREACHED)
        case s.ClockMet() | s.ClockCancelled():
            return None
    return now


def agent_after(known: Agent | None, event: a.AgentChanged, *, cause: str) -> Agent:
    """The agent as the event says. Versions are not compared: an agent who moved to another pool begins there from 1."""
    commands = known.commands if known else ()
    answer = event.answer
    if answer is not None and _ours(cause):
        refused = None if answer.code == "ok" else answer.code
        commands = remembered(commands, Done(cause, event.type, event.version, refused, answer.text))
    return Agent(
        agent_id=event.agent_id,
        pool=event.pool,
        presence=event.presence,
        reason=_plain(event.reason),
        load=event.load,
        capacity=event.capacity,
        work_item_ids=event.work_item_ids,
        version=event.version,
        changed_at=event.occurred_at,
        commands=commands,
    )
