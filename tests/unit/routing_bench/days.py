"""This file makes days of a few conversations, small enough to be worked out by hand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.routing.floor import Agent, Conversation, Finished, Floor, Staff
from bench.routing.policy import Assignment
from bench.routing.scenario import MULTIPLIER, pool_of
from bench.routing.world import Truth, World

TOPICS = 2


class Contact(NamedTuple):
    """A conversation of a day, with what the router is not told."""

    at: float
    work: float = 100.0
    patience: float = 1e12
    topic: int = 0
    vip: bool = False
    sla: float = 60.0
    last_agent: int = -1
    channel: int = 0


def agent(number: int, levels: dict[int, int] | None = None, languages: Iterable[int] = (0,)) -> Agent:
    levels = levels or {0: 3}
    return Agent(number, next(iter(levels)), levels, frozenset(languages))


def day(
    agents: Sequence[Agent],
    contacts: Sequence[Contact],
    capacity: int = 1,
    slow_down: float = 0.0,
    speed: Sequence[float] | None = None,
    horizon: float = 1000.0,
) -> World:
    """`contacts` in order of time."""
    channels = ("chat", "email")
    staff = Staff(tuple(agents), channels, capacity, slow_down, MULTIPLIER, (0.5, 0.0) * TOPICS)
    conversations = []
    for i, c in enumerate(contacts):
        pool = pool_of(c.topic, 0)
        queue = staff.queue_of(pool, c.vip, c.channel)
        conversations.append(
            Conversation(i, c.at, c.topic, 0, pool, c.vip, c.channel, queue, c.sla, c.last_agent)
        )
    truth = Truth(
        tuple(c.work for c in contacts),
        tuple(c.patience for c in contacts),
        tuple(speed or (1.0,) * len(agents)),
    )
    return World(staff, tuple(conversations), truth, horizon)


class Silent:
    """A policy that assigns nothing, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, float]] = []

    def start(self, floor: Floor) -> None:
        self.floor = floor

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        self.told.append(("arrival", conversation.id, now))
        return ()

    def on_finish(self, agent: int, done: Sequence[Finished], now: float) -> Iterable[Assignment]:
        self.told.append(("finish", agent, now))
        return ()

    def on_abandon(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        self.told.append(("abandon", conversation.id, now))
        return ()

    def on_agent_on(self, agent: int, now: float) -> Iterable[Assignment]:
        self.told.append(("on", agent, now))
        return ()

    def on_agent_off(self, agent: int, now: float) -> Iterable[Assignment]:
        self.told.append(("off", agent, now))
        return ()

    def on_wake(self, token: int, now: float) -> Iterable[Assignment]:
        self.told.append(("wake", token, now))
        return ()
