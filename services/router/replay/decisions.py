"""This file sorts out of a recording what each lane decided, in which order, and after what.

An input's events carry the same `ce_decided`; the events of a lane are numbered in one order over all topics.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from libs.contracts.decided import Decided
from libs.contracts.envelope import EnvelopeError, Event, decode
from libs.contracts.payloads.base import Payload
from libs.flow.recording import Recording, RecordingError
from libs.flow.wire import Incoming
from services.router.replay.recording import WRITTEN

FLOW = "assignment"


@dataclass(frozen=True, slots=True)
class Decision:
    """What followed from one input: its events, in order. `cause` names the event that was handled, or that set the timer."""

    decided: Decided
    cause: str
    events: tuple[Event[Payload], ...]


def decisions(recording: Recording, lane: int, since: int = 0) -> list[Decision]:
    """All decisions of a lane, from the event with number `since` on. Raises RecordingError where the recording does not say how they came about."""
    found = [event for event in _events(recording, lane) if event.envelope.sequence >= since]
    if any(not event.envelope.decided for event in found):
        raise RecordingError(
            f"lane {lane}: its events do not say when they were decided (header ce_decided), so that the order of what was "
            "read is not known; the router that wrote them is older than this. Record what a newer one decides"
        )
    return [
        Decision(Decided.parse(text), events[0].envelope.causation_id, tuple(events))
        for text, group in groupby(found, key=lambda event: event.envelope.decided)
        if (events := list(group))
    ]


def _events(recording: Recording, lane: int) -> Iterator[Event[Payload]]:
    """Each event of the lane once, in the order of its number; a lane made anew begins to count anew."""
    sources: dict[str, dict[int, Event[Payload]]] = {}
    for topic in WRITTEN:
        for event in _decoded(recording.all(topic)):
            flow, number = event.envelope.source.strip("/").split("/")[:2]
            if flow == FLOW and int(number) == lane:
                by_number = sources.setdefault(event.envelope.source, {})
                by_number.setdefault(event.envelope.sequence, event)
    if len(sources) > 1:
        raise RecordingError(
            f"lane {lane} was made anew while it was recorded (its tables were emptied): record one life of it"
        )
    for by_number in sources.values():
        yield from (by_number[number] for number in sorted(by_number))


def _decoded(records: Iterable[Incoming]) -> Iterator[Event[Payload]]:
    for record in records:
        try:
            yield decode(record.key, record.value, record.headers)
        except EnvelopeError as fault:
            raise RecordingError(
                f"{record.topic}/{record.partition} at {record.offset} is no event that this build knows: {fault}"
            ) from fault
