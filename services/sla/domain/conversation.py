"""This file folds what happened to a conversation into its clocks, in event time; `steps.py` says what each fact does.

Late and reordered events give the clocks of the ordered log, since all facts are put in order before they are folded.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce

from services.sla.domain.clock import Clock
from services.sla.domain.facts import Fact, Floor, counted, in_order
from services.sla.domain.state import Conversation, Phase
from services.sla.domain.steps import step

__all__ = ["Conversation", "Fold", "Phase", "Settled", "fold", "settle"]

LATENESS = timedelta(hours=24)
"""What comes later than this after it happened counts as having happened so long ago; it bounds what is kept."""
KEPT = 200
"""Facts of one conversation that are kept one by one; of a busier one, the older half is settled sooner."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A conversation, from what it was folded, and what is needed to go on with a fact that is the latest."""

    base: Conversation
    facts: tuple[Fact, ...]
    conversation: Conversation
    floor: Floor
    last: tuple[datetime, bool, int] | None = None
    """The place of the last fact in event time."""
    version: int = 0
    """The highest of the conversation's events."""


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
    conversation = reduce(step, ordered, base)
    last = ordered[-1].place if ordered else None
    return Fold(
        base, facts, conversation, floor, last, max((f.version for f in facts if not f.elsewhere), default=0)
    )


def _further(known: Fold, facts: tuple[Fact, ...]) -> Fold | None:
    fact, floor = counted(facts[-1], known.floor)
    if known.floor.first is None or (known.last is not None and fact.place < known.last):
        return None
    if fact.elsewhere:
        return Fold(known.base, facts, step(known.conversation, fact), floor, fact.place, known.version)
    if fact.version <= known.version:
        return None
    return Fold(known.base, facts, step(known.conversation, fact), floor, fact.place, fact.version)


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
    versions = {(fact.elsewhere, fact.version) for fact in old}
    return Settled(
        base=replace(after, ended=live, floor=replace(folded.floor, settled=horizon)),
        facts=tuple(fact for fact in facts if (fact.elsewhere, fact.version) not in versions),
        gone=gone,
    )
