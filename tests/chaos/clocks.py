"""This file computes, from the conversations' own events, which deadlines and warnings were due, and compares what fired.

It knows the rules of the clocks that a campaign's workspace has, and nothing of the service that keeps them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.demo.reconcile import Finding
from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.payloads.sla import ClockBreached, ClockEvent, ClockWarned
from libs.contracts.vocabulary import Metric
from libs.workspace import SlaPolicy, Workspace
from tests.chaos.log import Log, Step

OPENINGS = ("conversation.opened.v1", "conversation.reopened.v1")
DECISIONS = (*OPENINGS, "conversation.resolved.v1")
MARGIN = timedelta(seconds=5)
"""What was due less long ago is not looked at."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One clock, as its conversation's events make it. `ended_at` None: still running."""

    clock_id: str
    started_at: datetime
    target: timedelta
    warn_at: Sequence[float]
    ended_at: datetime | None

    @property
    def due_at(self) -> datetime:
        return self.started_at + self.target

    def moment(self, share: float) -> datetime:
        return self.started_at + self.target * share

    def passed(self, moment: datetime, now: datetime) -> bool:
        """Whether the clock ran past a moment; an end at that very moment comes first."""
        return moment < (self.ended_at or now)


def fired(log: Log, workspace: Workspace, now: datetime) -> Finding:
    """P6: each deadline and warning fired exactly once where it was due, stamped with when it was due, and no other did.

    A breach that was taken back counts as none: the answer in time came late on the log. A warning cannot be taken back.
    """
    finding = Finding(
        "every due deadline and warning fired once, stamped with its time; no other deadline did"
    )
    told = dict(log.clocks)
    for name, steps in log.conversations.items():
        for clock in expected(name, steps, workspace):
            events = told.pop(clock.clock_id, [])
            if clock.ended_at is None and clock.due_at > now - MARGIN:
                continue
            for problem in _problems(clock, events, now):
                finding.offenders.append(f"{clock.clock_id} of {name}: {problem}")
            finding.checked += 1 + len(clock.warn_at)
    finding.offenders += [
        f"{clock} has {len(events)} events, and no reason to be" for clock, events in told.items()
    ]
    return finding


def expected(conversation: str, steps: Iterable[Step], workspace: Workspace) -> Iterator[Expected]:
    """The clocks of a conversation that is never snoozed nor transferred.

    first_response: from each opening, as long as nobody has answered, to the first answer or the resolution.
    resolution: from each opening to the resolution.
    """
    running: dict[Metric, tuple[int, datetime, timedelta, SlaPolicy]] = {}
    answered = False
    for step, at in in_order(steps):
        ending: tuple[Metric, ...] = ()
        if step.type in OPENINGS:
            policy = _policy(workspace, step.queue)
            targets = {Metric.RESOLUTION: policy.resolution if policy else None}
            if not answered:
                targets[Metric.FIRST_RESPONSE] = policy.first_response if policy else None
            for metric, target in targets.items():
                if policy and target is not None and metric not in running:
                    running[metric] = (step.version, at, target, policy)
        elif step.type in DECISIONS:
            ending = tuple(running)
        elif step.answer:
            answered, ending = True, (Metric.FIRST_RESPONSE,)
        for metric in ending:
            if metric in running:
                yield _clock(conversation, metric, *running.pop(metric), at)
    for metric, started in running.items():
        yield _clock(conversation, metric, *started, None)


def in_order(steps: Iterable[Step]) -> list[tuple[Step, datetime]]:
    """By event time, where a decision counts from no earlier than the one before it, and an answer than the first opening."""
    decided: datetime | None = None
    first: datetime | None = None
    found = []
    for step in sorted(steps, key=lambda step: step.version):
        at = step.at
        if step.type in DECISIONS:
            at = decided = max(at, decided or at)
            first = first or at
        elif step.answer:
            at = max(at, first or at)
        found.append((step, at))
    return sorted(found, key=lambda pair: (pair[1], pair[0].version))


def _problems(clock: Expected, events: Sequence[ClockEvent], now: datetime) -> Iterator[str]:
    if not events:
        yield "no event"
        return
    if events[-1].started_at != clock.started_at:
        yield f"started at {events[-1].started_at}, expected {clock.started_at}"
    versions = [event.version for event in events]
    if versions != list(range(1, len(versions) + 1)):
        yield f"its events are numbered {versions}"
    breaches = [event for event in events if isinstance(event, ClockBreached)]
    stands = len(breaches) - sum(event.corrects_breach for event in events)
    due = int(clock.passed(clock.due_at, now))
    if stands != due:
        yield f"{stands} breaches stand, {due} expected (due {clock.due_at}, ended {clock.ended_at})"
    yield from (
        f"breach stamped {b.occurred_at}, due {b.due_at}" for b in breaches if b.occurred_at != b.due_at
    )
    warnings = Counter(event.fraction for event in events if isinstance(event, ClockWarned))
    for share in clock.warn_at:
        wanted = clock.passed(clock.moment(share), now)
        if warnings[share] > 1 or (wanted and not warnings[share]):
            yield f"{warnings[share]} warnings at {share:g}"


def _policy(workspace: Workspace, queue: str | None) -> SlaPolicy | None:
    known = workspace.queues.get(queue or "")
    return workspace.sla_policies.get(known.sla or "") if known else None


def _clock(
    conversation: str,
    metric: Metric,
    number: int,
    started_at: datetime,
    target: timedelta,
    policy: SlaPolicy,
    ended_at: datetime | None,
) -> Expected:
    name = clock_id(ConversationId(conversation), metric, number)
    return Expected(
        name,
        started_at,
        target,
        tuple(share for share in policy.warn_at if isinstance(share, float)),
        ended_at,
    )
