"""This file models `identity`: evidence about who is who. Keyed by contact."""

from libs.contracts.payloads.base import Identifier, Payload, Time
from libs.contracts.vocabulary import Channel


class ContactPointLinked(Payload):
    """A contact point belongs to a contact, and the evidence that says so (empty: it was the first one)."""

    type = "contact_point.linked.v1"
    contact_id: str
    contact_point_id: str
    inbox_id: str
    channel: Channel
    address: str
    evidence: tuple[Identifier, ...] = ()
    occurred_at: Time


class MergeSuggested(Payload):
    """Two contacts share evidence that is not strong enough, or that conflicts: a person decides."""

    type = "merge.suggested.v1"
    contact_id: str
    other_contact_id: str
    contact_point_id: str
    evidence: tuple[Identifier, ...]
    reason: str
    occurred_at: Time
