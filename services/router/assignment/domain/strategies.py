"""This file holds the two orders of matching: which of the waiting items comes first, who of the free agents comes first.

Each is one small pure function in a table; a new one is one more entry and one more word in the workspace's schema.

Ranks are microseconds, smallest first. All but `gcmu` move with time at one speed, so that two waiting items never change
places while they wait: a line stays sorted by itself, and a customer can be told the place they have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.work import WorkItem

UNDATED_TARGET = timedelta(hours=1)
"""Where no SLA deadline is nearer, an item counts as due this long after its customer began to wait."""
GUARD = 3
"""Targets after which a late item stands behind no more, where late ones are put behind."""
FIT_WORTH = timedelta(minutes=1)
"""What an agent who takes e times as long (natural logarithm 1) moves a deadline away, in the order `slack`."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class WaitingKey(NamedTuple):
    """Smallest first: rank, longer wait, id."""

    rank: int
    since: int
    work_item_id: str


def micros(at: datetime) -> int:
    """Microseconds since the epoch."""
    return (at - EPOCH) // MICROSECOND


def due_at(item: WorkItem) -> datetime:
    """The deadline by which an item is ordered: within UNDATED_TARGET of the wait's begin.

    Nobody is due before they began to wait (a conversation that comes back with a deadline long missed): else such
    arrivals would pass the others for ever.
    """
    undated = item.waiting_since + UNDATED_TARGET
    return undated if item.due_at is None else max(item.waiting_since, min(item.due_at, undated))


@dataclass(frozen=True, slots=True)
class Order:
    """One order of waiting items.

    base        since when, or until when, an item counts, before priority
    head_start  what one level of priority is worth, where the pool does not say
    fits        whether an agent's fit moves it (FIT_WORTH)
    by_target   whether lines are kept apart by target, and compared by cost instead of rank
    """

    base: Callable[[WorkItem], datetime]
    head_start: timedelta
    fits: bool = False
    by_target: bool = False


ORDERS: Mapping[str, Order] = MappingProxyType(
    {
        "longest_wait": Order(lambda item: item.waiting_since, timedelta(minutes=10)),
        "priority": Order(due_at, timedelta(hours=1)),
        "deadline": Order(due_at, timedelta(0)),
        "slack": Order(due_at, timedelta(minutes=10), fits=True),
        "gcmu": Order(lambda item: item.waiting_since, timedelta(minutes=10), by_target=True),
    }
)
"""
longest_wait   first come, first served; a level of priority is worth ten minutes (the shape of Genesys Cloud)
priority       by deadline within a level; a level is worth an hour, so that it rules while nobody waits for hours
deadline       earliest deadline first
slack          deadline moved by fit and priority: who has least time left, counted longer where the agent is slow
gcmu           largest marginal delay cost times speed for the cost (wait / target)^2 / 2 (Mandelbaum and Stolyar 2004)
"""


def head_start(policy: Policy) -> timedelta:
    return ORDERS[policy.order].head_start if policy.head_start is None else policy.head_start


def waiting_key(policy: Policy, item: WorkItem) -> WaitingKey:
    """The place of an item among all that wait."""
    order, since = ORDERS[policy.order], micros(item.waiting_since)
    rank = micros(order.base(item))
    if item.priority:
        rank -= item.priority * (head_start(policy) // MICROSECOND)
    return WaitingKey(rank, since, item.work_item_id)


def passed_at_most(policy: Policy, levels: int) -> timedelta | None:
    """The bound on starvation: an item can only be passed by items whose customers began to wait at most this much later.

    None for the order `gcmu`, which has none: a short enough target passes a long one, however late it comes. For items
    that agents can take one by one: who needs more units than come free at once can be passed by smaller ones.

    `levels`: of priority, between the highest in use and the item's own. Fit moves a deadline by FIT_WORTH times the
    logarithm of a handle time's multiple, which learning.py keeps within e^±1.
    """
    order = ORDERS[policy.order]
    if order.by_target:
        return None
    bound = levels * head_start(policy)
    if order.base is due_at:
        bound += UNDATED_TARGET
    if order.fits:
        bound += 2 * FIT_WORTH
    return bound + GUARD * UNDATED_TARGET if policy.late_behind else bound


class Standing(NamedTuple):
    """What a pick may compare of an agent. Turns, not times: the items of one batch share a time."""

    agent_id: str
    touched: int
    """Turn of the latest offer, assignment, release or return to available."""
    given: int
    """Turn of the latest offer or assignment."""
    load: int
    capacity: int


AgentKey = tuple[int, int, str]
"""Smallest first; the last is the agent."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One order of free agents: `key` within those of equal skills; `by_level`, `by_fit`: how those are told apart first."""

    key: Callable[[Standing], AgentKey]
    by_level: bool = False
    by_fit: bool = False


PICKS: Mapping[str, Pick] = MappingProxyType(
    {
        "longest_idle": Pick(lambda s: (s.touched, 0, s.agent_id)),
        "round_robin": Pick(lambda s: (s.given, 0, s.agent_id)),
        "least_loaded": Pick(lambda s: (s.load, s.touched, s.agent_id)),
        "most_spare": Pick(lambda s: (s.load - s.capacity, s.touched, s.agent_id)),
        "best_skill": Pick(lambda s: (s.load, s.touched, s.agent_id), by_level=True),
        "best_fit": Pick(lambda s: (s.load, s.touched, s.agent_id), by_fit=True),
    }
)
"""
longest_idle   without new work for longest
round_robin    given work longest ago
least_loaded   fewest units taken, then longest idle
most_spare     most units left, then longest idle
best_skill     highest levels in what is asked for, then least loaded
best_fit       shortest handle time as learned, slowed by what they have open, plus the price of their flexibility
"""
