"""This file holds the two orders of matching: who of the free agents comes first, which of the waiting items comes first.

A strategy is one small pure function; a new one is one more entry in STRATEGIES and one more word in the workspace's schema.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from services.router.assignment.domain.work import WorkItem

UNDATED_TARGET = timedelta(hours=1)
"""Where no SLA deadline is nearer, an item counts as due this long after its customer began to wait. Since every item
is due by then, nothing of the same priority that arrives an hour later can pass it: no item waits for ever behind others."""


class Standing(NamedTuple):
    """What a strategy may compare of an agent."""

    agent_id: str
    touched: int
    """Turn of the latest offer, assignment, release or return to available."""
    load: int
    capacity: int


AgentOrder = Callable[[Standing], tuple[int, str]]
"""Smallest first."""


def longest_idle(standing: Standing) -> tuple[int, str]:
    """Whoever has been without new work for longest. Turns, not times: the items of one batch share a time."""
    return (standing.touched, standing.agent_id)


STRATEGIES: Mapping[str, AgentOrder] = MappingProxyType({"longest_idle": longest_idle})

WaitingKey = tuple[int, datetime, datetime, str]


def waiting_key(item: WorkItem) -> WaitingKey:
    """Smallest first: higher priority, nearer deadline, longer wait, id."""
    deadline = item.waiting_since + UNDATED_TARGET
    if item.due_at is not None and item.due_at < deadline:
        deadline = item.due_at
    return (-item.priority, deadline, item.waiting_since, item.work_item_id)
