"""This file holds the parameters of CCR-1: what a call centre of each scenario is like before anything is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

AGENTS = 100
HORIZON = 28_800.0
"""Seconds in which conversations arrive: a day of eight hours."""
WARM_UP = 1_800.0
"""Arrivals before this second are served but not scored: the day begins with nobody busy."""
TOPIC_SHARES = (0.24, 0.18, 0.14, 0.12, 0.10, 0.09, 0.07, 0.06)
ENGLISH_SHARE = 0.15
VIP_SHARE = 0.10
REPEAT_SHARE = 0.30
AFFINITY_MULTIPLIER = 0.90
"""Work is this much shorter with the agent whom the customer met last."""
TYPICAL_MULTIPLIER = 0.92
"""What good matching makes of the work of a conversation; the offered load is stated for it."""
MULTIPLIER: Mapping[int, float] = MappingProxyType({1: 1.30, 2: 1.15, 3: 1.00, 4: 0.90, 5: 0.80})
"""Handle time at each skill level, as a multiple of the work."""
FLAT: Mapping[int, float] = MappingProxyType(dict.fromkeys(MULTIPLIER, 1.0))
"""The variant in which handle time does not depend on skill."""

TOPICS, LANGUAGES = len(TOPIC_SHARES), 2


@dataclass(frozen=True, slots=True)
class ChannelShape:
    """One channel; seconds throughout. A patience of None never ends."""

    name: str
    share: float
    mean_work: float
    work_cv: float
    mean_patience: float | None
    sla: float
    sla_vip: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """`number` is part of the seed. `slow_down` is alpha: with n open, each proceeds at 1 / (1 + alpha (n - 1))."""

    name: str
    number: int
    capacity: int
    slow_down: float
    channels: tuple[ChannelShape, ...]

    def arrival_rate(self, rho: float, agents: int = AGENTS) -> float:
        """Conversations a second that make `rho` of what the agents can do at good matching."""
        fastest = self.capacity / (1 + self.slow_down * (self.capacity - 1))
        work = sum(c.share * c.mean_work for c in self.channels) * TYPICAL_MULTIPLIER
        return rho * agents * fastest / work


VOICE = Scenario("S1", 1, 1, 0.0, (ChannelShape("voice", 1.0, 300.0, 1.0, 300.0, 60.0, 20.0),))
MIXED = Scenario(
    "S2",
    2,
    3,
    0.20,
    (
        ChannelShape("chat", 0.75, 300.0, 1.0, 900.0, 120.0, 30.0),
        ChannelShape("email", 0.25, 300.0, 1.0, None, 1800.0, 600.0),
    ),
)
SCENARIOS: Mapping[str, Scenario] = MappingProxyType({s.name: s for s in (VOICE, MIXED)})


def forecast() -> tuple[float, ...]:
    """The share of conversations that a planner expects in each pool, by pool number (topic * 2 + language)."""
    languages = (1 - ENGLISH_SHARE, ENGLISH_SHARE)
    return tuple(topic * language for topic in TOPIC_SHARES for language in languages)


def pool_of(topic: int, language: int) -> int:
    """The number of a pool: the conversations that one set of agents can serve."""
    return topic * LANGUAGES + language
