"""This file is what agents and supervisors are shown of matching, and what no reader of those topics could believe."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads.assignments import AgentChanged, CommandAnswer, WorkEvent
from libs.contracts.payloads.conversations import CommandRefused, ConversationEvent
from libs.flow.tail import Tailed


@dataclass
class Held:
    """A work item as the events until now say."""

    events: list[WorkEvent] = field(default_factory=list)
    agent_id: str | None = None
    """To whom it is offered, or who holds it."""


@dataclass
class Seen:
    """Everything told on `assignments`, `agents` and `conversations`, each event once."""

    work: dict[str, Held] = field(default_factory=dict)
    """By work item."""
    agents: dict[str, list[AgentChanged]] = field(default_factory=dict)
    answers: dict[str, CommandAnswer] = field(default_factory=dict)
    """By the command's id."""
    refused: dict[str, CommandRefused] = field(default_factory=dict)
    conversations: list[ConversationEvent] = field(default_factory=list)

    def take(self, tailed: Tailed) -> None:
        match tailed.event.data:
            case AgentChanged() as change:
                self._agent(change)
            case WorkEvent() as fact:
                self._work(fact)
            case CommandRefused() as refusal:
                self.refused[refusal.command_id] = refusal
            case ConversationEvent() as told:
                self.conversations.append(told)
            case _:
                pass

    def of_contact_point(self, contact_point_id: str) -> list[WorkEvent]:
        """The facts about a customer's work items, in order."""
        return [
            e for held in self.work.values() for e in held.events if e.contact_point_id == contact_point_id
        ]

    def objections(self, pool: str) -> list[str]:
        """Two holders, a story with a gap, or an agent over the limit whom nobody forced, in what is told of a pool."""
        return [*self._stories(pool), *self._limits(pool)]

    def _stories(self, pool: str) -> Iterator[str]:
        for work_item_id, held in self.work.items():
            holder: str | None = None
            for number, fact in enumerate(held.events if held.events[0].pool == pool else (), 1):
                if fact.version != number:
                    yield f"{work_item_id} is told version {fact.version} as its event {number}"
                after = holder_after(fact, holder)
                if holder is not None and after not in (None, holder) and not _forced(fact):
                    yield f"{work_item_id} is {holder}'s and goes to {after}"
                holder = after

    def _limits(self, pool: str) -> Iterator[str]:
        for agent_id, history in self.agents.items():
            for before, change in pairwise(history):
                if change.pool != pool:
                    continue
                if change.version <= before.version:
                    yield f"{agent_id} goes back to version {change.version}"
                # A limit that was lowered leaves a load above it; nothing but force may make it grow.
                if change.load > max(change.capacity, before.load) and not any(
                    _forced(fact) for i in change.work_item_ids for fact in self.work.get(i, Held()).events
                ):
                    yield f"{agent_id} holds {change.load} of {change.capacity}"

    def _agent(self, change: AgentChanged) -> None:
        self.agents.setdefault(change.agent_id, []).append(change)
        if change.answer is not None:
            self.answers[change.answer.command_id] = change.answer

    def _work(self, fact: WorkEvent) -> None:
        held = self.work.setdefault(fact.work_item_id, Held())
        held.events.append(fact)
        held.agent_id = holder_after(fact, held.agent_id)


def holder_after(fact: WorkEvent, holder: str | None) -> str | None:
    """To whom the work is offered, or who holds it, after one more fact."""
    match fact:
        case a.ReservationOffered() | a.WorkAssigned():
            return fact.agent_id
        case a.ReservationAccepted() | a.WorkWrapping():
            return holder
        case _:
            return None


def _forced(fact: WorkEvent) -> bool:
    return isinstance(fact, a.WorkAssigned) and fact.forced_by is not None


def words(fact: Any) -> dict[str, str | None]:
    """Agent -> why not, in the explanation of a queued, offered or assigned event."""
    return {c.agent_id: c.rejected for c in fact.explanation.candidates}


def kinds(facts: list[WorkEvent]) -> list[str]:
    """`work.queued`, `reservation.offered` …, with the agent where there is one, without the team's number."""
    names = []
    for fact in facts:
        agent_id = getattr(fact, "agent_id", None)
        who = f" {agent_id.rpartition('-')[0]}" if agent_id else ""
        names.append(fact.type.rpartition(".")[0] + who)
    return names
