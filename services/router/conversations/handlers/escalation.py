"""This file does what an SLA policy orders when a clock warns, is breached, or has been for long; it can be done once only."""

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import WorkEscalated
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.conversations import ConversationTransferred
from libs.contracts.payloads.sla import ClockEscalated
from libs.contracts.vocabulary import AuthorKind, ConversationState
from libs.flow.flow import Drop, Outcome
from libs.workspace import Queue, Workspace
from services.router.conversations.domain.conversation import transfer
from services.router.conversations.domain.queueing import Wish, destination, queue_of
from services.router.conversations.domain.refusal import Refusal
from services.router.conversations.handlers.writer import Hand, Writer


class EscalationHandlers:
    """Handlers of `clock.escalated`. People are notified by others, who read the same event."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def on_clock_escalated(self, turn: Hand, event: Event[ClockEscalated]) -> Outcome | None:
        """Moved first: what is raised and assigned is the work as it waits then.

        A conversation that is snoozed is left where it is, and one that is over is nobody's work.
        """
        step = event.data
        conversation = turn.store.conversation(step.conversation_id)
        if conversation is None or conversation.contact_point_id != event.key:
            return Drop("unknown_conversation")
        if conversation.state is not ConversationState.OPEN:
            return Drop("conversation_not_open")
        writer = Writer(turn, conversation)
        queue = self._workspace.queues.get(step.move_to_queue or "")
        if queue is not None:
            _move(writer, step, queue)
        if step.raise_priority is not None:
            writer.raise_priority(step.raise_priority, step.occurred_at, by=_author(step))
        if step.assign_supervisor is not None:
            self._assign(writer, step, step.assign_supervisor)
        return None

    def _assign(self, writer: Writer, step: ClockEscalated, agent_id: str) -> None:
        """In the supervisor's own pool; there alone matching can give it to them."""
        to = destination(self._workspace, writer.conversation, Wish(agent_id=agent_id))
        if isinstance(to, Refusal):
            return
        if to.queue.pool != writer.conversation.pool:
            _move(writer, step, to.queue)
        at = writer.conversation.no_earlier(step.occurred_at)
        queue = queue_of(self._workspace, writer.conversation)
        if writer.conversation.work_item_id is None and queue is not None:
            writer.request_work(queue, at)
        c = writer.conversation
        if c.work_item_id is None:
            return
        payload = WorkEscalated(
            work_item_id=c.work_item_id, pool=c.pool, agent_id=agent_id, policy=step.policy, occurred_at=at
        )
        writer.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)


def _move(writer: Writer, step: ClockEscalated, queue: Queue) -> None:
    """As a transfer: it waits on with its age."""
    c = writer.conversation
    if c.queue == queue.id:
        return
    at, waiting_since = c.no_earlier(step.occurred_at), c.work_requested_at
    writer.withdraw_work("escalated", at)
    writer.change(transfer(writer.conversation, queue=queue.id, pool=queue.pool))
    writer.tell(ConversationTransferred, at, by=_author(step), queue=queue.id)
    writer.request_work(queue, at, waiting_since=waiting_since)


def _author(step: ClockEscalated) -> Author:
    return Author(kind=AuthorKind.SYSTEM, name=f"SLA {step.policy}")
