"""This file follows matching and the SLA clocks: who holds a conversation, and by when it must be answered."""

from datetime import datetime

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkEvent,
    WorkIdled,
    WorkQueued,
)
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEvent,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockRetargeted,
    ClockStarted,
    ClockWarned,
)
from libs.contracts.vocabulary import ConversationState
from libs.flow.flow import Drop, Outcome
from services.router.conversations.domain.conversation import held_by, unclaim, watch
from services.router.conversations.handlers.silence import Silence
from services.router.conversations.handlers.writer import Hand, Writer

OVER = Drop("work_item_over")
"""The work item was withdrawn meanwhile; what matching still says of it concerns nobody."""


class WorkHandlers:
    """Handlers of the topics `assignments` and `sla`."""

    def __init__(self, silence: Silence) -> None:
        self.silence = silence

    def on_work_queued(self, turn: Hand, event: Event[WorkQueued]) -> Outcome | None:
        """At first, and again when it was taken from an agent who is gone: then its deadline may be old."""
        writer = _of_work(turn, event)
        if writer is None:
            return OVER
        if writer.conversation.agent_id is not None:
            writer.change(held_by(writer.conversation, None))
        writer.tell_deadline(event.data.occurred_at)
        return None

    def on_work_assigned(self, turn: Hand, event: Event[WorkAssigned]) -> Outcome | None:
        writer = _of_work(turn, event)
        if writer is None:
            return OVER
        writer.change(held_by(writer.conversation, event.data.agent_id))
        self.silence.watch(writer, event.data.occurred_at)
        return None

    def on_work_idled(self, turn: Hand, event: Event[WorkIdled]) -> Outcome | None:
        writer = _of_work(turn, event)
        if writer is None:
            return OVER
        self.silence.told_idle(writer, event.data.since)
        return None

    def on_work_ended(self, turn: Hand, event: Event[WorkCompleted | WorkCancelled]) -> Outcome | None:
        """Ended by matching, with the conversation still open: the customer's next message claims attention anew."""
        writer = _of_work(turn, event)
        if writer is None:
            return OVER
        writer.change(unclaim(writer.conversation))
        return None

    def on_clock_running(self, turn: Hand, event: Event[ClockStarted | ClockResumed]) -> Outcome | None:
        return _watch(turn, event, event.data.due_at)

    def on_clock_retargeted(self, turn: Hand, event: Event[ClockRetargeted]) -> Outcome | None:
        """One that does not run has no deadline, and is told again when it goes on."""
        conversation = turn.store.conversation(event.data.conversation_id)
        if conversation is None or event.data.clock_id not in conversation.clocks:
            return Drop("clock_not_running")
        return _watch(turn, event, event.data.due_at)

    def on_clock_pressing(self, turn: Hand, event: Event[ClockWarned | ClockBreached]) -> Outcome | None:
        """A warning or a breach wakes matching, whether or not the deadline is news."""
        return _watch(turn, event, event.data.due_at, wake=True)

    def on_clock_ended(
        self, turn: Hand, event: Event[ClockMet | ClockPaused | ClockCancelled]
    ) -> Outcome | None:
        return _watch(turn, event, None)


def _of_work(turn: Hand, event: Event[WorkEvent]) -> Writer | None:
    """The conversation, where this is the work item that it has now."""
    data = event.data
    conversation = turn.store.conversation(data.conversation_id)
    if conversation is None or conversation.contact_point_id != event.key:
        return None
    return Writer(turn, conversation) if conversation.work_item_id == data.work_item_id else None


def _watch(
    turn: Hand, event: Event[ClockEvent], due_at: datetime | None, *, wake: bool = False
) -> Outcome | None:
    data = event.data
    conversation = turn.store.conversation(data.conversation_id)
    if conversation is None or conversation.contact_point_id != event.key:
        return Drop("unknown_conversation")
    if conversation.state is ConversationState.RESOLVED:
        return Drop("conversation_over")
    writer, after = Writer(turn, conversation), watch(conversation, data.clock_id, due_at)
    if after is not conversation:
        writer.change(after)
    writer.tell_deadline(data.occurred_at, wake=wake)
    return None
