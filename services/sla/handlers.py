"""This file hears what happened to a conversation and adds it to what its clocks are computed from."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkAssigned, WorkEvent
from libs.contracts.payloads.commands import MigrateClocks
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.vocabulary import Metric
from libs.flow.flow import Drop, Fired, Outcome, Turn
from libs.flow.metrics import of
from libs.workspace import Workspace
from services.sla import metrics
from services.sla.announcing import announce_share, fold_and_announce
from services.sla.domain.clock import WHOLE
from services.sla.domain.conversation import Conversation, Phase
from services.sla.domain.facts import Fact, Kind
from services.sla.hearing import fact_of, number_elsewhere
from services.sla.policies import KnownPolicies
from services.sla.store import ConversationRow, HolderRow, SlaStore


class Handlers:
    def __init__(self, workspace: Workspace) -> None:
        self._known = KnownPolicies(workspace)

    def on_conversation_event(self, turn: Turn[SlaStore], event: Event[ConversationEvent]) -> Outcome | None:
        fact = fact_of(event, self._known, turn.store.pin_calendar)
        if fact is None:
            return Drop("unknown_author")
        data = event.data
        row = turn.store.conversations.get(data.conversation_id, data.conversation_id)
        if row is None:
            row = ConversationRow(data.conversation_id, data.contact_point_id, fact.at, Conversation(), ())
        _add(turn, row if row.inbox_id else replace(row, inbox_id=data.inbox_id), fact)
        return None

    def on_work_assigned(self, turn: Turn[SlaStore], event: Event[WorkAssigned]) -> None:
        work = event.data
        turn.store.holders.put(HolderRow(work.conversation_id, work.work_item_id, work.agent_id))
        row = turn.store.conversations.get(work.conversation_id, work.conversation_id)
        fact = fact_of(event, self._known, turn.store.pin_calendar)
        if fact is None or (row is not None and not _may_wait_for_assignment(row)):
            return
        row = row or ConversationRow(work.conversation_id, work.contact_point_id, fact.at, Conversation(), ())
        _add(turn, row, fact)

    def on_work_given_up(self, turn: Turn[SlaStore], event: Event[WorkEvent]) -> None:
        """Queued again, wrapping, completed or cancelled: nobody answers under this work item now."""
        work = event.data
        holder = turn.store.holders.get(work.conversation_id, work.conversation_id)
        if holder is not None and holder.work_item_id == work.work_item_id:
            turn.store.holders.delete(holder)

    def on_migrate_clocks(self, turn: Turn[SlaStore], event: Event[MigrateClocks]) -> Outcome | None:
        row = turn.store.conversations.get(event.data.conversation_id, event.data.conversation_id)
        if row is None or row.contact_point_id != event.key:
            return Drop("unknown_conversation")
        conversation, pin = turn.store.fold(row).conversation, turn.store.pin_calendar
        if event.data.policies:
            policies = self._known.may_hold(row.inbox_id, conversation.queue, pin)
        else:
            policies = self._known.on_newest_calendars(conversation.may_hold, pin)
        at = event.envelope.time
        _add(turn, row, Fact(Kind.MIGRATED, at, number_elsewhere(at), policies=policies))
        return None

    def on_clock_due(self, turn: Turn[SlaStore], fired: Fired[Any]) -> Outcome | None:
        """Where nothing but time came, the clock's own row says all; a step of escalation stands in the conversation's terms."""
        timer = fired.timer
        late = max(0.0, (turn.now - fired.due_at).total_seconds())
        what = "deadline" if timer.share == WHOLE else "warning" if timer.share < WHOLE else "escalation"
        turn.store.count(partial(of(metrics.FIRED_LATE, what, timer.metric, timer.policy).observe, late))
        if not timer.escalates:
            clock = turn.store.clocks.get(timer.conversation_id, timer.clock_id)
            if clock is None:
                return Drop("unknown_clock")
            announce_share(turn, clock, timer.share, fired.due_at)
            return None
        row = turn.store.conversations.get(timer.conversation_id, timer.conversation_id)
        if row is None:
            return Drop("unknown_conversation")
        if fired.due_at > row.reached:
            fold_and_announce(turn, _at(turn, row, fired.due_at))
        return None


def _add(turn: Turn[SlaStore], row: ConversationRow, fact: Fact) -> None:
    fold_and_announce(turn, replace(_at(turn, row, fact.at), facts=(*row.facts, fact)))


def _at(turn: Turn[SlaStore], row: ConversationRow, moment: datetime) -> ConversationRow:
    """The row when time has come to a moment; to a later one where that was told of some share that was used up."""
    told = (mark.at for clock in turn.store.clocks.of(row.conversation_id) for mark in clock.marks)
    return replace(row, reached=max(row.reached, moment, *told))


def _may_wait_for_assignment(row: ConversationRow) -> bool:
    """Whether any policy that was pinned for it promises one, or its opening is not known; else assignments need not be kept."""
    if row.base.phase is Phase.UNSEEN and not any(fact.may_hold is not None for fact in row.facts):
        return True
    pinned = [*row.base.may_hold, *(policy for fact in row.facts for policy in fact.may_hold or ())]
    return any(policy.promises(Metric.TIME_TO_ASSIGNMENT) for policy in pinned)
