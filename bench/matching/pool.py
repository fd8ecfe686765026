"""This file draws a pool that is larger than any known: its agents, who of them is free, and what waits.

Half of the skills are short of agents: everybody who has one is busy, and all that waits asks for one of them. In the
other half most work finds somebody at once. For a pick by fit, handle times have been learned.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.contracts.vocabulary import Channel, Presence, WorkState
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.learning import HANDLING, PERIOD, Cell
from services.router.assignment.domain.policy import AgentSpec, Policy
from services.router.assignment.domain.strategies import PICKS
from services.router.assignment.domain.work import WorkItem

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
POOL, QUEUE = "vast", "all"
CAPACITY = 3
TARGETS = (60, 120, 600, 1800)
"""Seconds to the deadline."""
SKILLS_OF_AN_AGENT = (2, 6)
DEEPEST_LEVEL = 3
"""Highest level that work asks for."""


@dataclass(frozen=True, slots=True)
class Size:
    agents: int = 10_000
    skills: int = 200
    waiting: int = 100_000
    idle: float = 0.10
    """Share of the agents of the skills that are not short who are free."""


def skill(number: int) -> str:
    return f"skill_{number:03d}"


class Drawn:
    """One pool, by seed: `policy`, `agents`, `items` and `cells`, as rows of a router that has just lost its process."""

    def __init__(self, size: Size, order: str, pick: str, seed: int = 1) -> None:
        self.size, self._dice = size, random.Random(seed)
        specs = [self._spec(number) for number in range(size.agents)]
        self.policy = Policy(
            POOL, "1", order, pick, auto_accept=True, agents={spec.agent_id: spec for spec in specs}
        )
        self.free = [a.agent_id for a in specs if not self._short(a) and self._dice.random() < size.idle]
        self.agents = [self._state(spec) for spec in specs]
        self.items = [*self._held(specs), *self._waiting()]
        self.cells = self._learned() if PICKS[pick].by_fit else []
        self.busy = [spec.agent_id for spec in specs if self._short(spec)]

    def arrival(self, number: int) -> WorkItem:
        """New work, half of it for skills that are short."""
        half = self.size.skills // 2
        asked = skill(self._dice.randrange(half) + half * (number % 2))
        return self._item(f"wki_new_{number:06d}", asked, NOW, WorkState.QUEUED)

    def _spec(self, number: int) -> AgentSpec:
        half, short = self.size.skills // 2, number % 2 == 0
        among = range(half) if short else range(half, self.size.skills)
        some = self._dice.sample(among, self._dice.randint(*SKILLS_OF_AN_AGENT))
        levels = {skill(s): self._dice.randint(1, 5) for s in some}
        return AgentSpec(f"agt_{number:05d}", levels, frozenset({QUEUE}), CAPACITY)

    def _learned(self) -> list[Cell]:
        """Two hundred finished items by skill and level, each level six per cent faster than the one below."""
        period = int(NOW.timestamp() // PERIOD.total_seconds())
        return [
            Cell(POOL, HANDLING, f"{skill(s)}:{level}", 0, period, past_n=200.0, past_total=200.0 * (math.log(300) - 0.06 * level))
            for s in range(self.size.skills)
            for level in range(1, 6)
        ]  # fmt: skip

    def _short(self, spec: AgentSpec) -> bool:
        return min(spec.skills) < skill(self.size.skills // 2)

    def _state(self, spec: AgentSpec) -> AgentState:
        turn = self._dice.randrange(1, 10**9)
        idle = NOW - timedelta(seconds=self._dice.randrange(3600))
        return AgentState(
            POOL,
            spec.agent_id,
            0,
            1,
            spec.capacity,
            presence=Presence.AVAILABLE,
            since=idle,
            heartbeat_at=NOW,
            touched=turn,
            given=turn,
            idle_since=idle,
        )

    def _held(self, specs: list[AgentSpec]) -> Iterator[WorkItem]:
        free = set(self.free)
        for spec in specs:
            for number in range(CAPACITY if spec.agent_id not in free else self._dice.randrange(CAPACITY)):
                asked = self._dice.choice(sorted(spec.skills))
                name = f"wki_{spec.agent_id}_{number}"
                yield self._item(name, asked, NOW, WorkState.ASSIGNED, spec.agent_id)

    def _waiting(self) -> Iterator[WorkItem]:
        for number in range(self.size.waiting):
            since = NOW - timedelta(seconds=self._dice.random() * 3600)
            asked = skill(self._dice.randrange(self.size.skills // 2))
            yield self._item(f"wki_{number:06d}", asked, since, WorkState.QUEUED)

    def _item(
        self, name: str, asked: str, since: datetime, state: WorkState, agent: str | None = None
    ) -> WorkItem:
        dice = self._dice
        skills = {asked: dice.randint(1, DEEPEST_LEVEL)}
        return WorkItem(
            work_item_id=name,
            lane=0,
            pool=POOL,
            conversation_id=name,
            contact_point_id=name,
            queue=QUEUE,
            channel=Channel.CUSTOM,
            skills=skills,
            units=1,
            priority=int(dice.random() < 0.1),
            due_at=since + timedelta(seconds=dice.choice(TARGETS)),
            last_agent_id=None,
            only_agent_id=None,
            excluded_agent_ids=(),
            waiting_since=since,
            state=state,
            version=1,
            changed_at=since,
            agent_id=agent,
            assigned_at=since if agent else None,
        )
