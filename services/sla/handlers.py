"""This file hears what happened to a conversation and adds it to what its clocks are computed from."""

from dataclasses import replace
from functools import partial
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkAssigned, WorkEvent
from libs.contracts.payloads.conversations import (
    ConversationEvent,
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    ConversationSnoozed,
    ConversationTransferred,
    MessageQueued,
    MessageReceived,
)
from libs.contracts.vocabulary import AuthorKind
from libs.flow.flow import Drop, Fired, Outcome, Turn
from libs.workspace import Workspace
from services.sla import metrics
from services.sla.announcing import fold_and_announce
from services.sla.domain.clock import WHOLE
from services.sla.domain.conversation import Conversation
from services.sla.domain.facts import Fact, Kind
from services.sla.domain.policy import Policy
from services.sla.store import ConversationRow, HolderRow, SlaStore


class Handlers:
    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def on_conversation_opened(self, turn: Turn[SlaStore], event: Event[ConversationOpened]) -> None:
        queue = event.data.queue
        self._happened(turn, event, _fact(event, Kind.OPENED, queue, self._policy(turn, queue)))

    def on_conversation_reopened(self, turn: Turn[SlaStore], event: Event[ConversationReopened]) -> None:
        queue = event.data.queue
        self._happened(turn, event, _fact(event, Kind.REOPENED, queue, self._policy(turn, queue)))

    def on_conversation_resolved(self, turn: Turn[SlaStore], event: Event[ConversationResolved]) -> None:
        self._happened(turn, event, _fact(event, Kind.RESOLVED))

    def on_conversation_snoozed(self, turn: Turn[SlaStore], event: Event[ConversationSnoozed]) -> None:
        self._happened(turn, event, _fact(event, Kind.SNOOZED))

    def on_conversation_transferred(
        self, turn: Turn[SlaStore], event: Event[ConversationTransferred]
    ) -> None:
        self._happened(turn, event, _fact(event, Kind.TRANSFERRED, event.data.queue))

    def on_message_received(self, turn: Turn[SlaStore], event: Event[MessageReceived]) -> Outcome | None:
        match event.data.author.kind:
            case AuthorKind.CUSTOMER:
                self._happened(turn, event, _fact(event, Kind.ASKED))
            case AuthorKind.AGENT:  # typed in the provider's own app
                self._happened(turn, event, _fact(event, Kind.ANSWERED))
            case _:
                return Drop("no_person")
        return None

    def on_message_queued(self, turn: Turn[SlaStore], event: Event[MessageQueued]) -> Outcome | None:
        if event.data.author.kind is not AuthorKind.AGENT:
            return Drop("no_person")
        self._happened(turn, event, _fact(event, Kind.ANSWERED))
        return None

    def on_work_assigned(self, turn: Turn[SlaStore], event: Event[WorkAssigned]) -> None:
        work = event.data
        turn.store.holders.put(HolderRow(work.conversation_id, work.work_item_id, work.agent_id))

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
        what = "deadline" if fired.timer.share == WHOLE else "warning"
        turn.store.count(partial(metrics.FIRED_LATE.labels(what).observe, late))
        if fired.due_at > row.reached:
            fold_and_announce(turn, replace(row, reached=fired.due_at))
        return None

    def _happened(self, turn: Turn[SlaStore], event: Event[Any], fact: Fact) -> None:
        data: ConversationEvent = event.data
        row = turn.store.conversations.get(data.conversation_id, data.conversation_id)
        if row is None:
            row = ConversationRow(data.conversation_id, data.contact_point_id, fact.at, Conversation(), ())
        fold_and_announce(turn, replace(row, reached=max(row.reached, fact.at), facts=(*row.facts, fact)))

    def _policy(self, turn: Turn[SlaStore], queue: str) -> Policy | None:
        """The policy of a queue as the workspace has it now; None where the queue has none, or is gone."""
        known = self._workspace.queues.get(queue)
        policy = self._workspace.sla_policies.get(known.sla or "") if known else None
        if policy is None:
            return None
        return Policy(
            policy.id,
            self._workspace.version,
            policy.first_response,
            policy.next_response,
            policy.resolution,
            policy.warn_at,
            turn.store.pin_calendar(policy.calendar),
        )


def _fact(event: Event[Any], kind: Kind, queue: str | None = None, policy: Policy | None = None) -> Fact:
    """Stamped with event time, but never later than it was recorded: a provider's clock that is fast must not age ours."""
    data, recorded = event.data, event.envelope.recorded_at
    at = data.occurred_at if recorded is None else min(data.occurred_at, recorded)
    return Fact(kind, at, data.version, queue, policy)
