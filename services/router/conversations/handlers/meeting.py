"""This file meets the contact point behind an event: makes it at first sight, and tells what it shows of who that is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import ContactPointId
from libs.contracts.payloads.base import Identifier
from libs.contracts.payloads.conversations import ContactResolved
from libs.contracts.payloads.identity import ContactPointLinked, MergeSuggested
from libs.contracts.payloads.inbound import MessageIngested
from services.router.conversations.domain.conversation import ContactPoint
from services.router.conversations.domain.identifiers import Evidence
from services.router.conversations.domain.identity import Decision
from services.router.conversations.domain.text import named, storable
from services.router.conversations.handlers.writer import Hand, happened_at


def meet(turn: Hand, event: Event[Any], point: ContactPoint | None) -> ContactPoint:
    """The contact point after this event; `point` is what was known of it."""
    sighting = turn.store.sighting(event)
    if point is None:
        assert sighting is not None, "load decides about every contact point at first sight"
        point = _first(event, sighting.decision, sighting.identifiers)
        _tell_link(turn, event, point, sighting.decision)
    else:
        after = replace(point, identifiers=sighting.identifiers) if sighting else point
        after = replace(after, name=name) if (name := _newer_name(turn, event, point)) else after
        if after is point:
            return point
        if after.name != point.name:
            _tell_contact(turn, event, after)
        point = after
    turn.store.contact_points.put(point)
    if sighting is not None:
        _tell_suggestions(turn, event, point, sighting.decision)
    return point


def _first(event: Event[Any], decision: Decision, identifiers: dict[str, str]) -> ContactPoint:
    data = event.data
    return ContactPoint(
        contact_point_id=ContactPointId(event.key),
        contact_id=decision.contact_id,
        inbox_id=data.inbox_id,
        channel=data.channel,
        address=storable(data.address),
        name=None if _is_echo(data) else named(data.profile_name),
        first_seen_at=happened_at(event),
        identifiers=identifiers,
    )


def _newer_name(turn: Hand, event: Event[Any], point: ContactPoint) -> str | None:
    """Another name of the customer, unless it comes with a message older than their last."""
    data = event.data
    name = named(data.profile_name)
    if name is None or name == point.name or _is_echo(data):
        return None
    latest = turn.store.latest(point)
    wrote = latest.customer_wrote_at if latest else None
    return name if wrote is None or happened_at(event) >= wrote else None


def _is_echo(data: Any) -> bool:
    """A name that comes with an echo is the business's own."""
    return isinstance(data, MessageIngested) and data.echo


def _tell_contact(turn: Hand, event: Event[Any], point: ContactPoint) -> None:
    at = happened_at(event)
    payload = ContactResolved(
        contact_point_id=point.contact_point_id,
        contact_id=point.contact_id,
        inbox_id=point.inbox_id,
        channel=point.channel,
        address=point.address,
        name=point.name,
        occurred_at=at,
    )
    turn.emit(payload, key=point.contact_point_id, at=at)


def _tell_link(turn: Hand, event: Event[Any], point: ContactPoint, decision: Decision) -> None:
    _tell_contact(turn, event, point)
    at = happened_at(event)
    payload = ContactPointLinked(
        contact_id=point.contact_id,
        contact_point_id=point.contact_point_id,
        inbox_id=point.inbox_id,
        channel=point.channel,
        address=point.address,
        evidence=_identifiers(decision.linked_by),
        occurred_at=at,
    )
    turn.emit(payload, key=point.contact_id, at=at)


def _tell_suggestions(turn: Hand, event: Event[Any], point: ContactPoint, decision: Decision) -> None:
    at = happened_at(event)
    for suggestion in decision.suggestions:
        payload = MergeSuggested(
            contact_id=point.contact_id,
            other_contact_id=suggestion.other,
            contact_point_id=point.contact_point_id,
            evidence=_identifiers(suggestion.evidence),
            reason=suggestion.reason,
            occurred_at=at,
        )
        turn.emit(payload, key=point.contact_id, at=at)


def _identifiers(evidence: Sequence[Evidence]) -> tuple[Identifier, ...]:
    return tuple(Identifier(kind=one.kind, value=one.value, verified=one.verified) for one in evidence)
