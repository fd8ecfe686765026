"""This file folds what happened to a conversation into its clocks.

first_response  opening ─▶ first answer of a person. Resolved before: cancelled. A reopened conversation that no person has
                answered yet starts the next one.
next_response   first message of the customer that is not answered, once a person has answered at all ─▶ the next answer.
                Resolved before: cancelled.
resolution      opening ─▶ resolved. Snoozed pauses it. A reopening starts a new one with the whole target; the one before
                stays as it ended, so that no figure changes afterwards.

Each opening and reopening takes the policy of its queue; a transfer moves running clocks to the other queue and leaves
their targets alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce

from libs.contracts.vocabulary import Metric
from services.sla.domain.clock import Clock, State
from services.sla.domain.facts import Fact, Floor, Kind, counted, in_order
from services.sla.domain.policy import Policy

LATENESS = timedelta(hours=24)
"""What comes later than this after it happened counts as having happened so long ago; it bounds what is kept."""
KEPT = 200
"""Facts of one conversation that are kept one by one; of a busier one, the older half is settled sooner."""

NOTHING_SETTLED = Floor()


class Phase(StrEnum):
    UNSEEN = "unseen"
    """Its opening is not known yet."""
    OPEN = "open"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the facts so far amount to, without clocks that are settled."""

    phase: Phase = Phase.UNSEEN
    queue: str = ""
    policy: Policy | None = None
    answered: bool = False
    """By a person, ever."""
    running: tuple[Clock, ...] = ()
    """Those that have not ended, paused ones among them; one of a metric at most."""
    ended: tuple[Clock, ...] = ()
    floor: Floor = NOTHING_SETTLED

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """Those of one metric in order of their start."""
        return (*self.ended, *self.running)


@dataclass(frozen=True, slots=True)
class Fold:
    """A conversation, from what it was folded, and what is needed to go on with a fact that is the latest."""

    base: Conversation
    facts: tuple[Fact, ...]
    conversation: Conversation
    floor: Floor
    last: tuple[datetime, int] | None = None
    """Moment and version of the last fact in event time."""
    version: int = 0
    """The highest."""


def fold(base: Conversation, facts: tuple[Fact, ...], known: Fold | None = None) -> Fold:
    """The conversation after these facts, whatever the order they are given in.

    `known` is an earlier fold. Where it is of the same base, and of the same facts or all but the last of them, and that is
    the latest in every order, as most are, only that one is folded; the result is the same.
    """
    if known is not None and known.base is base:
        if known.facts == facts:
            return known
        if known.facts == facts[:-1] and (further := _further(known, facts)) is not None:
            return further
    ordered, floor = in_order(facts, base.floor)
    conversation = reduce(_step, ordered, base)
    last = (ordered[-1].at, ordered[-1].version) if ordered else None
    return Fold(base, facts, conversation, floor, last, max((fact.version for fact in facts), default=0))


def _further(known: Fold, facts: tuple[Fact, ...]) -> Fold | None:
    fact, floor = counted(facts[-1], known.floor)
    last = (fact.at, fact.version)
    if fact.version <= known.version or (known.last is not None and last < known.last):
        return None
    return Fold(known.base, facts, _step(known.conversation, fact), floor, last, fact.version)


def _step(before: Conversation, fact: Fact) -> Conversation:
    return STEPS[fact.kind](before, fact)


@dataclass(frozen=True, slots=True)
class Settled:
    """A new base, the facts that are still kept one by one, and the clocks that can change no more."""

    base: Conversation
    facts: tuple[Fact, ...]
    gone: tuple[Clock, ...] = ()


def settle(
    base: Conversation,
    facts: tuple[Fact, ...],
    reached: datetime,
    *,
    lateness: timedelta = LATENESS,
    kept: int = KEPT,
) -> Settled:
    """Fold away what happened too long ago to be kept one by one. The fold of what is left is the same.

    What comes after this and is older counts as if it had happened at the moment up to which all is settled.
    """
    horizon = reached - lateness
    if len(facts) <= kept and all(fact.at >= horizon for fact in facts):
        return Settled(base, facts)
    ordered, _ = in_order(facts, base.floor)
    if len(ordered) > kept:
        horizon = max(horizon, ordered[len(ordered) - kept // 2].at)
    old = tuple(fact for fact in ordered if fact.at < horizon)
    if not old:
        return Settled(base, facts)
    folded = fold(base, old)
    after = folded.conversation
    gone = tuple(clock for clock in after.ended if clock.ended_at is not None and clock.ended_at < horizon)
    live = tuple(clock for clock in after.ended if clock not in gone)
    versions = {fact.version for fact in old}
    return Settled(
        base=replace(after, ended=live, floor=replace(folded.floor, settled=horizon)),
        facts=tuple(fact for fact in facts if fact.version not in versions),
        gone=gone,
    )


def _opened(before: Conversation, fact: Fact) -> Conversation:
    if before.phase is not Phase.UNSEEN:
        return before
    return _begun(before, fact)


def _reopened(before: Conversation, fact: Fact) -> Conversation:
    match before.phase:
        case Phase.OPEN:
            return before
        case Phase.SNOOZED:
            moved = _transferred(before, fact)
            return replace(_each(moved, lambda clock: clock.resumed(fact.at)), phase=Phase.OPEN)
        case _:
            return _begun(before, fact)


def _begun(before: Conversation, fact: Fact) -> Conversation:
    found = replace(before, phase=Phase.OPEN, queue=fact.queue or before.queue, policy=fact.policy)
    if not before.answered:
        found = _started(found, Metric.FIRST_RESPONSE, fact)
    return _started(found, Metric.RESOLUTION, fact)


def _resolved(before: Conversation, fact: Fact) -> Conversation:
    def end(clock: Clock) -> Clock:
        if clock.metric is Metric.RESOLUTION:
            return clock.ended(fact.at, State.MET)
        return clock.ended(fact.at, State.CANCELLED, "resolved")

    return replace(_each(before, end), phase=Phase.RESOLVED)


def _snoozed(before: Conversation, fact: Fact) -> Conversation:
    if before.phase is not Phase.OPEN:
        return before

    def pause(clock: Clock) -> Clock:
        return clock.paused(fact.at) if clock.metric is Metric.RESOLUTION else clock

    return replace(_each(before, pause), phase=Phase.SNOOZED)


def _transferred(before: Conversation, fact: Fact) -> Conversation:
    queue = fact.queue or before.queue
    return replace(_each(before, lambda clock: replace(clock, queue=queue)), queue=queue)


def _asked(before: Conversation, fact: Fact) -> Conversation:
    waiting = any(clock.metric is Metric.NEXT_RESPONSE for clock in before.running)
    if waiting or not before.answered or before.phase not in (Phase.OPEN, Phase.SNOOZED):
        return before
    return _started(before, Metric.NEXT_RESPONSE, fact)


def _answered(before: Conversation, fact: Fact) -> Conversation:
    def end(clock: Clock) -> Clock:
        return clock if clock.metric is Metric.RESOLUTION else clock.ended(fact.at, State.MET)

    return replace(_each(before, end), answered=True)


STEPS: dict[Kind, Callable[[Conversation, Fact], Conversation]] = {
    Kind.OPENED: _opened,
    Kind.REOPENED: _reopened,
    Kind.RESOLVED: _resolved,
    Kind.SNOOZED: _snoozed,
    Kind.TRANSFERRED: _transferred,
    Kind.ASKED: _asked,
    Kind.ANSWERED: _answered,
}


def _each(before: Conversation, change: Callable[[Clock], Clock]) -> Conversation:
    """Change each clock that has not ended."""
    changed = tuple(change(clock) for clock in before.running)
    if all(new is old for new, old in zip(changed, before.running, strict=True)):
        return before
    return replace(
        before,
        running=tuple(clock for clock in changed if clock.open),
        ended=before.ended + tuple(clock for clock in changed if not clock.open),
    )


def _started(before: Conversation, metric: Metric, fact: Fact) -> Conversation:
    policy = before.policy
    target = policy.target(metric) if policy else None
    if policy is None or target is None:
        return before
    clock = Clock(
        metric=metric,
        number=fact.version,
        queue=before.queue,
        policy=policy.id,
        workspace_version=policy.workspace_version,
        calendar=policy.calendar,
        target=target,
        warn_at=policy.warn_at,
        started_at=fact.at,
    )
    return replace(before, running=(*before.running, clock))
