"""This file keeps the projection: each event changes the rows of the entity that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import AgentChanged, WorkEvent
from libs.contracts.payloads.conversations import CommandRefused, ContactResolved, ConversationEvent
from libs.contracts.payloads.sla import ClockEvent
from libs.flow.flow import Drop, Outcome, Turn
from services.desk.domain.clock import superseded
from services.desk.domain.conversation import differing
from services.desk.fold import agent_after, clock_after, conversation_after, refusal_remembered, work_after
from services.desk.store import DeskStore

OVERLAP = Drop("overlap")
"""The row has this event behind it already."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """`pools` maps each queue to its pool."""

    pools: Mapping[str, str]

    def on_conversation_event(self, turn: Turn[DeskStore], event: Event[ConversationEvent]) -> Outcome | None:
        store, data = turn.store, event.data
        known = store.conversations.get(data.conversation_id, data.conversation_id)
        before = store.latest(data.conversation_id)
        now, after = conversation_after(
            known, before, data, cause=event.envelope.causation_id, pools=self.pools
        )
        if now is known:
            return OVERLAP
        store.conversations.put(now)
        put, gone = differing(before, after)
        for message in put:
            store.messages.put(message)
        for message in gone:
            store.messages.delete(message)
        return None

    def on_command_refused(self, turn: Turn[DeskStore], event: Event[CommandRefused]) -> Outcome | None:
        known = turn.store.conversations.get(event.data.conversation_id, event.data.conversation_id)
        if known is None:
            return Drop("no_conversation")
        turn.store.conversations.put(refusal_remembered(known, event.data, cause=event.envelope.causation_id))
        return None

    def on_contact_resolved(self, turn: Turn[DeskStore], event: Event[ContactResolved]) -> Outcome | None:
        for known in turn.store.open_of(event.data.contact_point_id):
            turn.store.conversations.put(replace(known, contact_id=event.data.contact_id))
        return None

    def on_work_event(self, turn: Turn[DeskStore], event: Event[WorkEvent]) -> Outcome | None:
        work, data = turn.store.work, event.data
        known = work.get(data.conversation_id, data.work_item_id)
        now = work_after(known, data)
        if now is not None and now is not known:
            work.put(now)
        elif now is None and known is not None:
            work.delete(known)
        else:
            return OVERLAP
        return None

    def on_clock_event(self, turn: Turn[DeskStore], event: Event[ClockEvent]) -> Outcome | None:
        clocks, data = turn.store.clocks, event.data
        known = clocks.get(data.conversation_id, data.clock_id)
        now = clock_after(known, data)
        if now is not None and now is not known:
            for old in superseded(tuple(clocks.of(data.conversation_id)), now):
                clocks.delete(old)
            clocks.put(now)
        elif now is None and known is not None:
            clocks.delete(known)
        else:
            return OVERLAP
        return None

    def on_agent_changed(self, turn: Turn[DeskStore], event: Event[AgentChanged]) -> Outcome | None:
        agents, data = turn.store.agents, event.data
        known = agents.get(data.agent_id, data.agent_id)
        agents.put(agent_after(known, data, cause=event.envelope.causation_id))
        return None
