"""This file holds what a routing policy of the benchmark is, and the policy made of three rules that all baselines are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from bench.routing.floor import Conversation, Finished, Floor

Assignment = tuple[Conversation, int]
"""A waiting conversation and the agent who gets it."""


class Policy(Protocol):
    """Decides who serves whom.

    Each `on_…` is told one fact and answers with assignments. They are carried out one by one as the answer is
    iterated, so a generator sees on the floor what its last one did. The floor is already as the fact left it: who
    arrived is waiting, what finished is no longer open. An assignment that cannot be is refused with `Illegal`.
    """

    def start(self, floor: Floor) -> None:
        """Once, before anything happens."""

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]: ...

    def on_finish(self, agent: int, done: Sequence[Finished], now: float) -> Iterable[Assignment]: ...

    def on_abandon(self, conversation: Conversation, now: float) -> Iterable[Assignment]: ...

    def on_agent_on(self, agent: int, now: float) -> Iterable[Assignment]: ...

    def on_agent_off(self, agent: int, now: float) -> Iterable[Assignment]:
        """What the agent has open they finish; they are given nothing new."""

    def on_wake(self, token: int, now: float) -> Iterable[Assignment]:
        """At the time that was asked for with `floor.wake`."""


Key = tuple[float, ...]
ConversationKey = Callable[[Conversation, int, float], Key]
"""(conversation, agent, now) -> smallest first."""
AgentKey = Callable[[Conversation, int], Key]
"""(conversation, agent) -> smallest first."""
Pick = Callable[[Conversation, Sequence[int]], int]
"""One of several free agents."""
May = Callable[[Conversation, int, float], bool]
"""(conversation, agent, now) -> whether it may go to the agent yet."""


class Admission(Protocol):
    """To whom a conversation may go already, and after which waits (s) that has to be asked again."""

    def bind(self, floor: Floor) -> May | None:
        """None: everybody eligible, at once."""

    def waits(self, conversation: Conversation) -> tuple[float, ...]: ...


class Everybody:
    """No admission rule."""

    def bind(self, floor: Floor) -> May | None:
        return None

    def waits(self, conversation: Conversation) -> tuple[float, ...]:
        return ()


class Ranked:
    """Who arrives goes to the first free agent; a freed agent takes the first of the heads of their queues.

    `order` and `pick` are bound to a floor at the start of a day; each day needs a policy of its own.
    """

    def __init__(
        self,
        order: Callable[[Floor], ConversationKey],
        pick: Callable[[Floor], Pick],
        admission: Admission | None = None,
    ) -> None:
        self._rules = order, pick
        self._admission = admission or Everybody()

    def start(self, floor: Floor) -> None:
        order, pick = self._rules
        self._floor, self._capacity = floor, floor.staff.capacity
        self._key, self._pick, self._may = order(floor), pick(floor), self._admission.bind(floor)

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        agent = self._agent_for(conversation, now)
        if agent is not None:
            return ((conversation, agent),)
        for wait in self._admission.waits(conversation):
            self._floor.wake(now + wait, conversation.id)
        return ()

    def on_finish(self, agent: int, done: Sequence[Finished], now: float) -> Iterator[Assignment]:
        return self.on_agent_on(agent, now)

    def on_agent_on(self, agent: int, now: float) -> Iterator[Assignment]:
        floor = self._floor
        while floor.on[agent] and floor.open[agent] < self._capacity:
            found = self._conversation_for(agent, now)
            if found is None:
                return
            yield found, agent

    def on_abandon(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        return ()

    def on_agent_off(self, agent: int, now: float) -> Iterable[Assignment]:
        return ()

    def on_wake(self, token: int, now: float) -> Iterable[Assignment]:
        conversation = self._floor.waiting.get(token)
        agent = self._agent_for(conversation, now) if conversation is not None else None
        return () if conversation is None or agent is None else ((conversation, agent),)

    def _agent_for(self, conversation: Conversation, now: float) -> int | None:
        on, load, capacity, may = self._floor.on, self._floor.open, self._capacity, self._may
        free = [a for a in self._floor.staff.eligible[conversation.pool] if load[a] < capacity and on[a]]
        if may is not None:
            free = [a for a in free if may(conversation, a, now)]
        return self._pick(conversation, free) if free else None

    def _conversation_for(self, agent: int, now: float) -> Conversation | None:
        heads, key, may = self._floor.heads, self._key, self._may
        first: Conversation | None = None
        least: Key = ()
        for queue in self._floor.staff.queues[agent]:
            head = heads[queue]
            if head is None or (may is not None and not may(head, agent, now)):
                continue
            value = key(head, agent, now)
            if first is None or value < least:
                first, least = head, value
        return first
