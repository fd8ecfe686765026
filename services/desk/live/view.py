"""This file is the live view: the projection's fold over the log in memory, for conversations that may need an agent."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import AgentChanged, WorkEvent
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import CommandRefused, ContactResolved, ConversationEvent
from libs.contracts.payloads.sla import ClockEvent
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock, superseded
from services.desk.domain.conversation import Conversation, Message, is_open
from services.desk.domain.work import Work, concerned, granted
from services.desk.fold import (
    COMMANDS_OF_THE_DESK,
    agent_after,
    clock_after,
    conversation_after,
    refusal_remembered,
    work_after,
)

MESSAGES = 60_000
"""Messages kept over all conversations, some 500 bytes each; the longest untouched go first and are read again when needed."""
STRAYS = 2_000
"""Conversations of which only SLA clocks are known: their other events are on their way, or they have ended."""


@dataclass(slots=True)
class Open:
    """One conversation in memory. `whole`: `latest` and the conversation itself lack nothing that the projection has."""

    conversation_id: str
    conversation: Conversation | None = None
    latest: tuple[Message, ...] = ()
    whole: bool = False
    work: dict[str, Work] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    since: list[tuple[ConversationEvent, str]] | None = None
    """Events (with their causes) since the rest was asked for from the projection; None while nothing is asked for."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Who is offered this conversation, or holds it."""
        return tuple(dict.fromkeys(agent for w in self.work.values() for agent in w.agents))

    @property
    def needed(self) -> bool:
        return bool(self.work) or (self.conversation is not None and is_open(self.conversation))


@dataclass(frozen=True, slots=True)
class Change:
    """Whom an event concerns. `granted` is the agent who sees the conversation from this event on."""

    agents: tuple[str, ...] = ()
    pool: str | None = None
    conversation_id: str | None = None
    granted: str | None = None


class LiveView:
    """All of it synchronous. `pools` maps queues, `inboxes` inboxes to their pools."""

    def __init__(
        self, *, pools: Mapping[str, str], inboxes: Mapping[str, str], messages: int = MESSAGES
    ) -> None:
        self._pools, self._inboxes, self._most_messages = pools, inboxes, messages
        self.open: dict[str, Open] = {}
        self.agents: dict[str, Agent] = {}
        self._seen_by: dict[str, dict[str, None]] = {}
        self._of_work: dict[str, str] = {}
        self._of_contact_point: dict[str, str] = {}
        self._strays: OrderedDict[str, None] = OrderedDict()
        self._touched: OrderedDict[str, int] = OrderedDict()
        self._messages = 0

    # What is there

    def seen_by(self, agent_id: str) -> list[Open]:
        """The conversations that an agent is offered or holds, in the order in which he got them."""
        return [self.open[c] for c in self._seen_by.get(agent_id, ())]

    def in_pool(self, pool: str) -> Iterable[Open]:
        return (o for o in self.open.values() if self.pool_of(o) == pool)

    def with_work(self, work_item_id: str) -> Open | None:
        return self.open.get(self._of_work.get(work_item_id, ""))

    def pool_of(self, known: Open) -> str | None:
        conversation = known.conversation
        if conversation is not None and conversation.pool:
            return conversation.pool
        if known.work:
            return next(iter(known.work.values())).pool
        return self.pool_of_inbox(conversation.inbox_id) if conversation is not None else None

    def pool_of_queue(self, queue: str) -> str | None:
        """None for a queue that the workspace does not know."""
        return self._pools.get(queue)

    def pool_of_inbox(self, inbox_id: str) -> str | None:
        """Where an inbox's conversations begin."""
        return self._inboxes.get(inbox_id)

    # What is taken in

    def load(
        self,
        conversations: Iterable[Conversation],
        work: Iterable[Work],
        clocks: Iterable[Clock],
        agents: Iterable[Agent],
    ) -> None:
        """Begin with the projection's rows. Messages are left there until somebody needs them."""
        for conversation in conversations:
            self._entry(conversation.conversation_id).conversation = conversation
            self._of_contact_point[conversation.contact_point_id] = conversation.conversation_id
        for item in work:
            entry = self._entry(item.conversation_id)
            entry.work[item.work_item_id] = item
            self._of_work[item.work_item_id] = item.conversation_id
            self._index(entry, ())
        for clock in clocks:
            if clock.conversation_id in self.open:
                self.open[clock.conversation_id].clocks[clock.clock_id] = clock
        self.agents = {agent.agent_id: agent for agent in agents}

    def apply(self, event: Event[Payload]) -> Change:
        """Take one event in and say whom it concerns."""
        cause = event.envelope.causation_id
        match event.data:
            case ConversationEvent() as data:
                return self._conversation(data, cause)
            case WorkEvent() as data:
                return self._work(data)
            case ClockEvent() as data:
                return self._clock(data)
            case AgentChanged() as data:
                self.agents[data.agent_id] = agent_after(self.agents.get(data.agent_id), data, cause=cause)
                return Change((data.agent_id,), data.pool)
            case ContactResolved() as data:
                return self._contact(data)
            case CommandRefused() as data:
                return self._refusal(data, cause)
        return Change()

    def restored(self, conversation_id: str, base: Conversation, latest: tuple[Message, ...]) -> bool | None:
        """Put the projection's row under the events since it was asked for.

        None: the conversation is no longer here. False: the row is behind what had been seen by then; ask again.
        """
        entry = self.open.get(conversation_id)
        if entry is None or entry.since is None:
            return None
        seen = (
            entry.since[0][0].version - 1
            if entry.since
            else entry.conversation and entry.conversation.version
        )
        if base.version < (seen or 0):
            return False
        for event, cause in entry.since:
            base, latest = conversation_after(base, latest, event, cause=cause, pools=self._pools)
        entry.conversation, entry.latest, entry.whole, entry.since = base, latest, True, None
        self._touch(entry)
        return True

    # One topic each

    def _conversation(self, data: ConversationEvent, cause: str) -> Change:
        entry = self._entry(data.conversation_id)
        before = entry.conversation
        entry.conversation, entry.latest = conversation_after(
            before, entry.latest, data, cause=cause, pools=self._pools
        )
        if before is None:
            entry.whole = entry.conversation.complete
            self._strays.pop(data.conversation_id, None)
            self._of_contact_point[data.contact_point_id] = data.conversation_id
        if entry.since is not None:
            entry.since.append((data, cause))
        self._touch(entry)
        change = Change(entry.agents, self.pool_of(entry), data.conversation_id)
        self._forget_if_done(entry)
        return change

    def _work(self, data: WorkEvent) -> Change:
        entry = self._entry(data.conversation_id)
        before, agents = entry.work.get(data.work_item_id), entry.agents
        after = work_after(before, data)
        if after is None:
            entry.work.pop(data.work_item_id, None)
            self._of_work.pop(data.work_item_id, None)
        else:
            entry.work[data.work_item_id] = after
            self._of_work[data.work_item_id] = data.conversation_id
            self._strays.pop(data.conversation_id, None)
        self._index(entry, agents)
        named = getattr(data, "agent_id", None)
        to = dict.fromkeys((*concerned(before, after), *((named,) if named else ())))
        change = Change(tuple(to), data.pool, data.conversation_id, granted(before, after))
        self._forget_if_done(entry)
        return change

    def _clock(self, data: ClockEvent) -> Change:
        entry = self.open.get(data.conversation_id)
        now = clock_after(entry.clocks.get(data.clock_id) if entry else None, data)
        if entry is None and now is not None:
            entry = self._entry(data.conversation_id)
            self._stray(entry)
        if entry is None:
            return Change((), self._pools.get(data.queue), data.conversation_id)
        if now is None:
            entry.clocks.pop(data.clock_id, None)
        else:
            for old in superseded(tuple(entry.clocks.values()), now):
                del entry.clocks[old.clock_id]
            entry.clocks[data.clock_id] = now
        return Change(entry.agents, self.pool_of(entry) or self._pools.get(data.queue), data.conversation_id)

    def _contact(self, data: ContactResolved) -> Change:
        entry = self.open.get(self._of_contact_point.get(data.contact_point_id, ""))
        if entry is None or entry.conversation is None:
            return Change((), self.pool_of_inbox(data.inbox_id))
        entry.conversation = replace(entry.conversation, contact_id=data.contact_id)
        return Change(entry.agents, self.pool_of(entry), entry.conversation_id)

    def _refusal(self, data: CommandRefused, cause: str) -> Change:
        entry = self.open.get(data.conversation_id)
        if entry is not None and entry.conversation is not None:
            entry.conversation = refusal_remembered(entry.conversation, data, cause=cause)
        source, _, _ = cause.partition("#")
        who = source.removeprefix(COMMANDS_OF_THE_DESK) if source.startswith(COMMANDS_OF_THE_DESK) else ""
        return Change((who,) if who else (), None, data.conversation_id)

    # Bounds and indexes

    def _entry(self, conversation_id: str) -> Open:
        entry = self.open.get(conversation_id)
        if entry is None:
            entry = self.open[conversation_id] = Open(conversation_id)
        return entry

    def _index(self, entry: Open, before: tuple[str, ...]) -> None:
        now = entry.agents
        for agent_id in before:
            if agent_id not in now:
                seen = self._seen_by.get(agent_id, {})
                seen.pop(entry.conversation_id, None)
                if not seen:
                    self._seen_by.pop(agent_id, None)
        for agent_id in now:
            self._seen_by.setdefault(agent_id, {})[entry.conversation_id] = None

    def _stray(self, entry: Open) -> None:
        self._strays[entry.conversation_id] = None
        while len(self._strays) > STRAYS:
            self.open.pop(self._strays.popitem(last=False)[0], None)

    def _forget_if_done(self, entry: Open) -> None:
        if entry.needed or entry.conversation_id in self._strays:
            return
        if entry.conversation is None and entry.clocks:
            self._stray(entry)
            return
        self.open.pop(entry.conversation_id, None)
        entry.since = None
        self._messages -= self._touched.pop(entry.conversation_id, 0)
        conversation = entry.conversation
        if conversation is not None and (
            self._of_contact_point.get(conversation.contact_point_id) == entry.conversation_id
        ):
            del self._of_contact_point[conversation.contact_point_id]

    def _touch(self, entry: Open) -> None:
        self._messages += len(entry.latest) - self._touched.pop(entry.conversation_id, 0)
        self._touched[entry.conversation_id] = len(entry.latest)
        while self._messages > self._most_messages and len(self._touched) > 1:
            conversation_id, count = self._touched.popitem(last=False)
            self._messages -= count
            idle = self.open.get(conversation_id)
            if idle is not None and idle.since is None:
                idle.latest, idle.whole = (), False
