"""This file folds a conversation's facts into clocks and announces what is new about them.

facts, reached ─▶ fold ─▶ clocks ─▶ compared with the rows last announced ─▶ events, timers, rows
"""

from dataclasses import replace
from typing import Any

from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEvent,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarned,
)
from libs.flow.flow import Timer, Turn
from services.sla import metrics
from services.sla.domain.clock import WHOLE, Clock, State
from services.sla.domain.conversation import fold, settle
from services.sla.domain.standing import (
    SUPERSEDED,
    Happened,
    Happening,
    Standing,
    alarms,
    news,
    standing,
    superseded,
)
from services.sla.store import ClockRow, ConversationRow, SlaStore


class ClockDue(Timer):
    """A share of a clock's target is used up; at 1.0 it is breached."""

    name = "clock_due"

    conversation_id: str
    share: float


def fold_and_announce(turn: Turn[SlaStore], row: ConversationRow) -> None:
    """Bring the clocks of a conversation up to what the row says, and keep the row."""
    known = {(clock.metric, clock.number): clock for clock in turn.store.clocks.of(row.conversation_id)}
    folded = fold(row.base, row.facts, turn.store.folds.get(row.conversation_id))
    turn.store.folds[row.conversation_id] = folded
    for clock in folded.conversation.clocks:
        before = known.pop((clock.metric, clock.number), None)
        if before is None or not _over(before, clock):
            _announce(turn, row, clock, before)
    for left in known.values():
        if not left.settled and left.reason != SUPERSEDED:
            _take_back(turn, left)
    turn.store.conversations.put(_settled(turn, row))


def _over(before: ClockRow, clock: Clock) -> bool:
    """Whether it ended as was announced; then nothing of it can be new, since an end does not depend on the time."""
    return (
        clock.ended_at is not None
        and clock.ended_at == before.ended_at
        and clock.state is before.state
        and clock.started_at == before.started_at
        and clock.pauses == before.pauses
    )


def _announce(turn: Turn[SlaStore], row: ConversationRow, clock: Clock, before: ClockRow | None) -> None:
    known = before.standing if before else None
    after = standing(clock, row.reached, turn.store.calendars)
    if before and known == after and before.queue == clock.queue:
        return
    put = _row(row, clock, after, before.version if before else 0)
    for happening in news(known, clock, after, turn.store.calendars):
        put = _say(turn, put, happening)
    turn.store.clocks.put(put)
    _set_timers(turn, put, clock, known, after)


def _take_back(turn: Turn[SlaStore], before: ClockRow) -> None:
    after = superseded(before.standing)
    put = replace(
        before,
        state=after.state,
        warned=after.warned,
        breached=after.breached,
        pauses=after.pauses,
        ended_at=after.ended_at,
        reason=after.reason,
    )
    told = Happening(Happened.CANCELLED, before.started_at, before.due_at, corrects_breach=before.breached)
    turn.store.clocks.put(_say(turn, put, told))
    for share in (*before.warn_at, WHOLE):
        turn.cancel_timer(_timer(before, share))


def _set_timers(
    turn: Turn[SlaStore], row: ClockRow, clock: Clock, known: Standing | None, after: Standing
) -> None:
    """Timers of a running clock are set when it begins to run, and stay as they are until its start or its pauses change."""
    wanted = alarms(clock, after, turn.store.calendars)
    ran = known is not None and known.state is State.RUNNING
    stays = ran and known is not None and (known.started_at, known.pauses) == (after.started_at, after.pauses)
    for share in clock.shares:
        if share in wanted and not stays:
            due = ClockDue(conversation_id=row.conversation_id, share=share)
            turn.set_timer(due, id=_timer(row, share), key=row.contact_point_id, due=wanted[share])
        elif share not in wanted and ran:
            turn.cancel_timer(_timer(row, share))


def _say(turn: Turn[SlaStore], row: ClockRow, happening: Happening) -> ClockRow:
    """Publish one event; returns the row with its version."""
    row = replace(row, version=row.version + 1)
    event = _event(row, happening)
    turn.emit(event, key=row.contact_point_id, at=happening.at, correlation=row.conversation_id)
    _count(turn, row, happening)
    return row


def _event(row: ClockRow, happening: Happening) -> ClockEvent:
    told: dict[str, Any] = {
        "clock_id": row.clock_id,
        "conversation_id": row.conversation_id,
        "contact_point_id": row.contact_point_id,
        "metric": row.metric,
        "policy": row.policy,
        "queue": row.queue,
        "started_at": row.started_at,
        "due_at": happening.due_at,
        "occurred_at": happening.at,
        "version": row.version,
        "corrects_breach": happening.corrects_breach,
    }
    match happening.what:
        case Happened.STARTED:
            return ClockStarted(
                **told, target_seconds=row.target_seconds, policy_version=row.workspace_version
            )
        case Happened.RESUMED:
            return ClockResumed(**told)
        case Happened.WARNED:
            return ClockWarned(**told, fraction=happening.fraction or 0.0)
        case Happened.BREACHED:
            return ClockBreached(**told)
        case Happened.PAUSED:
            return ClockPaused(**told, reason="snoozed")
        case Happened.MET:
            return ClockMet(**told)
        case Happened.CANCELLED:
            return ClockCancelled(**told, reason=row.reason or "")


def _count(turn: Turn[SlaStore], row: ClockRow, happening: Happening) -> None:
    which = (row.metric, row.policy)
    if happening.corrects_breach:
        turn.store.count(metrics.CORRECTED.labels(*which).inc)
    match happening.what:
        case Happened.STARTED:
            turn.store.count(metrics.STARTED.labels(*which).inc)
        case Happened.WARNED:
            turn.store.count(metrics.WARNED.labels(*which).inc)
        case Happened.BREACHED:
            turn.store.count(metrics.BREACHED.labels(*which).inc)
        case Happened.MET:
            turn.store.count(metrics.MET.labels(*which, "no" if row.breached else "yes").inc)
        case Happened.CANCELLED:
            turn.store.count(metrics.CANCELLED.labels(*which, row.reason).inc)
        case Happened.PAUSED | Happened.RESUMED:
            pass


def _row(row: ConversationRow, clock: Clock, after: Standing, version: int) -> ClockRow:
    return ClockRow(
        clock_id=clock_id(ConversationId(row.conversation_id), clock.metric, clock.number),
        conversation_id=row.conversation_id,
        contact_point_id=row.contact_point_id,
        metric=clock.metric,
        number=clock.number,
        queue=clock.queue,
        policy=clock.policy,
        workspace_version=clock.workspace_version,
        calendar=clock.calendar,
        target_seconds=clock.target.total_seconds(),
        warn_at=clock.warn_at,
        started_at=clock.started_at,
        state=after.state,
        due_at=after.due_at,
        warned=after.warned,
        breached=after.breached,
        pauses=after.pauses,
        ended_at=after.ended_at,
        reason=after.reason,
        version=version,
    )


def _settled(turn: Turn[SlaStore], row: ConversationRow) -> ConversationRow:
    """The row without what is too old to be kept; clocks that can change no more need not be loaded again."""
    found = settle(row.base, row.facts, row.reached)
    if found.base is row.base:
        return row
    gone = {(clock.metric, clock.number) for clock in found.gone}
    kept = {fact.version for fact in found.facts}
    for clock in turn.store.clocks.of(row.conversation_id):
        moot = clock.reason == SUPERSEDED and clock.number not in kept
        if not clock.settled and ((clock.metric, clock.number) in gone or moot):
            turn.store.clocks.put(replace(clock, settled=True))
    return replace(row, base=found.base, facts=found.facts)


def _timer(row: ClockRow, share: float) -> str:
    return f"{row.clock_id}/{share:g}"
