"""This file notices held conversations in which nobody writes, where their queue lets such work go, and that they go on.

Matching is told twice for each long silence, and of no other message. Silence counts from the last message, either way, or
from when the agent got the conversation, whichever is later.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.payloads.assignments import WorkFellSilent, WorkResumed
from libs.flow.flow import Drop, Fired, Outcome
from libs.workspace import Workspace
from services.router.conversations.domain.conversation import Conversation, spoke
from services.router.conversations.domain.queueing import queue_of
from services.router.conversations.handlers.writer import Hand, Writer
from services.router.conversations.timers import SilenceDue, silence_id


class Silence:
    """For conversations of queues with an `idle_release`; for all others it does nothing but note when somebody wrote."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def watch(self, writer: Writer, at: datetime) -> None:
        """An agent has it since `at`."""
        writer.change(spoke(replace(writer.conversation, silent=False), at))
        self._remind(writer)

    def heard(self, writer: Writer, at: datetime, *, customer: bool) -> None:
        """Somebody wrote at `at`. Only the customer ends a silence: an agent who reminds them still waits."""
        writer.change(spoke(writer.conversation, at))
        if customer and writer.conversation.silent:
            self._resume(writer, at)

    def told_idle(self, writer: Writer, since: datetime) -> None:
        """Matching says that the work takes no units. What was written meanwhile must not be lost on it."""
        c = writer.conversation
        if c.silent:
            return
        if c.customer_wrote_at is not None and c.customer_wrote_at > since:
            self._resume(writer, c.customer_wrote_at)
        else:
            writer.change(replace(c, silent=True))

    def on_silence_due(self, turn: Hand, fired: Fired[Any]) -> Outcome | None:
        """The reminder is set once for a silence that may come; what was written since then is read here."""
        c = turn.store.conversation(fired.timer.conversation_id)
        if c is None or c.agent_id is None or c.work_item_id is None or c.silent or c.spoke_at is None:
            return Drop("not_held")
        writer, ends_at = Writer(turn, c), self._ends_at(c)
        if ends_at is None:
            return Drop("no_idle_release")
        if ends_at > fired.due_at:
            self._remind(writer)
            return None
        writer.change(replace(c, silent=True))
        payload = WorkFellSilent(
            work_item_id=c.work_item_id,
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            pool=c.pool,
            agent_id=c.agent_id,
            since=c.spoke_at,
            occurred_at=fired.due_at,
        )
        turn.emit(payload, key=c.pool, at=fired.due_at, correlation=c.conversation_id)
        return None

    def _resume(self, writer: Writer, at: datetime) -> None:
        c = writer.conversation
        if c.work_item_id is None:
            return
        writer.change(replace(c, silent=False))
        payload = WorkResumed(
            work_item_id=c.work_item_id,
            conversation_id=c.conversation_id,
            contact_point_id=c.contact_point_id,
            pool=c.pool,
            occurred_at=at,
        )
        writer.turn.emit(payload, key=c.pool, at=at, correlation=c.conversation_id)
        self._remind(writer)

    def _remind(self, writer: Writer) -> None:
        c = writer.conversation
        due = self._ends_at(c)
        if due is not None:
            timer = SilenceDue(conversation_id=c.conversation_id)
            writer.turn.set_timer(timer, id=silence_id(c.conversation_id), key=c.contact_point_id, due=due)

    def _ends_at(self, c: Conversation) -> datetime | None:
        """When the conversation has been silent for long enough, if nobody writes; None where it never has."""
        queue = queue_of(self.workspace, c)
        release = self.workspace.idle_release(queue) if queue else None
        return c.spoke_at + release if release is not None and c.spoke_at is not None else None
