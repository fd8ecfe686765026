"""This file keeps the free agents in the strategy's order, by profile, so that an item looks only at agents who can serve it."""

from bisect import bisect_left, insort
from typing import NamedTuple

from services.router.assignment.domain.policy import AgentSpec
from services.router.assignment.domain.waiting import Line, Requirement

CACHED_REQUIREMENTS = 10_000
"""Distinct requirements whose matching groups are remembered; beyond it the cache starts anew."""

AgentKey = tuple[int, str]


class Profile(NamedTuple):
    """What agents have in common who can serve the same work."""

    queues: frozenset[str]
    skills: tuple[tuple[str, int], ...]


class Group:
    """The agents of one profile: `free` may be given work now, in the strategy's order; `others` may not, by id.

    `lines` are those whose items they can serve.
    """

    def __init__(self, profile: Profile) -> None:
        self.queues, self.levels = profile.queues, dict(profile.skills)
        self.free: list[AgentKey] = []
        self.others: list[str] = []
        self.lines: list[Line] = []

    def serves(self, needs: Requirement) -> bool:
        return needs.queue in self.queues and all(self.levels.get(s, 0) >= least for s, least in needs.skills)


class Roster:
    """All agents of the policy, by group."""

    def __init__(self, specs: list[AgentSpec]) -> None:
        self.groups: dict[Profile, Group] = {}
        self._group: dict[str, Group] = {}
        self._key: dict[str, AgentKey] = {}
        self._serving: dict[Requirement, list[Group]] = {}
        self._direct: dict[str, list[Line]] = {}
        for spec in sorted(specs, key=lambda s: s.agent_id):
            profile = Profile(spec.queues, tuple(sorted(spec.skills.items())))
            group = self.groups.setdefault(profile, Group(profile))
            self._group[spec.agent_id] = group
            group.others.append(spec.agent_id)

    def place(self, agent_id: str, key: AgentKey | None) -> None:
        """Free with this place in the order, or not free (None)."""
        old = self._key.get(agent_id)
        group = self._group.get(agent_id)
        if old == key or group is None:
            return
        if old is None:
            del group.others[bisect_left(group.others, agent_id)]
        else:
            del group.free[bisect_left(group.free, old)]
        if key is None:
            del self._key[agent_id]
            insort(group.others, agent_id)
        else:
            self._key[agent_id] = key
            insort(group.free, key)

    def key(self, agent_id: str) -> AgentKey | None:
        """The place of a free agent, None for one who is not free."""
        return self._key.get(agent_id)

    def serves(self, agent_id: str, needs: Requirement) -> bool:
        """Whether queue and skills fit. Work for one agent alone asks only for that agent: a person chose."""
        if needs.only_agent_id is not None:
            return needs.only_agent_id == agent_id
        group = self._group.get(agent_id)
        return group is not None and group.serves(needs)

    def open(self, line: Line) -> None:
        """Let those who can serve a new line find it."""
        if line.needs.only_agent_id is not None:
            self._direct.setdefault(line.needs.only_agent_id, []).append(line)
            return
        for group in self.serving(line.needs):
            group.lines.append(line)

    def lines_for(self, agent_id: str) -> list[Line]:
        """The lines of which the agent can serve some item, room and exclusions apart."""
        group = self._group.get(agent_id)
        return [*self._direct.get(agent_id, ()), *(group.lines if group else ())]

    def serving(self, needs: Requirement) -> list[Group]:
        """The groups whose queue and skills fit."""
        found = self._serving.get(needs)
        if found is None:
            if len(self._serving) >= CACHED_REQUIREMENTS:
                self._serving.clear()
            found = self._serving[needs] = [g for g in self.groups.values() if g.serves(needs)]
        return found
