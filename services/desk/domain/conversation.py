"""This file is a conversation as agents see it, and its latest messages: what each event may change in them.

unknown ─┬─ opened ──▶ open ─┬─ snoozed ──▶ snoozed ─┐
         │              ▲    └─ resolved ─▶ resolved ┤
         │              └────────── reopened ────────┘
         └─ any other event: the base is missing, `complete` is False
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import AuthorKind, Channel, ConversationState, MessageStatus

LATEST = 20
"""Messages and notes kept per conversation; the timeline has all of them."""
REMEMBERED = 8
"""Commands remembered per conversation and per agent, so that a repeat is answered after a restart, too."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command led to. `name` is the command's source#id; `refused` is the stable code of a refusal."""

    name: str
    type: str
    version: int
    refused: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of conversation_view. `version` is that of the last event applied."""

    conversation_id: str
    contact_point_id: str
    contact_id: str
    inbox_id: str
    version: int
    state: ConversationState
    opened_at: datetime
    changed_at: datetime
    complete: bool = True
    """False where earlier events were not seen: channel, name and tags may be missing."""
    channel: Channel | None = None
    queue: str | None = None
    pool: str | None = None
    priority: int = 0
    customer_name: str | None = None
    tags: tuple[str, ...] = ()
    snoozed_until: datetime | None = None
    previous_conversation_id: str | None = None
    commands: tuple[Done, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One row of message_view: a message, or an agent's note. Ordered by `number`.

    `number` is the conversation's version when it came, `version` that of its last change. `content` is JSON text as
    it goes out on the feed, cut to a bounded size.
    """

    conversation_id: str
    message_id: str
    number: int
    version: int
    at: datetime
    note: bool
    author_kind: AuthorKind
    author_id: str | None
    author_name: str | None
    content: str
    reply_to: str | None = None
    status: MessageStatus | None = None
    error: str | None = None
    """The provider's code of a failure."""
    reaction: str | None = None
    edited: bool = False
    withdrawn: bool = False


def is_open(conversation: Conversation) -> bool:
    """Whether it may still need an agent: open, or snoozed until it does."""
    return conversation.state in (ConversationState.OPEN, ConversationState.SNOOZED)


def remembered(known: tuple[Done, ...], done: Done) -> tuple[Done, ...]:
    """The latest commands and what they led to, the new one last; a command's first result stays."""
    if any(d.name == done.name for d in known):
        return known
    return (*known, done)[-REMEMBERED:]


def outcome_of(known: tuple[Done, ...], name: str) -> Done | None:
    """What a command led to, where it is still remembered."""
    return next((d for d in known if d.name == name), None)


def added(known: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    """The latest messages with one more, in their order; one that is there already stays as it is."""
    for m in known:
        if m.message_id == message.message_id:
            return known
    return (*known[-(LATEST - 1) :], message)


def amended(
    known: tuple[Message, ...], message_id: str, change: Callable[[Message], Message]
) -> tuple[Message, ...]:
    """The messages with one of them changed; all as they were where it is not among the latest."""
    return tuple(change(m) if m.message_id == message_id else m for m in known)


def differing(
    before: Iterable[Message], after: Iterable[Message]
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """(put, gone): the messages that are new or changed, and those that are there no more."""
    old = {m.message_id: m for m in before}
    new = {m.message_id: m for m in after}
    put = tuple(m for name, m in new.items() if old.get(name) is not m)
    return put, tuple(m for name, m in old.items() if name not in new)
