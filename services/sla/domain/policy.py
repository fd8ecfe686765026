"""This file holds what a clock pins of the business configuration, and says which of several policies rules a metric.

Of all policies that fit a conversation, the one with the shortest target rules a metric; of equal targets that of the policy
that stands first in the workspace. Targets are compared, not deadlines: which policy rules does not depend on the hour. The
others have no clock of that metric.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from libs.contracts.vocabulary import VIP, Metric
from services.sla.domain.calendar import ALWAYS_OPEN

ON_HOLD = "on_hold"
"""Pause reason: snoozed."""
WAITING_FOR_CUSTOMER = "waiting_for_customer"
"""Pause reason: what we said last has no reply yet."""

METRICS = tuple(metric for metric in Metric if metric is not Metric.UNKNOWN)
PAUSES: tuple[tuple[Metric, tuple[str, ...]], ...] = (
    (Metric.RESOLUTION, (ON_HOLD,)),
    (Metric.TIME_TO_ASSIGNMENT, (ON_HOLD,)),
    (Metric.PERIODIC_UPDATE, (ON_HOLD,)),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an escalation, as the policy has it."""

    number: int
    """Its place in the policy, from 0."""
    share: float | None
    """Of the target; None: at the first warning."""
    offset: timedelta = timedelta(0)
    """Open time after that; below zero before it."""
    metrics: tuple[Metric, ...] = ()
    """None named means all."""
    raise_priority: int | None = None
    move_to_queue: str | None = None
    notify: tuple[str, ...] = ()
    assign_supervisor: str | None = None

    def due(self, target: timedelta, warn_at: tuple[float, ...]) -> float | None:
        """The share of the target at which it is done; None where there is no warning to do it at."""
        if self.share is None:
            return warn_at[0] if warn_at else None
        return self.share + self.offset / target


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy in one version of the workspace; a target of None means no clock of that metric.

    What it asks of inbox, channel and queue is checked before: only what may change otherwise is asked here.
    """

    id: str
    workspace_version: str
    first_response: timedelta | None = None
    next_response: timedelta | None = None
    resolution: timedelta | None = None
    warn_at: tuple[float, ...] = ()
    """Shares of the target at which to warn, ascending."""
    calendar: str = ALWAYS_OPEN.version
    """Its version."""
    time_to_assignment: timedelta | None = None
    periodic_update: timedelta | None = None
    by_priority: tuple[tuple[Metric, tuple[tuple[int, timedelta], ...]], ...] = ()
    """Targets from a priority on, ascending."""
    warn_before: tuple[timedelta, ...] = ()
    """Open time before the deadline at which to warn."""
    priorities: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    vip: bool | None = None
    pause_on: tuple[tuple[Metric, tuple[str, ...]], ...] = PAUSES
    human_only: bool = True
    """Only a person of ours answers."""
    escalate: tuple[Step, ...] = ()

    def fits(self, priority: int, tags: Collection[str]) -> bool:
        return (
            (not self.priorities or priority in self.priorities)
            and (not self.tags or any(tag in tags for tag in self.tags))
            and (self.vip is None or self.vip is (VIP in tags))
        )

    def target(self, metric: Metric, priority: int = 0) -> timedelta | None:
        """Of the highest priority named that is not above this one; else that of all."""
        found: timedelta | None = None if metric is Metric.UNKNOWN else getattr(self, metric.value)
        for named, targets in self.by_priority:
            if named is metric:
                for least, target in targets:
                    found = target if least <= priority else found
        return found

    def promises(self, metric: Metric) -> bool:
        """Whether there is a target for the metric, at any priority."""
        named = any(which is metric for which, _ in self.by_priority)
        return named or (metric is not Metric.UNKNOWN and getattr(self, metric.value) is not None)

    def warnings(self, target: timedelta) -> tuple[float, ...]:
        """Shares of a target at which to warn, ascending."""
        before = ((target - left) / target for left in self.warn_before if left < target)
        return tuple(sorted({*self.warn_at, *before})) if self.warn_before else self.warn_at

    def steps(self, metric: Metric, target: timedelta) -> tuple[tuple[float, Step], ...]:
        """Share of the target -> what is then done."""
        warn_at = self.warnings(target)
        timed = (
            (step.due(target, warn_at), step) for step in self.escalate if metric in (step.metrics or METRICS)
        )
        return tuple((share, step) for share, step in timed if share is not None)

    def pauses(self, metric: Metric) -> tuple[str, ...]:
        return dict(self.pause_on).get(metric, ())


def ruling(
    policies: Iterable[Policy], metric: Metric, priority: int, tags: Collection[str]
) -> tuple[Policy, timedelta] | None:
    """The policy that rules a metric of such a conversation, and its target; None where none has one."""
    found = None
    for policy in policies:
        target = policy.target(metric, priority) if policy.fits(priority, tags) else None
        if target is not None and (found is None or target < found[1]):
            found = policy, target
    return found
