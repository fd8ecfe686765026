"""This file keeps the free agents in the pick's order, by profile, so that an item looks only at agents who can serve it."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from libs.workspace import Terms
from services.router.assignment.domain.policy import AgentSpec
from services.router.assignment.domain.strategies import AgentKey
from services.router.assignment.domain.waiting import Line, Requirement


class Profile(NamedTuple):
    """What agents have in common who can serve the same work on the same terms."""

    queues: frozenset[str]
    skills: tuple[tuple[str, int], ...]
    terms: tuple[tuple[str, Terms], ...]


class Group:
    """The agents of one profile: `free` may be given work now, in the pick's order; `others` may not, by id.

    `lines` are those whose items they can serve.
    """

    def __init__(self, profile: Profile) -> None:
        self.queues, self.levels, self.terms = profile.queues, dict(profile.skills), dict(profile.terms)
        self.free: list[AgentKey] = []
        self.others: list[str] = []
        self.lines: list[Line] = []
        self.connected = 0
        self.price = 0.0

    @property
    def size(self) -> int:
        return len(self.free) + len(self.others)

    def misfit(self, needs: Requirement) -> str | None:
        """Why none of them can ever serve it, in words; None where they can."""
        if needs.queues and not any(queue in self.queues for queue in needs.queues):
            return f"not in queue {needs.queues[0]}"
        for skill, least in needs.skills:
            if (level := self.levels.get(skill, 0)) < least:
                return f"skill {skill} {level} < {least}"
        return None


class Roster:
    """All agents of the policy, by group."""

    def __init__(self, specs: Iterable[AgentSpec]) -> None:
        groups: dict[Profile, Group] = {}
        self._group: dict[str, Group] = {}
        self._key: dict[str, AgentKey] = {}
        self._direct: dict[str, list[Line]] = {}
        self._by_skill: dict[str, list[Group]] = {}
        levels: dict[str, set[int]] = {}
        for spec in sorted(specs, key=lambda s: s.agent_id):
            skills = tuple(sorted(spec.skills.items()))
            profile = Profile(spec.queues, skills, tuple(sorted(spec.terms.items())))
            group = groups.get(profile)
            if group is None:
                group = groups[profile] = Group(profile)
                for skill, level in skills:
                    self._by_skill.setdefault(skill, []).append(group)
                    levels.setdefault(skill, set()).add(level)
            self._group[spec.agent_id] = group
            group.others.append(spec.agent_id)
        self.groups = list(groups.values())
        self.graded = frozenset(skill for skill, found in levels.items() if len(found) > 1)
        """Skills in which agents differ."""

    def group(self, agent_id: str) -> Group | None:
        return self._group.get(agent_id)

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
            if not group.free:
                for line in group.lines:
                    del line.live[group]
        else:
            self._key[agent_id] = key
            insort(group.free, key)
            if len(group.free) == 1:
                for line in group.lines:
                    line.live[group] = None

    def key(self, agent_id: str) -> AgentKey | None:
        """The place of a free agent, None for one who is not free."""
        return self._key.get(agent_id)

    def serves(self, agent_id: str, line: Line) -> bool:
        """Whether queue and skills fit. Work for one agent alone asks only for that agent: a person chose."""
        if line.needs.only_agent_id is not None:
            return line.needs.only_agent_id == agent_id
        group = self._group.get(agent_id)
        return group is not None and group.misfit(line.needs) is None

    def open(self, line: Line) -> None:
        """Let those who can serve a new line find it."""
        if line.needs.only_agent_id is not None:
            self._direct.setdefault(line.needs.only_agent_id, []).append(line)
            return
        for group in self.serving(line.needs):
            line.groups.append(group)
            group.lines.append(line)
            if group.free:
                line.live[group] = None

    def lines_for(self, agent_id: str) -> list[Line]:
        """The lines of which the agent can serve some item, room and exclusions apart."""
        group = self._group.get(agent_id)
        lines = group.lines if group else []
        direct = self._direct.get(agent_id)
        return [*direct, *lines] if direct else lines

    def serving(self, needs: Requirement) -> list[Group]:
        """The groups whose queue and skills fit."""
        among = self.groups
        for skill, _ in needs.skills:
            found = self._by_skill.get(skill, [])
            among = found if len(found) < len(among) else among
        return [group for group in among if group.misfit(needs) is None]
