"""This file turns events into Kafka records and back: CloudEvents 1.0, Kafka binding, binary content mode."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic import ValidationError

from libs.contracts import registry
from libs.contracts.payloads.base import Payload

P_co = TypeVar("P_co", bound=Payload, covariant=True)

Headers = tuple[tuple[str, bytes], ...]

MAX_VALUE_BYTES = 900_000
"""A record must fit Kafka's default max.message.bytes of 1 MiB together with its key and headers."""


class EnvelopeError(ValueError):
    """Base of what can be wrong with a record. `reason` is a stable word for metrics.

    EnvelopeError
    |-- NotAnEvent      no CloudEvents headers: nobody of ours wrote this
    |-- UnknownType     an event of a type that this build does not know: count and drop
    `-- BadPayload      the type is known, the body does not fit it
    """

    reason = "envelope"


class NotAnEvent(EnvelopeError):
    reason = "not_an_event"


class UnknownType(EnvelopeError):
    reason = "unknown_type"


class BadPayload(EnvelopeError):
    reason = "bad_payload"


@dataclass(frozen=True, slots=True)
class Envelope:
    """CloudEvents attributes. (`source`, `id`) names the event; two with the same pair are one event."""

    id: str
    source: str
    type: str
    time: datetime
    """Event time: when it happened."""
    subject: str = ""
    """The record's key in words: contact point, pool, contact or agent."""
    correlation_id: str = ""
    """The conversation."""
    causation_id: str = ""
    """`source#id` of the event or command that led to this one."""
    workspace: str = ""
    recorded_at: datetime | None = None
    """When it entered the system."""
    traceparent: str = ""
    decided: str = ""
    """When it was decided and what had been handled before (`decided.Decided`), of a flow that can be replayed."""
    sequence: int = 0
    """Place in its source's order; 0 for first-hand events, which have none."""
    previous: int = 0
    """Sequence of the same source's previous event to this topic and partition."""

    @property
    def name(self) -> str:
        """`source#id`: how other events refer to this one."""
        return f"{self.source}#{self.id}"


@dataclass(frozen=True, slots=True)
class Event(Generic[P_co]):
    """A payload in its envelope."""

    envelope: Envelope
    data: P_co
    key: str = field(default="")


def encode_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The attributes as Kafka headers; empty ones are left out."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", _rfc3339(envelope.time)),
        ("content-type", b"application/json"),
    ]
    optional = (
        ("ce_subject", envelope.subject),
        ("ce_correlationid", envelope.correlation_id),
        ("ce_causationid", envelope.causation_id),
        ("ce_workspace", envelope.workspace),
        ("traceparent", envelope.traceparent),
        ("ce_decided", envelope.decided),
    )
    headers += [(name, value.encode()) for name, value in optional if value]
    if envelope.recorded_at is not None:
        headers.append(("ce_recordedtime", _rfc3339(envelope.recorded_at)))
    if envelope.sequence:
        headers.append(("ce_sequence", b"%d" % envelope.sequence))
        headers.append(("ce_previous", b"%d" % envelope.previous))
    return headers


def encode_value(payload: Payload) -> bytes:
    """The payload as JSON."""
    return payload.__pydantic_serializer__.to_json(payload, exclude_none=True)


def decode_envelope(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """The attributes of a record. Raises NotAnEvent where a required one is missing or malformed."""
    found = dict(headers)
    try:
        sequence = found.get("ce_sequence")
        recorded = found.get("ce_recordedtime")
        return Envelope(
            id=found["ce_id"].decode(),
            source=found["ce_source"].decode(),
            type=found["ce_type"].decode(),
            time=_parse(found["ce_time"]),
            subject=found.get("ce_subject", b"").decode(),
            correlation_id=found.get("ce_correlationid", b"").decode(),
            causation_id=found.get("ce_causationid", b"").decode(),
            workspace=found.get("ce_workspace", b"").decode(),
            recorded_at=_parse(recorded) if recorded else None,
            traceparent=found.get("traceparent", b"").decode("ascii", "replace"),
            decided=found.get("ce_decided", b"").decode("ascii", "replace"),
            sequence=int(sequence) if sequence else 0,
            previous=int(found["ce_previous"]) if sequence else 0,
        )
    except KeyError as missing:
        raise NotAnEvent(f"header {missing.args[0]} is missing: this record is no CloudEvent") from None
    except (UnicodeDecodeError, ValueError, AttributeError, TypeError) as fault:
        raise NotAnEvent(f"a CloudEvents header is malformed: {fault}") from None


def decode_payload(type_name: str, value: bytes | None) -> Payload:
    """The payload of a known type. Raises UnknownType, or BadPayload naming each field and what was expected."""
    model = registry.model_of(type_name)
    if model is None:
        raise UnknownType(f"type {type_name!r} is not known here")
    try:
        return model.model_validate_json(value or b"")
    except ValidationError as fault:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}" for error in fault.errors()[:10]
        )
        raise BadPayload(f"{type_name}: {problems}") from None
    except (ValueError, RecursionError) as fault:
        raise BadPayload(f"{type_name}: {fault}") from None


def decode(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Event[Payload]:
    """A whole record. Raises EnvelopeError."""
    envelope = decode_envelope(headers)
    return Event(envelope, decode_payload(envelope.type, value), (key or b"").decode("utf-8", "replace"))


def _rfc3339(at: datetime) -> bytes:
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat().encode()


def _parse(raw: bytes) -> datetime:
    at = datetime.fromisoformat(raw.decode())
    if at.tzinfo is None:
        raise ValueError(f"time {raw!r} has no zone")
    return at
