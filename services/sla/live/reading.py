"""This file reads events as facts about service levels; of other events there is none."""

from collections.abc import Mapping
from datetime import timedelta

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Payload
from libs.contracts.vocabulary import Metric
from services.sla.live.domain.facts import Course, Fact, OfChannel, OfClock, OfWork, Step

TOPICS = ("conversations", "assignments", "sla")
NOT_ABANDONED = {"transferred", "snoozed"}
"""Reasons of a work item's end by which nobody was let down: it waits elsewhere, or for its time."""


def fact_of(event: Payload, channels: Mapping[str, str]) -> Fact | None:
    """What the event says. `channels` maps inboxes: only the first event of a conversation names its channel itself."""
    match event:
        case c.ConversationOpened():
            return OfChannel(event.conversation_id, event.channel.value, event.occurred_at)
        case c.ConversationEvent() if event.inbox_id in channels:
            return OfChannel(event.conversation_id, channels[event.inbox_id], event.occurred_at)
        case s.ClockEvent() if event.metric is Metric.FIRST_RESPONSE:
            return _of_clock(event)
        case a.WorkEvent():
            return _of_work(event)
    return None


def _of_clock(event: s.ClockEvent) -> OfClock:
    match event:
        case s.ClockMet():
            course = Course.MET
        case s.ClockBreached():
            course = Course.BREACHED
        case s.ClockCancelled():
            course = Course.CANCELLED
        case _:
            course = Course.GOES_ON
    return OfClock(
        event.conversation_id,
        event.clock_id,
        event.version,
        event.queue,
        event.occurred_at,
        event.due_at,
        course,
        event.corrects_breach,
    )


def _of_work(event: a.WorkEvent) -> OfWork | None:
    since, waited = None, timedelta(0)
    match event:
        case a.WorkQueued() | a.ReservationOffered():
            step, since = Step.WAITING, event.waiting_since
        case a.WorkAssigned():
            step, waited = Step.TAKEN, timedelta(seconds=event.waited_seconds)
        case a.WorkCancelled() if event.reason not in NOT_ABANDONED:
            step = Step.ABANDONED
        case a.WorkWrapping() | a.WorkCompleted() | a.WorkCancelled():
            step = Step.ENDED
        case _:
            # What becomes of an offer is told again by the event that follows it: assigned, queued or cancelled.
            return None
    return OfWork(
        event.conversation_id,
        event.work_item_id,
        event.version,
        event.queue,
        event.occurred_at,
        step,
        since,
        waited,
    )
