"""This file keeps the waiting items in order, by class of requirement, so that a freed agent looks at heads only."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from services.router.assignment.domain.strategies import WaitingKey, waiting_key
from services.router.assignment.domain.work import WorkItem


class Requirement(NamedTuple):
    """What an item asks of an agent, apart from its own exclusions. Items with equal ones wait in one line."""

    queue: str
    skills: tuple[tuple[str, int], ...]
    units: int
    only_agent_id: str | None


def requirement(item: WorkItem) -> Requirement:
    return Requirement(item.queue, tuple(sorted(item.skills.items())), item.units, item.only_agent_id)


class Waiting:
    """Sorted lines of waiting keys by requirement. An item must be removed before any of its fields changes."""

    def __init__(self) -> None:
        self.lines: dict[Requirement, list[WaitingKey]] = {}

    def add(self, item: WorkItem) -> None:
        insort(self.lines.setdefault(requirement(item), []), waiting_key(item))

    def remove(self, item: WorkItem) -> None:
        needs = requirement(item)
        line, key = self.lines[needs], waiting_key(item)
        place = bisect_left(line, key)
        if place == len(line) or line[place] != key:
            raise KeyError(item.work_item_id)
        del line[place]
        if not line:
            del self.lines[needs]

    def in_order(self) -> Iterator[str]:
        """Ids of all waiting items, the first to be served first."""
        return (key[-1] for key in merge(*self.lines.values()))

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))
