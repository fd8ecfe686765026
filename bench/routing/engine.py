"""This file lives one day of a world under a policy: arrivals, assignments, progress, patience, and nothing else."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

from bench.routing.floor import Conversation, Finished, Floor
from bench.routing.policy import Assignment, Policy
from bench.routing.scenario import AFFINITY_MULTIPLIER
from bench.routing.world import World

DONE = 1e-6
"""Seconds of work below which a conversation is finished: what rounding may leave of it."""
ENDLESS = 1e6
"""A patience (s) from here on never ends within a day; no event is kept for it."""


class Illegal(Exception):
    """The policy assigned a conversation that does not wait, or to an agent off duty, without room or without the skill."""


class Stranded(Exception):
    """Nothing can happen any more, and somebody still waits: the policy forgot them."""


class State(IntEnum):
    WAITING = 1
    SERVED = 2
    ABANDONED = 3
    DONE = 4


class Event(IntEnum):
    FINISH = 1
    PATIENCE = 2
    WAKE = 3
    COME = 4
    GO = 5


SHIFT_CHANGES = frozenset({Event.COME, Event.GO})
"""Who comes or goes in the second of an arrival has done so before it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened. By conversation: seconds (nan where it never came to it), agent (-1: none) and level met.

    By agent: `assignments`, and `busy`, the seconds before the horizon with something open.
    """

    world: World
    started_at: list[float]
    abandoned_at: list[float]
    agent: list[int]
    level: list[int]
    assignments: list[int]
    busy: list[float]


class Engine:
    """One run: `Engine(world, policy).run()`. Raises Illegal and Stranded for a policy that is wrong.

    Work of an assigned conversation = work * multiplier of the level * speed of the agent (* .9 with the last agent).
    With n open each of an agent's conversations proceeds at 1 / (1 + slow_down (n - 1)); what is left is brought up to
    date at each assignment and finish, so no progress is lost when n changes.
    """

    def __init__(self, world: World, policy: Policy) -> None:
        staff, n = world.staff, len(world.conversations)
        agents = range(len(staff.agents))
        self._world, self._policy = world, policy
        self._floor = Floor(staff, present=not world.shifts)
        self._rates = [1.0 / (1 + staff.slow_down * (k - 1)) for k in range(1, staff.capacity + 1)]
        self._can = [frozenset(e) for e in staff.eligible]
        self._open: list[list[tuple[Conversation, float]]] = [[] for _ in agents]
        """By agent: conversations and the seconds of solo work left as of `_since`."""
        self._since = [0.0 for _ in agents]
        self._version = [0 for _ in agents]
        """Grows when an agent's next finish moves: an event of an older version is void."""
        self._on = [not world.shifts for _ in agents]
        self._state = [0] * n
        self._events: list[tuple[float, int, Event, int, int]] = []
        self._numbers = count()
        self._out = Outcome(
            world,
            [math.nan] * n,
            [math.nan] * n,
            [-1] * n,
            [0] * n,
            [0 for _ in agents],
            [0.0 for _ in agents],
        )

    def run(self) -> Outcome:
        events, policy = self._events, self._policy
        for agent, shift in enumerate(self._world.shifts):
            self._schedule(shift.begins, Event.COME, agent)
            self._schedule(shift.ends, Event.GO, agent)
        policy.start(self._floor)
        self._wakes()
        for conversation in self._world.conversations:
            arrives = conversation.arrived_at
            while events and (
                events[0][0] < arrives or (events[0][0] == arrives and events[0][2] in SHIFT_CHANGES)
            ):
                self._happen(heapq.heappop(events))
            self._arrive(conversation, arrives)
        while events:
            self._happen(heapq.heappop(events))
        if self._floor.waiting:
            raise Stranded(f"{len(self._floor.waiting)} conversations are left waiting")
        return self._out

    def _happen(self, event: tuple[float, int, Event, int, int]) -> None:
        at, _, kind, which, version = event
        if kind is Event.FINISH:
            if version == self._version[which]:
                self._finish(which, at)
        elif kind is Event.PATIENCE:
            if self._state[which] == State.WAITING:
                self._abandon(which, at)
        elif kind is Event.COME:
            self._on[which] = True
            self._floor.come(which, at)
            self._carry_out(self._policy.on_agent_on(which, at), at)
        elif kind is Event.GO:
            self._on[which] = False
            self._floor.go(which)
            self._carry_out(self._policy.on_agent_off(which, at), at)
        else:
            self._carry_out(self._policy.on_wake(which, at), at)

    def _arrive(self, conversation: Conversation, at: float) -> None:
        number = conversation.id
        self._state[number] = State.WAITING
        self._floor.enter(conversation)
        self._carry_out(self._policy.on_arrival(conversation, at), at)
        patience = self._world.truth.patience[number]
        if self._state[number] == State.WAITING and patience < ENDLESS:
            self._schedule(at + patience, Event.PATIENCE, number)

    def _finish(self, agent: int, at: float) -> None:
        self._progress(agent, at)
        held = self._open[agent]
        done = [Finished(c, self._out.started_at[c.id]) for c, left in held if left <= DONE]
        if done:
            self._open[agent] = [entry for entry in held if entry[1] > DONE]
            for conversation, _ in done:
                self._state[conversation.id] = State.DONE
            self._floor.release(agent, len(done), at)
            self._carry_out(self._policy.on_finish(agent, done, at), at)
        self._expect_finish(agent, at)

    def _abandon(self, number: int, at: float) -> None:
        conversation = self._world.conversations[number]
        self._state[number] = State.ABANDONED
        self._out.abandoned_at[number] = at
        self._floor.leave(conversation)
        self._carry_out(self._policy.on_abandon(conversation, at), at)

    def _carry_out(self, assignments: Iterable[Assignment], at: float) -> None:
        for conversation, agent in assignments:
            self._assign(conversation, agent, at)
        self._wakes()

    def _wakes(self) -> None:
        for at, token in self._floor.take_wakes():
            self._schedule(at, Event.WAKE, token)

    def _assign(self, conversation: Conversation, agent: int, at: float) -> None:
        world, out, number = self._world, self._out, conversation.id
        held = self._open[agent]
        if (
            self._state[number] != State.WAITING
            or not self._on[agent]
            or len(held) >= world.staff.capacity
            or agent not in self._can[conversation.pool]
        ):
            raise Illegal(f"conversation {number} to agent {agent} at {at:.3f}")
        level = world.staff.agents[agent].levels[conversation.topic]
        factor = world.staff.multiplier[level] * world.truth.speed[agent]
        if conversation.last_agent == agent:
            factor *= AFFINITY_MULTIPLIER
        self._progress(agent, at)
        self._open[agent].append((conversation, world.truth.work[number] * factor))
        self._state[number] = State.SERVED
        out.started_at[number], out.agent[number], out.level[number] = at, agent, level
        out.assignments[agent] += 1
        self._floor.leave(conversation)
        self._floor.take(agent, at)
        self._expect_finish(agent, at)

    def _progress(self, agent: int, at: float) -> None:
        """Bring the work left of an agent's conversations to this second."""
        held, since = self._open[agent], self._since[agent]
        if held and at > since:
            step = self._rates[len(held) - 1] * (at - since)
            self._open[agent] = [(conversation, left - step) for conversation, left in held]
            self._out.busy[agent] += max(0.0, min(at, self._world.horizon) - since)
        self._since[agent] = at

    def _expect_finish(self, agent: int, at: float) -> None:
        self._version[agent] += 1
        held = self._open[agent]
        if held:
            least = max(0.0, min(left for _, left in held))
            self._schedule(at + least / self._rates[len(held) - 1], Event.FINISH, agent, self._version[agent])

    def _schedule(self, at: float, kind: Event, which: int, version: int = 0) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), kind, which, version))
