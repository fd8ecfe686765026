"""This file says what an event of a conversation, or of its work, tells its clocks."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkAssigned
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.conversations import (
    ConversationOpened,
    ConversationPrioritised,
    ConversationReopened,
    ConversationResolved,
    ConversationSnoozed,
    ConversationTagged,
    ConversationTransferred,
    MessageQueued,
    MessageReceived,
)
from libs.contracts.vocabulary import AuthorKind
from services.sla.domain.facts import Fact, Kind
from services.sla.policies import KnownPolicies, Pin

SAID = {
    AuthorKind.CUSTOMER: Kind.ASKED,
    AuthorKind.AGENT: Kind.ANSWERED,
    AuthorKind.BOT: Kind.REPLIED,
    AuthorKind.SYSTEM: Kind.REPLIED,
}
"""By author. A message of ours may come from the provider's own app too."""


def fact_of(event: Event[Any], policies: KnownPolicies, pin: Pin) -> Fact | None:
    """None where it tells nothing."""
    match event.data:
        case ConversationOpened() as data:
            return _comes_to(event, Kind.OPENED, policies, pin, data.priority)
        case ConversationReopened() as data:
            return _comes_to(event, Kind.REOPENED, policies, pin, policies.priority(data.queue))
        case ConversationTransferred() as data:
            return _comes_to(event, Kind.TRANSFERRED, policies, pin, policies.priority(data.queue))
        case ConversationResolved(reason="merged"):
            return _fact(event, Kind.MERGED)
        case ConversationResolved():
            return _fact(event, Kind.RESOLVED)
        case ConversationSnoozed():
            return _fact(event, Kind.SNOOZED)
        case ConversationTagged() as data:
            return replace(_fact(event, Kind.TAGGED), tags=data.tags)
        case ConversationPrioritised() as data:
            return replace(_fact(event, Kind.PRIORITISED), priority=data.priority)
        case MessageReceived(author=author) | MessageQueued(author=author):
            return _said(event, author)
        case WorkAssigned():
            fact = _fact(event, Kind.ASSIGNED)
            return replace(fact, version=number_elsewhere(fact.at))
        case _:
            return None


def number_elsewhere(at: datetime) -> int:
    """Of a fact that is no event of the conversation: far above all of its versions, and ascending with time."""
    return round(at.timestamp() * 1_000_000)


def _comes_to(event: Event[Any], kind: Kind, policies: KnownPolicies, pin: Pin, priority: int) -> Fact:
    """To a queue, and so under the policies that the workspace has for it now."""
    queue = event.data.queue
    may_hold = policies.may_hold(event.data.inbox_id, queue, pin)
    return replace(_fact(event, kind), queue=queue, policies=may_hold, priority=priority)


def _said(event: Event[Any], author: Author) -> Fact | None:
    kind = SAID.get(author.kind)
    return None if kind is None else _fact(event, kind)


def _fact(event: Event[Any], kind: Kind) -> Fact:
    """Stamped with event time, but never later than it was recorded: a provider's clock that is fast must not age ours."""
    data, recorded = event.data, event.envelope.recorded_at
    at = data.occurred_at if recorded is None else min(data.occurred_at, recorded)
    return Fact(kind, at, data.version)
