"""This file reads out of a recording what happened to each work item, and how agents answered and worked."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from libs.contracts.envelope import Envelope, EnvelopeError, Event, decode
from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationAccepted,
    ReservationDeclined,
    ReservationExpired,
    ReservationOffered,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkQueued,
    WorkReprioritised,
    WorkRequested,
    WorkWithdrawn,
    WorkWrapping,
)
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.commands import CompleteWork, Heartbeat, SetPresence
from libs.contracts.vocabulary import Presence
from libs.flow.recording import Recording
from services.router.replay.recording import INPUTS, OUTPUTS

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Answer(StrEnum):
    ACCEPTED = "accepted"
    DECLINED = "declined"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Response:
    """What an agent said to an offer, and how long after it; for a missed one, when they were back after it."""

    answer: Answer
    after: timedelta
    reason: str | None = None


@dataclass
class Item:
    """One work item as it was lived. `handled` is from the last assignment to where the conversation ended or was given up."""

    request: WorkRequested
    request_event: Event[Payload]
    withdraw: WorkWithdrawn | None = None
    withdraw_event: Event[Payload] | None = None
    reprioritised: list[Event[Payload]] = field(default_factory=list)
    queued_at: datetime | None = None
    assigned_at: datetime | None = None
    """First assignment; the customer's wait ends with it."""
    agent_id: str | None = None
    """Of the last assignment."""
    held_since: datetime | None = None
    wrapping_at: datetime | None = None
    ended_at: datetime | None = None
    completed_by_agent: bool = False
    """The agent ended the wrap-up themselves."""
    given_up: bool = False
    """Withdrawn before anybody had it."""

    @property
    def target(self) -> timedelta | None:
        """From the request to the first deadline that it had; None where it had none."""
        deadlines = (
            self.request.due_at,
            *(getattr(event.data, "due_at", None) for event in self.reprioritised),
        )
        first = next((due for due in deadlines if due is not None), None)
        return first - self.request.requested_at if first is not None else None

    @property
    def handled(self) -> timedelta | None:
        end = self.wrapping_at or self.ended_at
        return end - self.held_since if end is not None and self.held_since is not None else None

    @property
    def wrapped(self) -> timedelta | None:
        if self.wrapping_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.wrapping_at


@dataclass
class History:
    """Everything of one recording that a what-if takes over."""

    items: dict[str, Item] = field(default_factory=dict)
    responses: dict[str, list[Response]] = field(default_factory=dict)
    """By agent."""
    presence: list[Event[Payload]] = field(default_factory=list)
    """Presence commands and heartbeats, in the order of their times."""
    outputs: list[Event[Payload]] = field(default_factory=list)
    """What the flow emitted."""
    begins: datetime = LATEST
    ends: datetime = EARLIEST
    """Times of the first and the last event."""


def history(recording: Recording) -> History:
    """Raises nothing: what is no event of ours is passed over."""
    found = History()
    for event in _ordered(recording, INPUTS):
        _input(found, event)
    offered: dict[str, datetime] = {}
    found.outputs = list(_ordered(recording, OUTPUTS))
    for event in found.outputs:
        _output(found, event.data, offered)
    _returns(found, offered)
    times = [e.envelope.time for e in _ordered(recording, recording.topics)]
    found.begins, found.ends = min(times, default=found.begins), max(times, default=found.ends)
    found.presence = _present_before(found) + found.presence
    return found


def _input(found: History, event: Event[Payload]) -> None:
    match event.data:
        case WorkRequested() as asked:
            found.items.setdefault(asked.work_item_id, Item(asked, event))
        case WorkWithdrawn() as asked if asked.work_item_id in found.items:
            item = found.items[asked.work_item_id]
            item.withdraw, item.withdraw_event = item.withdraw or asked, item.withdraw_event or event
        case WorkReprioritised() as asked if asked.work_item_id in found.items:
            found.items[asked.work_item_id].reprioritised.append(event)
        case SetPresence() | Heartbeat():
            found.presence.append(event)
        case CompleteWork() as asked if asked.work_item_id in found.items:
            found.items[asked.work_item_id].completed_by_agent = True


def _returns(found: History, offered: dict[str, datetime]) -> None:
    """Who let an offer lapse is away until they set themselves available again."""
    comes: dict[str, list[datetime]] = {}
    for event in found.presence:
        if isinstance(event.data, SetPresence) and event.data.presence is Presence.AVAILABLE:
            comes.setdefault(event.data.agent_id, []).append(event.envelope.time)
    for event in found.outputs:
        missed = event.data
        if isinstance(missed, ReservationExpired) and missed.reservation_id in offered:
            times = comes.get(missed.agent_id, [])
            place = bisect_left(times, missed.occurred_at)
            if place < len(times):
                response = Response(Answer.MISSED, times[place] - offered[missed.reservation_id])
                found.responses.setdefault(missed.agent_id, []).append(response)


def _present_before(found: History) -> list[Event[Payload]]:
    """Those who were there when the recording began have set no presence in it: their first known state stands for that."""
    told: set[str] = {e.data.agent_id for e in found.presence if isinstance(e.data, SetPresence)}
    first: dict[str, AgentChanged] = {}
    for event in found.outputs:
        if isinstance(event.data, AgentChanged):
            first.setdefault(event.data.agent_id, event.data)
    comes: list[Event[Payload]] = []
    for name, state in sorted(first.items()):
        if name not in told and state.presence is not Presence.OFFLINE:
            set_so = SetPresence(agent_id=name, pool=state.pool, presence=state.presence, reason=state.reason)
            envelope = Envelope(f"before/{name}", "/recording", set_so.type, found.begins)
            comes.append(Event(envelope, set_so, state.pool))
    return comes


def _output(found: History, fact: Payload, offered: dict[str, datetime]) -> None:
    match fact:
        case ReservationOffered():
            offered[fact.reservation_id] = fact.occurred_at
        case ReservationAccepted() | ReservationDeclined() if fact.reservation_id in offered:
            accepted = isinstance(fact, ReservationAccepted)
            after = fact.occurred_at - offered[fact.reservation_id]
            reason = None if isinstance(fact, ReservationAccepted) else fact.reason
            answer = Answer.ACCEPTED if accepted else Answer.DECLINED
            found.responses.setdefault(fact.agent_id, []).append(Response(answer, after, reason))
    item = found.items.get(getattr(fact, "work_item_id", ""))
    if item is None:
        return
    match fact:
        case WorkQueued():
            item.queued_at = item.queued_at or fact.waiting_since
        case WorkAssigned():
            item.assigned_at = item.assigned_at or fact.occurred_at
            item.agent_id, item.held_since = fact.agent_id, fact.occurred_at
        case WorkWrapping():
            item.wrapping_at = fact.occurred_at
        case WorkCompleted():
            item.ended_at = fact.occurred_at
        case WorkCancelled():
            item.ended_at, item.given_up = fact.occurred_at, True


def _ordered(recording: Recording, topics: Iterable[str]) -> Iterator[Event[Payload]]:
    """Events by their time; those of one record's partition stay in their order."""
    found: list[tuple[datetime, str, int, int, Event[Payload]]] = []
    for topic in topics:
        names = set[str]()
        for record in recording.all(topic):
            try:
                event = decode(record.key, record.value, record.headers)
            except EnvelopeError:
                continue
            if event.envelope.name not in names:
                names.add(event.envelope.name)
                found.append((event.envelope.time, topic, record.partition, record.offset, event))
    found.sort(key=lambda entry: entry[:4])
    return iter([entry[-1] for entry in found])
