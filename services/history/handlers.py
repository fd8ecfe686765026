"""This file turns each event into one entry, and holds back those whose contact is not known yet."""

from dataclasses import replace
from functools import partial
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import entry_id
from libs.contracts.payloads.assignments import WorkEvent
from libs.contracts.payloads.conversations import CommandRefused, ContactResolved, ConversationEvent
from libs.contracts.payloads.identity import ContactPointLinked, MergeSuggested
from libs.contracts.payloads.sla import ClockEvent
from libs.contracts.payloads.timeline import EntryRecorded
from libs.flow.flow import Turn
from services.history import metrics
from services.history.describing import describe, details_of
from services.history.fitting import fitted
from services.history.store import ContactPointRow, EntryRow, HistoryStore, PendingRow

Known = ConversationEvent | ContactResolved
"""Events of a contact point that say whose it is."""
Unknown = WorkEvent | ClockEvent | CommandRefused
"""Events of a contact point that do not."""


def on_conversation_event(turn: Turn[HistoryStore], event: Event[ConversationEvent]) -> None:
    data = event.data
    known = turn.store.contact_points.get(data.contact_point_id, data.contact_point_id)
    row = known or ContactPointRow(data.contact_point_id, data.contact_id)
    _belongs(turn, replace(row, contact_id=data.contact_id, inbox_id=data.inbox_id))
    _record(turn, event, entry_of(event, data.contact_id))


def on_contact_resolved(turn: Turn[HistoryStore], event: Event[ContactResolved]) -> None:
    data = event.data
    _belongs(
        turn,
        ContactPointRow(
            data.contact_point_id, data.contact_id, data.inbox_id, data.channel, data.address, data.name
        ),
    )
    _record(turn, event, entry_of(event, data.contact_id))


def on_contact_point_event(turn: Turn[HistoryStore], event: Event[Unknown]) -> None:
    point = event.data.contact_point_id
    known = turn.store.contact_points.get(point, point)
    if known is not None:
        _record(turn, event, entry_of(event, known.contact_id))
        return
    entry = entry_of(event, "")
    waiting = turn.store.pending.of(point)
    number = max((row.number for row in waiting), default=0) + 1
    turn.store.pending.put(PendingRow(entry.entry_id, point, number, entry))
    turn.store.count(metrics.WAITED.labels(entry.kind).inc)


def on_identity_event(
    turn: Turn[HistoryStore], event: Event[ContactPointLinked] | Event[MergeSuggested]
) -> None:
    _record(turn, event, entry_of(event, event.data.contact_id))


def entry_of(
    event: Event[Known | Unknown | ContactPointLinked | MergeSuggested], contact_id: str
) -> EntryRecorded:
    """The entry of an event; a pure function of it, so that a repeated event is the same entry."""
    data = event.data
    described, fields = describe(data), vars(data)
    entry = EntryRecorded(
        entry_id=entry_id(event.envelope.source, event.envelope.id),
        contact_id=contact_id,
        contact_point_id=data.contact_point_id,
        conversation_id=fields.get("conversation_id"),
        kind=described.kind,
        event_type=data.type,
        occurred_at=data.occurred_at,
        message_id=fields.get("message_id"),
        author=described.author,
        content=described.content,
        text=described.text,
        details=details_of(data),
    )
    return fitted(entry)


def _belongs(turn: Turn[HistoryStore], row: ContactPointRow) -> None:
    """Remember whose contact point it is, and record what waited for that."""
    if turn.store.contact_points.get(row.contact_point_id, row.contact_point_id) != row:
        turn.store.contact_points.put(row)
    for waiting in sorted(turn.store.pending.of(row.contact_point_id), key=lambda pending: pending.number):
        turn.store.pending.delete(waiting)
        _add(turn, waiting.entry.model_copy(update={"contact_id": row.contact_id}))


def _record(turn: Turn[HistoryStore], event: Event[Any], entry: EntryRecorded) -> None:
    _add(turn, entry)
    if event.envelope.recorded_at is not None:
        lag = (turn.now - event.envelope.recorded_at).total_seconds()
        turn.store.count(partial(metrics.LAG.observe, max(0.0, lag)))


def _add(turn: Turn[HistoryStore], entry: EntryRecorded) -> None:
    turn.store.entries.add(
        EntryRow(
            entry_id=entry.entry_id,
            contact_id=entry.contact_id,
            contact_point_id=entry.contact_point_id,
            conversation_id=entry.conversation_id,
            kind=entry.kind,
            event_type=entry.event_type,
            occurred_at=entry.occurred_at,
            message_id=entry.message_id,
            author=entry.author,
            content=entry.content,
            text=entry.text,
            details=entry.details,
        )
    )
    turn.emit(entry, key=entry.contact_id, at=entry.occurred_at, correlation=entry.conversation_id or "")
    turn.store.count(metrics.ENTRIES.labels(entry.kind).inc)
