"""This file makes a world of CCR-1 from a seed: the staff, the conversations, and what no router can know of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.routing.floor import Agent, Conversation, Staff
from bench.routing.scenario import (
    AGENTS,
    ENGLISH_SHARE,
    FLAT,
    HORIZON,
    LANGUAGES,
    MULTIPLIER,
    REPEAT_SHARE,
    TOPIC_SHARES,
    TOPICS,
    VIP_SHARE,
    WARM_UP,
    Scenario,
    forecast,
    pool_of,
)

BLOCK, BLOCK_CV = 1_800.0, 0.12
"""The load is drawn anew each half hour, with this coefficient of variation."""
BURST, BURST_EVERY, BURST_FROM, BURST_SPREAD = 1_200.0, 14_400.0, 5_400.0, 3_600.0
"""Each four hours one topic comes twice as often for twenty minutes, from 90 to 150 minutes after they began."""
SPEED_SIGMA = 0.15
SPEAKS_ENGLISH = 0.30
NO_PATIENCE_LIMIT = 1e12

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SHARES: Floats = np.array(TOPIC_SHARES)


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the simulation knows. By conversation: solo `work` and `patience` (s); by agent: `speed`, above 1 is slower."""

    work: tuple[float, ...]
    patience: tuple[float, ...]
    speed: tuple[float, ...]


class Shift(NamedTuple):
    """When an agent comes and goes, seconds."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class World:
    """One day: the same for every policy. `conversations` are in order of arrival and numbered so.

    Where there are `shifts`, one for each agent, nobody is there before theirs begins, and who has gone is given nothing
    new; else all are there from the start. Arrivals before `warm_up` are served but not scored.
    """

    staff: Staff
    conversations: tuple[Conversation, ...]
    truth: Truth
    horizon: float = HORIZON
    shifts: tuple[Shift, ...] = ()
    warm_up: float = WARM_UP

    def on_duty(self, agent: int) -> float:
        """For how many seconds of the day the agent is there."""
        if not self.shifts:
            return self.horizon
        shift = self.shifts[agent]
        return shift.ends - shift.begins


def make_world(
    scenario: Scenario, rho: float, seed: int, *, flat: bool = False, pooled: bool = False
) -> World:
    """The world of one scenario, load and seed, drawn in the order that `docs/routing-benchmark.md` fixes.

    `flat`: the same draws, handle time independent of skill. `pooled`: everybody serves everything at their own best
    level, a bound that no routing can pass. Neither `rho` nor a variant is part of the seed.
    """
    rng = np.random.default_rng([seed, scenario.number])
    speed = rng.lognormal(0, SPEED_SIGMA, AGENTS)
    agents = _with_two_a_pool(_draw_agents(rng))
    if pooled:
        agents = [_generalist(agent) for agent in agents]
    staff = Staff(
        tuple(agents),
        tuple(c.name for c in scenario.channels),
        scenario.capacity,
        scenario.slow_down,
        FLAT if flat else MULTIPLIER,
        forecast(),
    )
    times, topics = _draw_arrivals(rng, scenario.arrival_rate(rho))
    return _draw_conversations(rng, scenario, staff, times, topics, speed)


def _draw_agents(rng: np.random.Generator) -> list[Agent]:
    """Primary topic at level 4 or 5; one or two others at 1 to 3, likelier where there is more to do; perhaps English."""
    agents = []
    for number, primary in enumerate(_primaries()):
        levels = {primary: int(rng.integers(4, 6))}
        count = int(rng.integers(1, 3))
        others = [topic for topic in range(TOPICS) if topic != primary]
        shares = SHARES[others] / SHARES[others].sum()
        for topic in rng.choice(others, size=count, replace=False, p=shares):
            levels[int(topic)] = int(rng.integers(1, 4))
        english = rng.random() < SPEAKS_ENGLISH
        agents.append(Agent(number, primary, levels, frozenset({0, 1} if english else {0})))
    return agents


def _primaries() -> list[int]:
    """The primary topic of each agent: as many for a topic as its share, the rest to the largest fractions."""
    quota = SHARES * AGENTS
    counts = [math.floor(q) for q in quota]
    largest = sorted(range(TOPICS), key=lambda topic: counts[topic] - quota[topic])
    for topic in largest[: AGENTS - sum(counts)]:
        counts[topic] += 1
    return [topic for topic, count in enumerate(counts) for _ in range(count)]


def _with_two_a_pool(agents: list[Agent]) -> list[Agent]:
    """Give a language to the first with the topic, until two agents have both."""
    agents = list(agents)
    for topic in range(TOPICS):
        for language in range(LANGUAGES):
            having = [a for a in agents if topic in a.levels]
            lacking = [a for a in having if language not in a.languages]
            for agent in lacking[: max(0, 2 - (len(having) - len(lacking)))]:
                both = agent.languages | {language}
                agents[agent.id] = Agent(agent.id, agent.primary, agent.levels, both)
    return agents


def _generalist(agent: Agent) -> Agent:
    best = max(agent.levels.values())
    return Agent(agent.id, agent.primary, dict.fromkeys(range(TOPICS), best), frozenset(range(LANGUAGES)))


def _draw_arrivals(rng: np.random.Generator, rate: float) -> tuple[Floats, Ints]:
    """Times and topics in order of time: busier and quieter half hours, and the bursts."""
    blocks = math.ceil(HORIZON / BLOCK)
    busy = rng.gamma(1 / BLOCK_CV**2, BLOCK_CV**2, blocks)
    busy = busy / busy.mean()
    bursts = []
    for k in range(int(HORIZON // BURST_EVERY)):
        start = k * BURST_EVERY + BURST_FROM + rng.random() * BURST_SPREAD
        bursts.append((start, int(rng.choice(TOPICS, p=SHARES))))
    times: list[Floats] = []
    topics: list[Ints] = []
    for block in range(blocks):
        count = int(rng.poisson(rate * busy[block] * BLOCK))
        times.append(block * BLOCK + rng.random(count) * BLOCK)
        topics.append(rng.choice(TOPICS, size=count, p=SHARES))
    for start, topic in bursts:
        count = int(rng.poisson(rate * SHARES[topic] * BURST))
        times.append(start + rng.random(count) * BURST)
        topics.append(np.full(count, topic))
    at, about = np.concatenate(times), np.concatenate(topics)
    at, about = at[at < HORIZON], about[at < HORIZON]
    order = np.lexsort((about, at))
    return at[order], about[order]


def _draw_conversations(
    rng: np.random.Generator, scenario: Scenario, staff: Staff, times: Floats, topics: Ints, speed: Floats
) -> World:
    n, channels = len(times), scenario.channels
    english = rng.random(n) < ENGLISH_SHARE
    vip = rng.random(n) < VIP_SHARE
    channel = rng.choice(len(channels), size=n, p=[c.share for c in channels])
    variance = np.log(1 + np.array([c.work_cv for c in channels]) ** 2)[channel]
    median = np.log(np.array([c.mean_work for c in channels]))[channel] - variance / 2
    work = np.exp(rng.standard_normal(n) * np.sqrt(variance) + median)
    mean_patience = np.array([c.mean_patience or NO_PATIENCE_LIMIT for c in channels])
    patience = rng.exponential(1.0, n) * mean_patience[channel]
    repeat, pick = rng.random(n) < REPEAT_SHARE, rng.random(n)

    conversations = []
    for i in range(n):
        topic, language, c, important = int(topics[i]), int(english[i]), int(channel[i]), bool(vip[i])
        pool, shape = pool_of(topic, language), channels[c]
        known = staff.eligible[pool]
        last = known[int(pick[i] * len(known))] if repeat[i] else -1
        sla = shape.sla_vip if important else shape.sla
        queue = staff.queue_of(pool, important, c)
        conversations.append(
            Conversation(i, float(times[i]), topic, language, pool, important, c, queue, sla, last)
        )
    truth = Truth(tuple(work.tolist()), tuple(patience.tolist()), tuple(speed.tolist()))
    return World(staff, tuple(conversations), truth)


def sums(world: World) -> Mapping[str, float]:
    """Check sums, by the names under which `worlds.txt` of the reference prints them."""
    talk, staff = world.conversations, world.staff
    return {
        "n": len(talk),
        "t": math.fsum(c.arrived_at for c in talk),
        "topic": sum(c.topic for c in talk),
        "en": sum(c.language for c in talk),
        "vip": sum(c.vip for c in talk),
        "work": math.fsum(world.truth.work),
        "sla": sum(c.sla for c in talk),
        "last": sum(c.last_agent for c in talk),
        "speed": math.fsum(world.truth.speed),
        "levels": sum(sum(a.levels.values()) for a in staff.agents),
        "english": sum(1 in a.languages for a in staff.agents),
    }
