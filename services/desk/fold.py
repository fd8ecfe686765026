"""This file turns each event into a change of what the desk knows; the projection and the live view both use it, and nothing else.

Every fold takes what was known (None: nothing) and returns what is known now. Conversations change by events of `conversations`
alone, work by `assignments`, clocks by `sla`, agents by `agents`: so the order in which the topics are read makes no difference.
Tables say which fields an event sets; they are looked up by exact type, since asking a pydantic model for its class is slow.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Author
from libs.contracts.vocabulary import ConversationState, MessageStatus, WorkState
from services.desk.content import EMPTY, compact_content, compact_text
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock, ClockState
from services.desk.domain.conversation import Conversation, Done, Message, added, amended, remembered
from services.desk.domain.work import Offer, Work

COMMANDS_OF_THE_DESK = "/desk/"
"""How the source of every command begins that came in here."""

Latest = tuple[Message, ...]
Pools = Mapping[str, str]
"""Queue -> pool."""
Fields = dict[str, Any]

CONVERSATION: Mapping[type[c.ConversationEvent], Callable[[Any, Pools], Fields]] = {
    c.ConversationOpened: lambda e, _: {
        "state": ConversationState.OPEN,
        "channel": e.channel,
        "queue": e.queue,
        "pool": e.pool,
        "priority": e.priority,
        "customer_name": _plain(e.customer_name),
        "previous_conversation_id": e.previous_conversation_id,
    },
    c.ConversationReopened: lambda e, _: {
        "state": ConversationState.OPEN,
        "queue": e.queue,
        "pool": e.pool,
        "snoozed_until": None,
    },
    c.ConversationResolved: lambda _e, _: {"state": ConversationState.RESOLVED, "snoozed_until": None},
    c.ConversationSnoozed: lambda e, _: {"state": ConversationState.SNOOZED, "snoozed_until": e.until},
    c.ConversationTransferred: lambda e, pools: (
        {"queue": e.queue} | ({"pool": pools[e.queue]} if e.queue in pools else {})
    ),
    c.ConversationTagged: lambda e, _: {"tags": tuple(_plain(tag) or "" for tag in e.tags)},
}
"""Which fields of the conversation an event sets, besides its version."""

MESSAGES: Mapping[type[c.ConversationEvent], Callable[[Latest, Any], Latest]] = {
    c.MessageReceived: lambda known, e: added(known, _said(e)),
    c.MessageQueued: lambda known, e: added(known, replace(_said(e), status=MessageStatus.QUEUED)),
    c.NoteAdded: lambda known, e: added(known, _note(e)),
    c.MessageStatusChanged: lambda known, e: _amended(
        known, e, status=e.status, error=_plain(e.error.code) if e.error else None
    ),
    c.MessageEdited: lambda known, e: (
        _amended(known, e, content=EMPTY, withdrawn=True)
        if e.content is None
        else _amended(known, e, content=compact_content(e.content), edited=True)
    ),
    c.MessageReacted: lambda known, e: _amended(known, e, reaction=_plain(e.emoji)),
}
"""What an event does to the latest messages."""

WORK: Mapping[type[a.WorkEvent], Callable[[Any, Work | None], Fields | None]] = {
    a.WorkQueued: lambda e, _: {"waiting_since": e.waiting_since},
    a.ReservationOffered: lambda e, known: (
        _standing(e, known, (*_others(e, known), Offer(e.reservation_id, e.agent_id, e.expires_at)))
        | {"waiting_since": e.waiting_since}
    ),
    a.ReservationAccepted: lambda e, known: _standing(e, known, _accepted(e, known)),
    a.ReservationDeclined: lambda e, known: _standing(e, known, _others(e, known)),
    a.ReservationExpired: lambda e, known: _standing(e, known, _others(e, known)),
    a.ReservationRescinded: lambda e, known: _standing(e, known, _others(e, known)),
    a.WorkAssigned: lambda e, _: {
        "state": WorkState.ASSIGNED,
        "agent_id": e.agent_id,
        "forced_by": e.forced_by,
    },
    a.WorkIdled: lambda e, known: _held(e.agent_id, known, idle=True),
    a.WorkWoken: lambda e, known: _held(e.agent_id, known, idle=False),
    a.WorkWrapping: lambda e, known: {
        "state": WorkState.WRAPPING,
        "agent_id": e.agent_id,
        "wrap_up_until": e.until,
        "forced_by": known.forced_by if known else None,
    },
    a.WorkCompleted: lambda _e, _: None,
    a.WorkCancelled: lambda _e, _: None,
}
"""What an event makes of a work item that is otherwise back in its queue; None ends it."""

CLOCK: Mapping[type[s.ClockEvent], Callable[[Any, Clock | None], Fields | None]] = {
    s.ClockPaused: lambda _e, _: {"state": ClockState.PAUSED},
    s.ClockResumed: lambda _e, known: {
        "state": ClockState.WARNED if known and known.fraction is not None else ClockState.RUNNING
    },
    s.ClockWarned: lambda e, _: {"state": ClockState.WARNED, "fraction": e.fraction},
    s.ClockBreached: lambda _e, _: {"state": ClockState.BREACHED},
    s.ClockRetargeted: lambda _e, known: {
        "state": ClockState.PAUSED if known and known.state is ClockState.PAUSED else ClockState.RUNNING,
        "fraction": None,
    },
    s.ClockEscalated: lambda _e, known: {"state": known.state} if known else {},
    s.ClockMet: lambda _e, _: None,
    s.ClockCancelled: lambda _e, _: None,
}
"""What an event makes of a clock that otherwise runs; None ends it."""


def conversation_after(
    known: Conversation | None, latest: Latest, event: c.ConversationEvent, *, cause: str, pools: Pools
) -> tuple[Conversation, Latest]:
    """The conversation and its latest messages after an event of it. An event that it has behind it changes nothing.

    `cause` is the name (source#id) of what led to the event.
    """
    if known is not None and event.version <= known.version:
        return known, latest
    base, kind = known or _unknown(event), type(event)
    fields = CONVERSATION[kind](event, pools) if kind in CONVERSATION else {}
    if base.state is ConversationState.UNKNOWN and kind is c.MessageReceived:
        fields = {"state": ConversationState.OPEN}  # only an open conversation receives
    if isinstance(event, c.ConversationPrioritised):
        fields = {"priority": max(base.priority, event.priority)}
    if _ours(cause):
        fields["commands"] = remembered(base.commands, Done(cause, event.type, event.version))
    now = replace(
        base,
        version=event.version,
        contact_id=event.contact_id,
        changed_at=event.occurred_at,
        **fields,
    )
    return now, MESSAGES[kind](latest, event) if kind in MESSAGES else latest


def refusal_remembered(known: Conversation, event: c.CommandRefused, *, cause: str) -> Conversation:
    """The conversation, knowing that a command was refused. A refusal is no event of the conversation: no new version."""
    if not _ours(cause):
        return known
    done = Done(cause, event.type, known.version, event.code, event.text)
    return replace(known, commands=remembered(known.commands, done))


def work_after(known: Work | None, event: a.WorkEvent) -> Work | None:
    """The work item after an event of it; None where it has ended."""
    if known is not None and event.version <= known.version:
        return known
    fields = WORK[type(event)](event, known) if type(event) in WORK else {}
    if fields is None:
        return None
    common: Fields = {
        "work_item_id": event.work_item_id,
        "conversation_id": event.conversation_id,
        "contact_point_id": event.contact_point_id,
        "pool": event.pool,
        "queue": event.queue,
        "version": event.version,
        "state": WorkState.QUEUED,
        "changed_at": event.occurred_at,
        "waiting_since": known.waiting_since if known else None,
    }
    return Work(**(common | fields))


def clock_after(known: Clock | None, event: s.ClockEvent) -> Clock | None:
    """The clock after an event of it; None where it is met or cancelled."""
    if known is not None and event.version <= known.version:
        return known
    fields = CLOCK[type(event)](event, known) if type(event) in CLOCK else {}
    if fields is None:
        return None
    common: Fields = {
        "clock_id": event.clock_id,
        "conversation_id": event.conversation_id,
        "metric": event.metric,
        "policy": event.policy,
        "queue": event.queue,
        "version": event.version,
        "state": ClockState.RUNNING,
        "started_at": event.started_at,
        "due_at": event.due_at,
        "fraction": known.fraction if known else None,
    }
    return Clock(**(common | fields))


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


def _held(agent_id: str, known: Work | None, *, idle: bool | None = None) -> Fields:
    """The work with its holder, and all that is known of it."""
    base: Fields = {"state": WorkState.ASSIGNED, "agent_id": agent_id}
    if known is None:
        return base | {"idle": bool(idle)}
    return base | {
        "forced_by": known.forced_by,
        "offers": known.offers,
        "idle": known.idle if idle is None else idle,
    }


def _others(event: a.ReservationEvent, known: Work | None) -> tuple[Offer, ...]:
    """The offers that stand beside the event's own."""
    return tuple(o for o in (known.offers if known else ()) if o.reservation_id != event.reservation_id)


def _accepted(event: a.ReservationEvent, known: Work | None) -> tuple[Offer, ...]:
    """An accepted offer stands until the work is assigned, which follows."""
    offers = known.offers if known else ()
    if any(offer.reservation_id == event.reservation_id for offer in offers):
        return offers
    return (*offers, Offer(event.reservation_id, event.agent_id))


def _standing(event: a.ReservationEvent, known: Work | None, offers: tuple[Offer, ...]) -> Fields:
    """The work with these offers: its holder keeps it, else it is offered, else back in its queue."""
    if event.held_by is not None:
        return _held(event.held_by, known) | {"offers": offers}
    if not offers:
        return {}
    return {
        "state": WorkState.OFFERED,
        "agent_id": offers[0].agent_id,
        "reservation_id": offers[0].reservation_id,
        "expires_at": offers[0].expires_at,
        "offers": offers,
    }


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


def _said(event: c.MessageReceived | c.MessageQueued) -> Message:
    content = compact_content(event.content)
    return _message(event, event.message_id, event.author, content, reply_to=_plain(event.reply_to))


def _note(event: c.NoteAdded) -> Message:
    return _message(event, f"note:{event.version}", event.author, compact_text(event.text), note=True)


def _message(
    event: c.ConversationEvent,
    message_id: str,
    author: Author,
    content: str,
    *,
    reply_to: str | None = None,
    note: bool = False,
) -> Message:
    return Message(
        conversation_id=event.conversation_id,
        message_id=message_id,
        number=event.version,
        version=event.version,
        at=event.occurred_at,
        note=note,
        author_kind=author.kind,
        author_id=author.agent_id,
        author_name=_plain(author.name),
        content=content,
        reply_to=reply_to,
    )


def _amended(known: Latest, event: Any, **fields: Any) -> Latest:
    return amended(known, event.message_id, lambda m: replace(m, version=event.version, **fields))


def _plain(text: str | None) -> str | None:
    """Text that people wrote, without NUL, which stands in no text of Postgres."""
    return text.replace("\0", "") if text else text
