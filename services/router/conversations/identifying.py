"""This file looks up and appends the evidence of who is behind a batch's contact points, before its handlers run.

Edges are shared by all lanes, so they are not part of the lane's transaction: they are appended first, and an edge that
is there already decides the same again. A batch that dies after this loses nothing and repeats nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import ContactId, ContactPointId
from libs.contracts.payloads.inbound import Item, MessageIngested, SignalIngested, UnsupportedIngested
from libs.contracts.vocabulary import IdentifierKind
from libs.flow.database import queries
from libs.flow.flow import Retry
from libs.flow.store import Reader, Table
from libs.workspace import Workspace
from services.router.conversations.domain.conversation import ContactPoint
from services.router.conversations.domain.identifiers import Evidence, understand, written
from services.router.conversations.domain.identity import Decision, Edge, Graph, decide
from services.router.conversations.domain.times import plausible

SQL = queries("services.router.conversations")

MOST_IDENTIFIERS = 20
"""Different spellings of identifiers that one contact point may show; a kiosk shows more, and they say nothing about it."""
ATTEMPTS = 20
"""How often a decision is made again because another lane was faster, before the lane waits."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one event showed of a contact point."""

    identifiers: dict[str, str]
    """All spellings seen until now -> what was understood of each; empty where nothing was."""
    decision: Decision


@dataclass(slots=True)
class _Shown:
    """What an event shows that was not known before; `contact_id` None: at first sight of its contact point."""

    event: str
    point: ContactPointId
    contact_id: ContactId | None
    identifiers: dict[str, str]
    evidence: list[Evidence]
    at: datetime


@dataclass
class Identifying:
    """Sightings of the batch under way, by the event's name. Keeps nothing between batches."""

    workspace: Workspace
    contact_points: Table[ContactPoint]
    sightings: dict[str, Sighting] = field(default_factory=dict)

    def forget(self) -> None:
        self.sightings.clear()

    async def load(self, db: Reader, events: Sequence[Event[Any]]) -> None:
        self.sightings.clear()
        shown = self._shown(events)
        if not shown:
            return
        asked = sorted({(one.kind, one.value) for s in shown for one in s.evidence})
        for _ in range(ATTEMPTS):
            graph, expected = await _read(db, asked)
            decisions = _decide(shown, graph)
            edges = [(edge, s.at) for s, d in zip(shown, decisions, strict=True) for edge in d.fresh]
            if not edges or await _append(db, asked, expected, edges):
                break
        else:
            raise Retry("other lanes keep deciding about the same identifiers")
        for s, decision in zip(shown, decisions, strict=True):
            self.sightings[s.event] = Sighting(s.identifiers, decision)

    def _shown(self, events: Sequence[Event[Any]]) -> list[_Shown]:
        """What the events show, in their order; those that show nothing new are left out."""
        found: list[_Shown] = []
        seen: dict[str, dict[str, str]] = {}
        for event in events:
            data = event.data
            if not isinstance(data, MessageIngested | SignalIngested | UnsupportedIngested):
                continue
            point = self.contact_points.get(event.key, event.key)
            first = point is None and event.key not in seen
            if not belongs(event) or data.inbox_id not in self.workspace.inboxes:
                continue
            if first and not begins(data):
                continue
            before = seen.get(event.key, point.identifiers if point else {})
            identifiers, evidence = self._understood(data, before)
            if first or identifiers is not before:
                seen[event.key] = identifiers
                known = point.contact_id if point else None
                name = ContactPointId(event.key)
                at = plausible(data.occurred_at, event.envelope.recorded_at)
                found.append(_Shown(event.envelope.name, name, known, identifiers, evidence, at))
        return found

    def _understood(self, data: Item, before: dict[str, str]) -> tuple[dict[str, str], list[Evidence]]:
        """The spellings seen after this item (the same object where nothing is new), and the new evidence among them."""
        after, evidence = before, []
        for identifier in data.identifiers:
            spelling = written(identifier.kind, identifier.value, identifier.verified)
            if spelling in after or len(after) >= MOST_IDENTIFIERS:
                continue
            inbox = self.workspace.inboxes[data.inbox_id]
            one = understand(
                identifier.kind,
                identifier.value,
                verified=identifier.verified,
                region=inbox.region,
                channel=data.channel,
                address=data.address,
            )
            if one is not None and not _says_less(one, after):
                evidence.append(one)
            after = {**after, spelling: str(one) if one else ""}
        return after, evidence


def _decide(shown: Sequence[_Shown], graph: Graph) -> list[Decision]:
    """In the order of the events, each seeing the edges of those before it."""
    decisions: list[Decision] = []
    contacts: dict[str, ContactId] = {}
    for s in shown:
        decision = decide(s.point, s.contact_id or contacts.get(s.point), s.evidence, graph)
        for edge in decision.fresh:
            graph.add(edge)
        contacts[s.point] = decision.contact_id
        decisions.append(decision)
    return decisions


async def _read(db: Reader, asked: Sequence[tuple[IdentifierKind, str]]) -> tuple[Graph, int]:
    """The edges of the identifiers asked for, and how many they are."""
    graph, count = Graph(), 0
    if asked:
        rows = await db.fetch(SQL["evidence"], [kind for kind, _ in asked], [value for _, value in asked])
        for kind, value, verified, point, contact, was_asked, _ in rows:
            edge = Edge(IdentifierKind(kind), value, verified, ContactPointId(point), ContactId(contact))
            count += was_asked
            (graph.add if was_asked else graph.knows)(edge)
    return graph, count


def _says_less(one: Evidence, known: dict[str, str]) -> bool:
    """True where the same is known already, or was even verified."""
    return str(one) in known.values() or str(replace(one, verified=True)) in known.values()


def belongs(event: Event[Any]) -> bool:
    """True where the record lies under the contact point that it names: else its rows would be another lane's."""
    return bool(event.data.contact_point_id == event.key)


def begins(data: Item) -> bool:
    """True where an item may be the first of a contact point. The account's own notices have no address."""
    return isinstance(data, MessageIngested | UnsupportedIngested) and bool(data.address)


async def _append(
    db: Reader, asked: Sequence[tuple[str, str]], expected: int, edges: Sequence[tuple[Edge, datetime]]
) -> bool:
    rows = await db.fetch(
        SQL["append"],
        [kind for kind, _ in asked],
        [value for _, value in asked],
        expected,
        [edge.kind for edge, _ in edges],
        [edge.value for edge, _ in edges],
        [edge.contact_point_id for edge, _ in edges],
        [edge.verified for edge, _ in edges],
        [edge.contact_id for edge, _ in edges],
        [at for _, at in edges],
    )
    return bool(rows[0][0])
