"""This file holds all that a policy may know: the staff, who waits, who has room. What it must not know is not in here."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.routing.scenario import LANGUAGES, pool_of


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is known of a conversation once it has arrived. Times and targets are seconds.

    `queue` numbers its class (pool, VIP, channel); `last_agent` is -1 for a first contact.
    """

    id: int
    arrived_at: float
    topic: int
    language: int
    pool: int
    vip: bool
    channel: int
    queue: int
    sla: float
    last_agent: int

    @property
    def due_at(self) -> float:
        return self.arrived_at + self.sla


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as the workspace would describe them; `levels` by topic. How fast they really are, nobody has written down."""

    id: int
    primary: int
    levels: Mapping[int, int]
    languages: frozenset[int]
    pace: float = 1.0
    """Handle time against that of colleagues as learned on earlier days; 1 where nothing was learned."""


@dataclass(frozen=True)
class Staff:
    """Everybody on duty, the rules of the floor, and what a planner expects.

    `forecast` is the expected share of conversations by pool; `multiplier` the handle time by level, as a multiple of
    the work; `slow_down` is alpha of `scenario.Scenario`.
    """

    agents: tuple[Agent, ...]
    channels: tuple[str, ...]
    capacity: int
    slow_down: float
    multiplier: Mapping[int, float]
    forecast: tuple[float, ...]
    eligible: tuple[tuple[int, ...], ...] = field(init=False)
    """Agents who can serve a pool, ascending, by pool."""
    queues: tuple[tuple[int, ...], ...] = field(init=False)
    """Queues that an agent can serve, by agent; VIP queues of a pool stand before the others."""

    def __post_init__(self) -> None:
        serves = [sorted(pool_of(t, n) for t in a.levels for n in a.languages) for a in self.agents]
        eligible: list[list[int]] = [[] for _ in self.forecast]
        for agent, pools in zip(self.agents, serves, strict=True):
            for pool in pools:
                eligible[pool].append(agent.id)
        size = 2 * len(self.channels)
        object.__setattr__(self, "eligible", tuple(map(tuple, eligible)))
        object.__setattr__(
            self, "queues", tuple(tuple(p * size + k for p in pools for k in range(size)) for pools in serves)
        )

    def queue_of(self, pool: int, vip: bool, channel: int) -> int:
        return (pool * 2 + (not vip)) * len(self.channels) + channel


class Finished(NamedTuple):
    """A conversation that is done, and when its agent had begun it."""

    conversation: Conversation
    started_at: float


class Floor:
    """The staff at this moment, and the queues. Kept by the simulation; a policy reads it and may ask to be woken.

    By agent: `on` duty, `open` conversations and `last_touch`, the second of the latest assignment, finish or arrival on
    duty. By topic: `free_slots` and `total_slots` of the agents on duty whose primary topic it is. `heads` has the oldest
    waiting conversation of each queue or None, `waiting` every waiting one by id.

    Who is not on duty finishes what they have and is given nothing new. Without `present` the day begins with nobody.
    """

    def __init__(self, staff: Staff, *, present: bool = True) -> None:
        self.staff = staff
        self.on = [present] * len(staff.agents)
        self.open = [0] * len(staff.agents)
        self.last_touch = [-1e-9 * (a + 1) for a in range(len(staff.agents))]
        self.total_slots = [0] * (len(staff.forecast) // LANGUAGES)
        for agent in staff.agents if present else ():
            self.total_slots[agent.primary] += staff.capacity
        self.free_slots = list(self.total_slots)
        queues = len(staff.forecast) * 2 * len(staff.channels)
        self.heads: list[Conversation | None] = [None] * queues
        self.waiting: dict[int, Conversation] = {}
        self._queues: list[deque[Conversation]] = [deque() for _ in range(queues)]
        self._wakes: list[tuple[float, int]] = []

    def wake(self, at: float, token: int) -> None:
        """Ask for `on_wake(token)` at second `at`."""
        self._wakes.append((at, token))

    # The rest is called by the simulation alone. It keeps books of its own beside these, so that a policy which
    # writes here deceives nobody but itself.

    def enter(self, conversation: Conversation) -> None:
        queue = conversation.queue
        self.waiting[conversation.id] = conversation
        if self.heads[queue] is None:
            self.heads[queue] = conversation
        else:
            self._queues[queue].append(conversation)

    def leave(self, conversation: Conversation) -> None:
        queue = conversation.queue
        del self.waiting[conversation.id]
        if self.heads[queue] is not conversation:
            return  # behind the head: skipped when the queue comes to it
        behind = self._queues[queue]
        while behind:
            head = behind.popleft()
            if head.id in self.waiting:
                self.heads[queue] = head
                return
        self.heads[queue] = None

    def take(self, agent: int, at: float) -> None:
        self.open[agent] += 1
        self.last_touch[agent] = at
        self.free_slots[self.staff.agents[agent].primary] -= 1

    def release(self, agent: int, count: int, at: float) -> None:
        self.open[agent] -= count
        self.last_touch[agent] = at
        if self.on[agent]:
            self.free_slots[self.staff.agents[agent].primary] += count

    def come(self, agent: int, at: float) -> None:
        self.on[agent] = True
        self.last_touch[agent] = at
        self._count_slots(agent, 1)

    def go(self, agent: int) -> None:
        self.on[agent] = False
        self._count_slots(agent, -1)

    def _count_slots(self, agent: int, sign: int) -> None:
        primary = self.staff.agents[agent].primary
        self.total_slots[primary] += sign * self.staff.capacity
        self.free_slots[primary] += sign * (self.staff.capacity - self.open[agent])

    def take_wakes(self) -> list[tuple[float, int]]:
        """What was asked for since the last call."""
        wakes, self._wakes = self._wakes, []
        return wakes
