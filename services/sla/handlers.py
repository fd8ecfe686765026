"""This file hears what happened to a conversation and adds it to what its clocks are computed from."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkAssigned, WorkEvent
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.commands import MigrateClocks
from libs.contracts.payloads.conversations import (
    ConversationEvent,
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
from libs.contracts.vocabulary import AuthorKind, Metric
from libs.flow.flow import Drop, Fired, Outcome, Turn
from libs.workspace import Workspace
from services.sla import metrics
from services.sla.announcing import fold_and_announce
from services.sla.domain.clock import WHOLE
from services.sla.domain.conversation import Conversation, Phase
from services.sla.domain.facts import Fact, Kind
from services.sla.policies import KnownPolicies
from services.sla.store import ConversationRow, HolderRow, SlaStore


class Handlers:
    def __init__(self, workspace: Workspace) -> None:
        self._known = KnownPolicies(workspace)

    def on_conversation_opened(self, turn: Turn[SlaStore], event: Event[ConversationOpened]) -> None:
        self._comes_to(turn, event, Kind.OPENED, event.data.priority)

    def on_conversation_reopened(self, turn: Turn[SlaStore], event: Event[ConversationReopened]) -> None:
        self._comes_to(turn, event, Kind.REOPENED, self._known.priority(event.data.queue))

    def on_conversation_transferred(
        self, turn: Turn[SlaStore], event: Event[ConversationTransferred]
    ) -> None:
        self._comes_to(turn, event, Kind.TRANSFERRED, self._known.priority(event.data.queue))

    def on_conversation_tagged(self, turn: Turn[SlaStore], event: Event[ConversationTagged]) -> None:
        _happened(turn, event, replace(_fact(event, Kind.TAGGED), tags=event.data.tags))

    def on_conversation_prioritised(
        self, turn: Turn[SlaStore], event: Event[ConversationPrioritised]
    ) -> None:
        _happened(turn, event, replace(_fact(event, Kind.PRIORITISED), priority=event.data.priority))

    def on_conversation_resolved(self, turn: Turn[SlaStore], event: Event[ConversationResolved]) -> None:
        merged = event.data.reason == "merged"
        _happened(turn, event, _fact(event, Kind.MERGED if merged else Kind.RESOLVED))

    def on_conversation_snoozed(self, turn: Turn[SlaStore], event: Event[ConversationSnoozed]) -> None:
        _happened(turn, event, _fact(event, Kind.SNOOZED))

    def on_message_received(self, turn: Turn[SlaStore], event: Event[MessageReceived]) -> Outcome | None:
        """By the customer, or typed in the provider's own app."""
        return _said(turn, event, event.data.author)

    def on_message_queued(self, turn: Turn[SlaStore], event: Event[MessageQueued]) -> Outcome | None:
        return _said(turn, event, event.data.author)

    def on_work_assigned(self, turn: Turn[SlaStore], event: Event[WorkAssigned]) -> None:
        work = event.data
        turn.store.holders.put(HolderRow(work.conversation_id, work.work_item_id, work.agent_id))
        row = turn.store.conversations.get(work.conversation_id, work.conversation_id)
        if row is None or _may_wait_for_assignment(row):
            fact = _fact(event, Kind.ASSIGNED)
            _happened(turn, event, replace(fact, version=_number(fact.at)))

    def on_migrate_clocks(self, turn: Turn[SlaStore], event: Event[MigrateClocks]) -> Outcome | None:
        row = turn.store.conversations.get(event.data.conversation_id, event.data.conversation_id)
        if row is None or row.contact_point_id != event.key:
            return Drop("unknown_conversation")
        conversation = turn.store.fold(row).conversation
        pin = turn.store.pin_calendar
        if event.data.policies:
            policies = self._known.may_hold(row.inbox_id, conversation.queue, pin)
        else:
            policies = self._known.on_newest_calendars(conversation.may_hold, pin)
        at = event.envelope.time
        _add(turn, row, Fact(Kind.MIGRATED, at, _number(at), policies=policies))
        return None

    def on_work_given_up(self, turn: Turn[SlaStore], event: Event[WorkEvent]) -> None:
        """Queued again, wrapping, completed or cancelled: nobody answers under this work item now."""
        work = event.data
        holder = turn.store.holders.get(work.conversation_id, work.conversation_id)
        if holder is not None and holder.work_item_id == work.work_item_id:
            turn.store.holders.delete(holder)

    def on_clock_due(self, turn: Turn[SlaStore], fired: Fired[Any]) -> Outcome | None:
        conversation = fired.timer.conversation_id
        row = turn.store.conversations.get(conversation, conversation)
        if row is None:
            return Drop("unknown_conversation")
        late = max(0.0, (turn.now - fired.due_at).total_seconds())
        share, metric, policy = fired.timer.share, fired.timer.metric, fired.timer.policy
        what = "deadline" if share == WHOLE else "warning" if share < WHOLE else "escalation"
        turn.store.count(partial(metrics.FIRED_LATE.labels(what, metric, policy).observe, late))
        if fired.due_at > row.reached:
            fold_and_announce(turn, replace(row, reached=fired.due_at))
        return None

    def _comes_to(self, turn: Turn[SlaStore], event: Event[Any], kind: Kind, priority: int) -> None:
        """To a queue, and so under the policies that the workspace has for it now."""
        queue, inbox = event.data.queue, event.data.inbox_id
        policies = self._known.may_hold(inbox, queue, turn.store.pin_calendar)
        fact = _fact(event, kind)
        _happened(turn, event, replace(fact, queue=queue, policies=policies, priority=priority))


def _said(turn: Turn[SlaStore], event: Event[Any], author: Author) -> Outcome | None:
    match author.kind:
        case AuthorKind.CUSTOMER:
            _happened(turn, event, _fact(event, Kind.ASKED))
        case AuthorKind.AGENT:
            _happened(turn, event, _fact(event, Kind.ANSWERED))
        case AuthorKind.BOT | AuthorKind.SYSTEM:
            _happened(turn, event, _fact(event, Kind.REPLIED))
        case _:
            return Drop("unknown_author")
    return None


def _happened(turn: Turn[SlaStore], event: Event[Any], fact: Fact) -> None:
    data: ConversationEvent | WorkEvent = event.data
    row = turn.store.conversations.get(data.conversation_id, data.conversation_id)
    if row is None:
        row = ConversationRow(data.conversation_id, data.contact_point_id, fact.at, Conversation(), ())
    if isinstance(data, ConversationEvent) and not row.inbox_id:
        row = replace(row, inbox_id=data.inbox_id)
    _add(turn, row, fact)


def _add(turn: Turn[SlaStore], row: ConversationRow, fact: Fact) -> None:
    fold_and_announce(turn, replace(row, reached=max(row.reached, fact.at), facts=(*row.facts, fact)))


def _may_wait_for_assignment(row: ConversationRow) -> bool:
    """Whether any policy that was pinned for it promises one, or its opening is not known; else assignments need not be kept."""
    if row.base.phase is Phase.UNSEEN and not any(fact.may_hold is not None for fact in row.facts):
        return True
    pinned = [*row.base.may_hold, *(policy for fact in row.facts for policy in fact.may_hold or ())]
    return any(policy.promises(Metric.TIME_TO_ASSIGNMENT) for policy in pinned)


def _number(at: datetime) -> int:
    """Of a fact that is no event of the conversation: far above all of its versions, and ascending with time."""
    return round(at.timestamp() * 1_000_000)


def _fact(event: Event[Any], kind: Kind) -> Fact:
    """Stamped with event time, but never later than it was recorded: a provider's clock that is fast must not age ours."""
    data, recorded = event.data, event.envelope.recorded_at
    at = data.occurred_at if recorded is None else min(data.occurred_at, recorded)
    return Fact(kind, at, data.version)
