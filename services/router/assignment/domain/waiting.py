"""This file keeps the waiting items in order, in one line per requirement, so that a freed agent looks at heads only."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from libs.contracts.vocabulary import Channel
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.strategies import ORDERS, WaitingKey, due_at, waiting_key
from services.router.assignment.domain.work import WorkItem

if TYPE_CHECKING:
    from services.router.assignment.domain.fit import Fit
    from services.router.assignment.domain.roster import Group

TARGET_GRADES = 4
"""Targets within a factor of two that a line of the order `gcmu` tells apart."""


class Requirement(NamedTuple):
    """What an item asks of an agent just now, apart from its own exclusions. Items with equal ones wait in one line."""

    queues: tuple[str, ...]
    """Agents of any of these; the item's own is the first. None for the work of another pool: agents of all queues."""
    skills: tuple[tuple[str, int], ...]
    channel: Channel
    units: int
    only_agent_id: str | None
    preferred: tuple[tuple[str, int], ...] = ()
    target: float = 0.0
    """Seconds from the wait's begin to the deadline, rounded down to a grade; 0 where the order does not ask."""


def requirement(policy: Policy, item: WorkItem) -> Requirement:
    queues: tuple[str, ...] = (item.queue,) if item.home is None else ()
    skills = item.skills
    for relaxation in policy.relaxations.get(item.queue, ())[: item.step]:
        queues += relaxation.queues
        lowered = {s: min(least, relaxation.skills.get(s, least)) for s, least in skills.items()}
        skills = {s: least for s, least in lowered.items() if least}
    target = _grade(item) if ORDERS[policy.order].by_target else 0.0
    preferred = tuple(sorted(item.preferred_skills.items())) if item.preferred_skills else ()
    return Requirement(
        queues,
        tuple(sorted(skills.items())),
        item.channel,
        item.units,
        item.only_agent_id,
        preferred,
        target,
    )


def _grade(item: WorkItem) -> float:
    seconds = max(1.0, (due_at(item) - item.waiting_since).total_seconds())
    mantissa, exponent = seconds, 0
    while mantissa >= 2:
        mantissa, exponent = mantissa / 2, exponent + 1
    return 2.0**exponent * int(mantissa * TARGET_GRADES) / TARGET_GRADES


class Line:
    """The waiting items of one requirement, by their keys; the first to be served first. May be empty.

    groups   agents who can serve it, of whom `live` have somebody free
    fits     what each of them is for it, as far as asked since the figures last changed, and, in `alike`, what all are who
             differ in nothing that it asks for; `best` and `terms` are made of it
    """

    def __init__(self, needs: Requirement) -> None:
        self.needs = needs
        self.keys: list[WaitingKey] = []
        self.groups: list[Group] = []
        self.live: dict[Group, None] = {}
        self.fits: dict[Group, Fit] = {}
        self.alike: dict[tuple[object, ...], Fit] = {}
        self.best: float | None = None
        self.terms: list[Fit] | None = None
        self.misfits: dict[Group, str | None] = {}
        """Why others can never serve it, as far as asked."""

    def forget_fits(self) -> None:
        self.fits.clear()
        self.alike.clear()
        self.best = self.terms = None


class Waiting:
    """All lines. An item must be removed before any of its fields changes.

    `opened` is told each new line, once. Lines are kept when they are empty: requirements come from the workspace's
    queues, so there are not many.
    """

    def __init__(self, policy: Policy, opened: Callable[[Line], None]) -> None:
        self._policy = policy
        self._lines: dict[Requirement, Line] = {}
        self._places: dict[str, Line] = {}
        """Where the items wait."""
        self._opened = opened

    def line(self, needs: Requirement) -> Line:
        line = self._lines.get(needs)
        if line is None:
            line = self._lines[needs] = Line(needs)
            self._opened(line)
        return line

    def line_of(self, item: WorkItem) -> Line:
        return self.line(requirement(self._policy, item))

    def key(self, item: WorkItem) -> WaitingKey:
        """The place of an item among all that wait."""
        return waiting_key(self._policy, item)

    def place_of(self, item: WorkItem) -> Line:
        """The line of an item as it waits now."""
        return self._places[item.work_item_id]

    def add(self, item: WorkItem) -> None:
        line = self._places[item.work_item_id] = self.line_of(item)
        insort(line.keys, self.key(item))

    def fill(self, items: list[WorkItem]) -> None:
        """Many at once, into lines that may hold some already."""
        filled: dict[Requirement, Line] = {}
        for item in items:
            line = self._places[item.work_item_id] = self.line_of(item)
            line.keys.append(self.key(item))
            filled[line.needs] = line
        for line in filled.values():
            line.keys.sort()

    def remove(self, item: WorkItem) -> None:
        keys, key = self._places[item.work_item_id].keys, self.key(item)
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            raise KeyError(item.work_item_id)
        del keys[place], self._places[item.work_item_id]

    def forget_fits(self) -> None:
        """The figures, or who is there, have changed."""
        for line in self._lines.values():
            line.forget_fits()

    def open_lines(self) -> list[Line]:
        """Lines with somebody waiting and somebody free, who for some reason do not come together."""
        return [line for line in self._lines.values() if line.keys and line.live]

    def in_order(self) -> Iterator[str]:
        """Ids of all waiting items, the first to be served first."""
        return (key.work_item_id for key in merge(*(line.keys for line in self._lines.values())))

    def __len__(self) -> int:
        return sum(len(line.keys) for line in self._lines.values())
