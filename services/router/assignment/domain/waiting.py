"""This file keeps the waiting items in order, in one line per requirement, so that a freed agent looks at heads only."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import merge
from typing import NamedTuple

from libs.contracts.vocabulary import Channel
from services.router.assignment.domain.strategies import WaitingKey, waiting_key
from services.router.assignment.domain.work import WorkItem


class Requirement(NamedTuple):
    """What an item asks of an agent, apart from its own exclusions. Items with equal ones wait in one line."""

    queue: str
    skills: tuple[tuple[str, int], ...]
    channel: Channel
    units: int
    only_agent_id: str | None


def requirement(item: WorkItem) -> Requirement:
    skills = tuple(sorted(item.skills.items()))
    return Requirement(item.queue, skills, item.channel, item.units, item.only_agent_id)


class Line:
    """The waiting items of one requirement, by their keys; the first to be served first. May be empty."""

    def __init__(self, needs: Requirement) -> None:
        self.needs = needs
        self.keys: list[WaitingKey] = []


class Waiting:
    """All lines. An item must be removed before any of its fields changes.

    `opened` is told each new line, once. Lines are kept when they are empty: requirements come from the workspace's
    queues, so there are not many.
    """

    def __init__(self, opened: Callable[[Line], None]) -> None:
        self._lines: dict[Requirement, Line] = {}
        self._opened = opened

    def add(self, item: WorkItem) -> None:
        needs = requirement(item)
        line = self._lines.get(needs)
        if line is None:
            line = self._lines[needs] = Line(needs)
            self._opened(line)
        insort(line.keys, waiting_key(item))

    def remove(self, item: WorkItem) -> None:
        keys, key = self._lines[requirement(item)].keys, waiting_key(item)
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            raise KeyError(item.work_item_id)
        del keys[place]

    def in_order(self) -> Iterator[str]:
        """Ids of all waiting items, the first to be served first."""
        return (key[-1] for key in merge(*(line.keys for line in self._lines.values())))

    def __len__(self) -> int:
        return sum(len(line.keys) for line in self._lines.values())
