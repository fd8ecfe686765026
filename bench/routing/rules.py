"""This file holds the rules that policies are made of: orders of conversations, orders of agents, admissions.

The shapes of Twilio (longest idle), Amazon Connect (own topic first), Genesys (rings) and Zendesk (least loaded), and of
the theory of parallel-server queues.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bench.routing.floor import Conversation, Floor, Staff
from bench.routing.policy import Admission, ConversationKey, Everybody, Key, May, Pick

__all__ = ["Admission", "Everybody", "Hold", "Order", "OwnTopic", "Picks", "Rings"]

Order = Callable[[Floor], ConversationKey]
Picks = Callable[[Floor], Pick]

ROUNDING = 1e-9
"""A wake-up after exactly the wait may be this much early."""
FLEXIBILITY = 0.5
"""Weight of an agent's flexibility price against handle time."""
GUARD = 3.0
"""Targets after which a late conversation goes first of all, whatever is still to be saved."""


def oldest(floor: Floor) -> ConversationKey:
    return lambda c, agent, now: (c.arrived_at,)


def vip_first(floor: Floor) -> ConversationKey:
    return lambda c, agent, now: (not c.vip, c.arrived_at)


def chat_first(floor: Floor) -> ConversationKey:
    return lambda c, agent, now: (c.channel, not c.vip, c.arrived_at)


def own_topic_first(within: Order) -> Order:
    """Connect's shape: an agent's own queue before those they help out in."""

    def bind(floor: Floor) -> ConversationKey:
        key, agents = within(floor), floor.staff.agents
        return lambda c, agent, now: (agents[agent].primary != c.topic, *key(c, agent, now))

    return bind


def minutes_waited(chat: float, vip: float = 10.0) -> Order:
    """Genesys's shape: minutes waited, and a head start in minutes for a VIP and for chat."""

    def bind(floor: Floor) -> ConversationKey:
        def key(c: Conversation, agent: int, now: float) -> Key:
            head_start = (vip if c.vip else 0.0) + (chat if c.channel == 0 else 0.0)
            return (-((now - c.arrived_at) / 60.0 + head_start),)

        return key

    return bind


def deadline(floor: Floor) -> ConversationKey:
    return lambda c, agent, now: (c.due_at,)


def generalised_cmu(floor: Floor) -> ConversationKey:
    """Largest marginal cost times rate, for the cost (W/T)^2 / 2 (Mandelbaum and Stolyar 2004)."""
    agents, multiplier = floor.staff.agents, floor.staff.multiplier

    def key(c: Conversation, agent: int, now: float) -> Key:
        cost = (now - c.arrived_at) / c.sla / c.sla
        return (-cost / multiplier[agents[agent].levels[c.topic]],)

    return key


def slack(floor: Floor) -> ConversationKey:
    """Least time to the deadline first, counted longer where the agent is slow; the late ones before, longest late first."""
    agents, multiplier = floor.staff.agents, floor.staff.multiplier

    def key(c: Conversation, agent: int, now: float) -> Key:
        left = c.sla - (now - c.arrived_at)
        return (left * multiplier[agents[agent].levels[c.topic]] if left > 0 else left,)

    return key


def slack_drop(floor: Floor) -> ConversationKey:
    """As `slack`, but who is late stands behind those who can still be saved, until the guard puts them before all."""
    within = slack(floor)

    def key(c: Conversation, agent: int, now: float) -> Key:
        wait = now - c.arrived_at
        if wait <= c.sla:
            return (0.0, *within(c, agent, now))
        return (1.0, c.due_at) if wait < GUARD * c.sla else (-1.0, c.arrived_at)

    return key


def longest_idle(floor: Floor) -> Pick:
    touch = floor.last_touch
    return lambda c, free: min(free, key=touch.__getitem__)


def least_loaded(floor: Floor) -> Pick:
    load, touch = floor.open, floor.last_touch
    return lambda c, free: min(free, key=lambda a: (load[a], touch[a]))


def best_fit(floor: Floor) -> Pick:
    load, touch, agents = floor.open, floor.last_touch, floor.staff.agents
    return lambda c, free: min(free, key=lambda a: (-agents[a].levels[c.topic], load[a], touch[a]))


def round_robin(floor: Floor) -> Pick:
    """The next free one after who was used last in that pool."""
    used = [-1] * len(floor.staff.forecast)

    def pick(c: Conversation, free: Sequence[int]) -> int:
        agent = next((a for a in free if a > used[c.pool]), free[0])
        used[c.pool] = agent
        return agent

    return pick


def index(load: Sequence[float] | None = None) -> Picks:
    """Handle time, slowed by what is open, plus the price of the agent's flexibility; then longest idle."""

    def bind(floor: Floor) -> Pick:
        staff, busy, touch = floor.staff, floor.open, floor.last_touch
        agents, multiplier, slow_down = staff.agents, staff.multiplier, staff.slow_down
        price = [FLEXIBILITY * p for p in flexibility(staff, load or staff.forecast)]

        def pick(c: Conversation, free: Sequence[int]) -> int:
            topic = c.topic
            return min(
                free,
                key=lambda a: (
                    multiplier[agents[a].levels[topic]] * (1 + slow_down * busy[a]) + price[a],
                    touch[a],
                ),
            )

        return pick

    return bind


def flexibility(staff: Staff, load: Sequence[float]) -> list[float]:
    """What else an agent could be needed for: load per eligible agent, summed over their pools; scaled to mean 1.

    Agents whose prices are equal but for rounding are told apart by it, so the order of the sums is part of the
    figures: by pool, and the mean as numpy sums it.
    """
    price = np.zeros(len(staff.agents))
    for expected, eligible in zip(load, staff.eligible, strict=True):
        for agent in eligible:
            price[agent] += expected / len(eligible)
    scaled: list[float] = (price / price.mean()).tolist()
    return scaled


class OwnTopic:
    """Agents of another primary topic only after a fixed wait, seconds."""

    def __init__(self, wait: float = 30.0) -> None:
        self._wait = wait

    def bind(self, floor: Floor) -> May:
        agents, wait = floor.staff.agents, self._wait - ROUNDING
        return lambda c, agent, now: agents[agent].primary == c.topic or now - c.arrived_at >= wait

    def waits(self, conversation: Conversation) -> tuple[float, ...]:
        return (self._wait,)


class Rings:
    """Bullseye: level 4 at once, 3 after the first wait, any after the second."""

    def __init__(self, second: float = 20.0, third: float = 40.0) -> None:
        self._waits = second, third

    def bind(self, floor: Floor) -> May:
        agents, (second, third) = floor.staff.agents, self._waits

        def may(c: Conversation, agent: int, now: float) -> bool:
            level, wait = agents[agent].levels[c.topic], now - c.arrived_at + ROUNDING
            return level >= 4 or wait >= third or (level >= 3 and wait >= second)

        return may

    def waits(self, conversation: Conversation) -> tuple[float, ...]:
        return self._waits


class Hold:
    """Agents of another primary topic after a fraction of the target, or while their own group has slots to spare."""

    def __init__(self, fraction: float = 0.5, reserve: float = 0.4) -> None:
        self._fraction, self._reserve = fraction, reserve

    def bind(self, floor: Floor) -> May:
        agents, fraction = floor.staff.agents, self._fraction
        free, total, reserve = floor.free_slots, floor.total_slots, self._reserve

        def may(c: Conversation, agent: int, now: float) -> bool:
            own = agents[agent].primary
            return (
                own == c.topic
                or now - c.arrived_at >= fraction * c.sla - ROUNDING
                or free[own] > reserve * total[own]
            )

        return may

    def waits(self, conversation: Conversation) -> tuple[float, ...]:
        return (self._fraction * conversation.sla,)
