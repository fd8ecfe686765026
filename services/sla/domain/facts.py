"""This file holds what happened to a conversation, and puts it into the order in which it counts."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.sla.domain.policy import Policy


class Kind(StrEnum):
    OPENED = "opened"
    REOPENED = "reopened"
    """Out of resolved or out of snoozed."""
    RESOLVED = "resolved"
    SNOOZED = "snoozed"
    TRANSFERRED = "transferred"
    ASKED = "asked"
    """The customer wrote."""
    ANSWERED = "answered"
    """A person of ours wrote."""
    REPLIED = "replied"
    """A bot of ours wrote, or an automatic reply went out; an answer where the policy says so."""
    TAGGED = "tagged"
    PRIORITISED = "prioritised"
    MERGED = "merged"
    """Goes on in another conversation."""
    MIGRATED = "migrated"
    """Calendars, or policies too, that the workspace has now hold for it, by somebody's order."""
    ASSIGNED = "assigned"
    """An agent got its work."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`version` is the event's place among the conversation's events: the order in which the router decided them.

    Of an assignment and of a migration, which are no events of the conversation, it only tells them apart.
    """

    kind: Kind
    at: datetime
    version: int
    queue: str | None = None
    policy: Policy | None = None
    """The only one that may hold, where there are not several."""
    policies: tuple[Policy, ...] | None = None
    """All that the workspace had for such an inbox, channel and queue; None where nothing is said of it."""
    priority: int | None = None
    tags: tuple[str, ...] | None = None

    @property
    def may_hold(self) -> tuple[Policy, ...] | None:
        return self.policies if self.policy is None else (self.policy,)

    @property
    def elsewhere(self) -> bool:
        """Not an event of the conversation."""
        return self.kind in (Kind.ASSIGNED, Kind.MIGRATED)

    @property
    def place(self) -> tuple[datetime, bool, int]:
        """Facts count in this order."""
        return self.at, self.elsewhere, self.version


@dataclass(frozen=True, slots=True)
class Floor:
    """What must be known of earlier facts to say from when the next one counts."""

    settled: datetime | None = None
    """Nothing counts from before this: older facts are not kept one by one any more."""
    decided: datetime | None = None
    """From when the last decision counts."""
    opened: datetime | None = None
    """From when the last opening or reopening counts."""
    first: datetime | None = None
    """From when the first opening counts."""


def in_order(facts: Iterable[Fact], floor: Floor) -> tuple[list[Fact], Floor]:
    """The facts in event time, each with the moment from which it counts, equal moments in order of version, what came from
    elsewhere last; and the floor after them."""
    found = []
    for fact in sorted(facts, key=lambda f: (f.elsewhere, f.version)):
        fact, floor = counted(fact, floor)  # noqa: PLW2901
        found.append(fact)
    return sorted(found, key=lambda f: f.place), floor


def counted(fact: Fact, floor: Floor) -> tuple[Fact, Floor]:
    """The fact with the moment from which it counts, given those of lower versions; and the floor after it.

    What people said counts from when they said it, however late it comes to us. The router's decisions (opened, resolved …)
    were made one after another, on what the router knew: none counts from before the one it followed, even where the
    message that led to it is older. And a customer's message counts within the opening that it belongs to: one that was
    sent before the end of a conversation, but came after it and reopened it, asks from the reopening on.
    Clocks of two machines may differ a little: nothing that followed the first opening counts from before it.
    """
    at = _latest(fact.at, floor.settled)
    match fact.kind:
        case Kind.ASKED:
            at = _latest(at, floor.opened)
        case Kind.ANSWERED | Kind.REPLIED | Kind.ASSIGNED | Kind.MIGRATED:
            at = _latest(at, floor.first)
        case _:
            at = _latest(at, floor.decided)
            opened = at if fact.kind in (Kind.OPENED, Kind.REOPENED) else floor.opened
            floor = Floor(floor.settled, at, opened, floor.first or opened)
    return (fact if at == fact.at else replace(fact, at=at)), floor


def _latest(at: datetime, bound: datetime | None) -> datetime:
    return at if bound is None or bound < at else bound
