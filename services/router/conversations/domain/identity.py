"""This file decides which contact a contact point belongs to.

Every identifier that a contact point shows is an edge, appended once and never changed: contact point, identifier,
verified or only claimed, and the contact it was counted to. What stood before a contact point's own edges decides:

* verified, and held by a contact: the same person; the strongest kind wins where several contacts hold something;
* verified by nobody yet: a new contact, named after the contact point;
* everything else that is equal (a claimed identifier, a second holder, an external id that contradicts): only a
  suggestion for a person to judge. A claim never links, whoever made it first.

A decision is a pure function of the edges before it, so that it comes out the same when it is made again after a crash.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from libs.contracts.ids import ContactId, ContactPointId, contact_id
from libs.contracts.vocabulary import IdentifierKind
from services.router.conversations.domain.identifiers import STRENGTH, Evidence

MOST_SHARING = 5
"""An identifier that more other contacts claim tells nobody apart (a shop's number, a typed-in joke): no suggestion."""
MOST_EDGES = 100
"""Edges kept for one identifier, verified and claimed each; the first verified one, which alone links, is among them."""


class Reason(StrEnum):
    """Why two contacts may be one. `conflicting`: both verified; `claimed`: at least one side is not."""

    CONFLICTING = "conflicting"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Edge:
    """A contact point showed an identifier."""

    kind: IdentifierKind
    value: str
    verified: bool
    contact_point_id: ContactPointId
    contact_id: ContactId


@dataclass(frozen=True, slots=True)
class Suggestion:
    other: ContactId
    evidence: tuple[Evidence, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Decision:
    """`linked_by` is empty where the contact point is its contact's first. `fresh`: edges to append, in this order."""

    contact_id: ContactId
    linked_by: tuple[Evidence, ...]
    suggestions: tuple[Suggestion, ...]
    fresh: tuple[Edge, ...]


@dataclass
class Graph:
    """The edges of some identifiers, each identifier's in the order in which they were appended."""

    edges: dict[tuple[IdentifierKind, str], list[Edge]] = field(default_factory=dict)
    externals: dict[ContactId, set[str]] = field(default_factory=dict)
    """Contact -> the verified external ids it is known by."""

    def add(self, edge: Edge) -> None:
        self.edges.setdefault((edge.kind, edge.value), []).append(edge)
        self.knows(edge)

    def knows(self, edge: Edge) -> None:
        """Note an edge of an identifier that was not asked for."""
        if edge.kind is IdentifierKind.EXTERNAL and edge.verified:
            self.externals.setdefault(edge.contact_id, set()).add(edge.value)

    def of(self, evidence: Evidence) -> list[Edge]:
        return self.edges.get((evidence.kind, evidence.value), [])

    def before(self, evidence: Evidence, point: ContactPointId) -> list[Edge]:
        """Other contact points' edges of this identifier, as they stood when this one showed it."""
        found = []
        for edge in self.of(evidence):
            if edge.contact_point_id != point:
                found.append(edge)
            elif edge.verified == evidence.verified:
                break
        return found

    def own(self, evidence: Evidence, point: ContactPointId) -> Edge | None:
        """This contact point's own edge, where it was appended already."""
        return next(
            (e for e in self.of(evidence) if e.contact_point_id == point and e.verified == evidence.verified),
            None,
        )


def decide(
    point: ContactPointId, contact: ContactId | None, shown: Iterable[Evidence], graph: Graph
) -> Decision:
    """What to make of the identifiers that a contact point shows; `contact` is its contact, None at first sight."""
    evidence = sorted(dict.fromkeys(shown), key=_strength)
    known = contact if contact is not None else _contact(point, evidence, graph)
    fresh = []
    for one in evidence:
        kept = sum(1 for e in graph.of(one) if e.verified == one.verified)
        if graph.own(one, point) is None and kept < MOST_EDGES:
            fresh.append(Edge(one.kind, one.value, one.verified, point, known))
    linked_by = tuple(one for one in evidence if _holder_of(one, point, graph) == known)
    return Decision(known, linked_by, _suggestions(point, known, evidence, graph), tuple(fresh))


def _strength(evidence: Evidence) -> tuple[int, str, bool]:
    return STRENGTH.index(evidence.kind), evidence.value, not evidence.verified


def _holder_of(evidence: Evidence, point: ContactPointId, graph: Graph) -> ContactId | None:
    """The contact of whoever showed this identifier verified before; None for a mere claim."""
    if not evidence.verified:
        return None
    return next((edge.contact_id for edge in graph.before(evidence, point) if edge.verified), None)


def _contact(point: ContactPointId, evidence: Sequence[Evidence], graph: Graph) -> ContactId:
    """The contact at first sight."""
    decided = next((own.contact_id for one in evidence if (own := graph.own(one, point))), None)
    if decided is not None:
        return decided
    externals = {one.value for one in evidence if one.kind is IdentifierKind.EXTERNAL and one.verified}
    for one in evidence:
        holder = _holder_of(one, point, graph)
        if holder is not None and not _contradicts(externals, graph.externals.get(holder, set())):
            return holder
    return contact_id(point)


def _contradicts(shown: set[str], known: set[str]) -> bool:
    """Two different ids in the owner's own books are two customers, whatever else they share."""
    return bool(shown and known and not shown & known)


def _suggestions(
    point: ContactPointId, contact: ContactId, evidence: Sequence[Evidence], graph: Graph
) -> tuple[Suggestion, ...]:
    found: dict[ContactId, list[tuple[Evidence, Reason]]] = {}
    for one in evidence:
        before = graph.before(one, point)
        holder = next((edge.contact_id for edge in before if edge.verified), None)
        claimed = dict.fromkeys(edge.contact_id for edge in before if not edge.verified)
        if holder is not None and holder != contact:
            reason = Reason.CONFLICTING if one.verified else Reason.CLAIMED
            found.setdefault(holder, []).append((one, reason))
        others = [other for other in claimed if other not in (contact, holder)]
        if len(others) <= MOST_SHARING:
            for other in others:
                found.setdefault(other, []).append((one, Reason.CLAIMED))
    return tuple(
        Suggestion(
            other,
            tuple(one for one, _ in reasons),
            Reason.CONFLICTING if any(r is Reason.CONFLICTING for _, r in reasons) else Reason.CLAIMED,
        )
        for other, reasons in found.items()
    )
