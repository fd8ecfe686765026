"""This file names every figure of matching."""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.contracts.vocabulary import WorkState

if TYPE_CHECKING:
    from services.router.assignment.store import AssignmentStore

DECISION = Histogram(
    "sambung_router_decision_seconds",
    "One input through the engine of its pool",
    ["input"],
    buckets=(0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1),
)
RESERVATIONS = Counter(
    "sambung_router_reservations_total", "Reservations by how they ended", ["pool", "outcome"]
)
"""outcome: accepted, declined, expired, rescinded"""
ASSIGNED = Histogram(
    "sambung_router_assignment_wait_seconds",
    "From the customer's request to an agent, by how it came about",
    ["queue", "way"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 30, 60, 120, 300, 900, 3600),
)
"""way: accepted, direct (auto-accept), pulled, forced; work that is taken over from another agent has not waited"""
LENDING = Counter(
    "sambung_router_lending_total",
    "What pools said to each other about work whose queue joins them, by the pool that said it",
    ["pool", "what"],
)
"""what: lent, claimed, granted, recalled, returned, settled, passed_on"""
REFUSED = Counter("sambung_router_agent_commands_refused_total", "Agent commands refused, by code", ["code"])

HOOK_ASKED = Counter("sambung_router_hook_asked_total", "Requests sent to an allocation hook", ["hook"])
"""hook: where it stands in the workspace, e.g. pools.layanan"""
HOOK_SECONDS = Histogram(
    "sambung_router_hook_seconds",
    "From asking an allocation hook to its answer or its failure",
    ["hook"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
HOOK_BREAKER = Gauge(
    "sambung_router_hook_breaker_open", "1 while an allocation hook is not asked since it failed", ["hook"]
)
HOOK_ANSWERS = Counter(
    "sambung_router_hook_answers_total", "What came of asking about a work item", ["pool", "outcome"]
)
"""outcome: chosen, refused (nobody named could take it), no_opinion, timeout, unreachable, status, invalid, breaker, crowded, unconfigured;
late: an answer that nobody waited for any more"""


class _Waiting(Collector):
    """What waits in this process's lanes, counted when it is asked for, so that the hot path pays nothing."""

    def __init__(self) -> None:
        self.stores: WeakSet[AssignmentStore] = WeakSet()

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        depth, oldest = Tally[tuple[str, str]](), dict[tuple[str, str], float]()
        for store in list(self.stores):
            for pool, engine in store.engines.items():
                for item in engine.book.items.values():
                    if item.state is WorkState.QUEUED and not item.loan:
                        slot, since = (pool, item.queue), item.waiting_since.timestamp()
                        depth[slot] += 1
                        oldest[slot] = min(since, oldest.get(slot, since))
        waiting = GaugeMetricFamily(
            "sambung_router_waiting_items", "Work items that wait for an agent", labels=["pool", "queue"]
        )
        since_when = GaugeMetricFamily(
            "sambung_router_waiting_oldest_timestamp_seconds",
            "Since when the one that waits longest has waited (Unix time)",
            labels=["pool", "queue"],
        )
        for slot, count in sorted(depth.items()):
            waiting.add_metric(slot, count)
            since_when.add_metric(slot, oldest[slot])
        yield waiting
        yield since_when


WAITING = _Waiting()
REGISTRY.register(WAITING)
