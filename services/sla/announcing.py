"""This file folds a conversation's facts into clocks and announces what is new about them.

facts, reached ─▶ fold ─▶ clocks ─▶ compared with the rows last announced ─▶ events, timers, rows
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEscalated,
    ClockEvent,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockRetargeted,
    ClockStarted,
    ClockWarned,
)
from libs.flow.flow import Timer, Turn
from libs.flow.metrics import of
from services.sla import metrics
from services.sla.domain.clock import WHOLE, Clock, State
from services.sla.domain.conversation import settle
from services.sla.domain.standing import (
    SUPERSEDED,
    Happened,
    Happening,
    Standing,
    alarms,
    news,
    passed,
    standing,
    superseded,
)
from services.sla.store import ClockRow, ConversationRow, SlaStore


class ClockDue(Timer):
    """A share of a clock's target is used up; at 1.0 it is breached."""

    name = "clock_due"

    conversation_id: str
    share: float
    metric: str = ""
    policy: str = ""
    clock_id: str = ""
    escalates: bool = True
    """Whether a step of escalation belongs to the share; what else is due of it can be told from the clock's row alone."""


def announce_share(turn: Turn[SlaStore], row: ClockRow, share: float, at: datetime) -> None:
    """Say that another share of a clock's target, without a step of escalation, was used up."""
    after, happening = passed(row.standing, share, at, row.warn_at)
    if happening is None:
        return
    put = _say(turn, row, happening, warned=after.warned, breached=after.breached, marks=after.marks)
    turn.store.put_clock(put)


def fold_and_announce(turn: Turn[SlaStore], row: ConversationRow) -> None:
    """Bring the clocks of a conversation up to what the row says, and keep the row."""
    known = {(clock.metric, clock.number): clock for clock in turn.store.clocks.of(row.conversation_id)}
    folded = turn.store.fold(row)
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
        and clock.changes == before.changes
    )


def _announce(turn: Turn[SlaStore], row: ConversationRow, clock: Clock, before: ClockRow | None) -> None:
    known = before.standing if before else None
    after = standing(clock, row.reached, turn.store.calendars)
    if before and known == after and before.queue == clock.queue:
        return
    put = _row(row, clock, after, before)
    for happening in news(known, clock, after, turn.store.calendars):
        put = _say(turn, put, happening)
    turn.store.put_clock(put)
    _set_timers(turn, put, clock, before, after)


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
        marks=after.marks,
        changes=after.changes,
    )
    told = Happening(Happened.CANCELLED, before.started_at, before.due_at, corrects_breach=before.breached)
    turn.store.put_clock(_say(turn, put, told))
    for share in _shares(before):
        turn.cancel_timer(_timer(before, share))


def _set_timers(
    turn: Turn[SlaStore], row: ClockRow, clock: Clock, before: ClockRow | None, after: Standing
) -> None:
    """Timers of a running clock are set when it begins to run, and stay as they are until its start, pauses or terms change."""
    wanted = alarms(clock, after, turn.store.calendars)
    ran = before is not None and before.state is State.RUNNING
    stays = ran and before is not None and _runs(before.standing) == _runs(after)
    if not stays:
        steps = {share for share, _ in clock.numbered(len(after.changes)).steps}
        for share, due in wanted.items():
            timer = ClockDue(
                conversation_id=row.conversation_id,
                share=share,
                metric=row.metric,
                policy=row.policy,
                clock_id=row.clock_id,
                escalates=share in steps,
            )
            turn.set_timer(timer, id=_timer(row, share), key=row.contact_point_id, due=due)
    if ran and before is not None:
        for share in dict.fromkeys((*_shares(before), *row.shares)):
            if share not in wanted:
                turn.cancel_timer(_timer(row, share))


def _runs(standing: Standing) -> tuple[Any, ...]:
    """What the moments of its shares depend on."""
    return standing.started_at, standing.pauses, standing.changes


def _shares(row: ClockRow) -> tuple[float, ...]:
    return row.shares or (*row.warn_at, WHOLE)


def _say(turn: Turn[SlaStore], row: ClockRow, happening: Happening, **changes: Any) -> ClockRow:
    """Publish one event; returns the row with its version and these changes.

    A step of escalation is said once, whatever comes late.
    """
    if happening.step is not None:
        step = f"{happening.policy}/{happening.step.number}"
        if step in row.escalated:
            return row
        changes["escalated"] = (*row.escalated, step)
    row = replace(row, version=row.version + 1, **changes)
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
        "policy": happening.terms.policy if happening.terms else happening.policy or row.policy,
        "queue": row.queue,
        "started_at": row.started_at,
        "due_at": happening.due_at,
        "occurred_at": happening.at,
        "version": row.version,
        "corrects_breach": happening.corrects_breach,
    }
    match happening.what:
        case Happened.STARTED:
            return ClockStarted(**told, **_targeted(happening))
        case Happened.RESUMED:
            return ClockResumed(**told)
        case Happened.WARNED:
            return ClockWarned(**told, fraction=happening.fraction or 0.0)
        case Happened.BREACHED:
            return ClockBreached(**told)
        case Happened.RETARGETED:
            return ClockRetargeted(**told, **_targeted(happening))
        case Happened.ESCALATED:
            return _escalated(told, happening)
        case Happened.PAUSED:
            return ClockPaused(**told, reason=happening.reason or "")
        case Happened.MET:
            return ClockMet(**told)
        case Happened.CANCELLED:
            return ClockCancelled(**told, reason=row.reason or "")


def _targeted(happening: Happening) -> dict[str, Any]:
    terms = happening.terms
    assert terms is not None, "terms that begin are told"
    return {"target_seconds": terms.target.total_seconds(), "policy_version": terms.workspace_version}


def _escalated(told: dict[str, Any], happening: Happening) -> ClockEscalated:
    step = happening.step
    assert step is not None, "a step is told with what it does"
    return ClockEscalated(
        **told,
        step=step.number,
        fraction=happening.fraction or 0.0,
        raise_priority=step.raise_priority,
        move_to_queue=step.move_to_queue,
        notify=step.notify,
        assign_supervisor=step.assign_supervisor,
    )


def _count(turn: Turn[SlaStore], row: ClockRow, happening: Happening) -> None:
    which = (row.metric, row.policy)
    if happening.corrects_breach:
        turn.store.count(of(metrics.CORRECTED, *which).inc)
    match happening.what:
        case Happened.STARTED:
            turn.store.count(of(metrics.STARTED, *which).inc)
        case Happened.WARNED:
            turn.store.count(of(metrics.WARNED, *which).inc)
        case Happened.RETARGETED:
            turn.store.count(of(metrics.RETARGETED, *which).inc)
        case Happened.ESCALATED:
            number = happening.step.number if happening.step else 0
            turn.store.count(of(metrics.ESCALATED, row.metric, happening.policy, number).inc)
        case Happened.BREACHED:
            turn.store.count(of(metrics.BREACHED, *which).inc)
        case Happened.MET:
            turn.store.count(of(metrics.MET, *which, "no" if row.breached else "yes").inc)
        case Happened.CANCELLED:
            turn.store.count(of(metrics.CANCELLED, *which, row.reason).inc)
        case Happened.PAUSED | Happened.RESUMED:
            pass


def _row(row: ConversationRow, clock: Clock, after: Standing, before: ClockRow | None) -> ClockRow:
    terms = clock.numbered(len(after.changes))
    return ClockRow(
        clock_id=clock_id(ConversationId(row.conversation_id), clock.metric, clock.number),
        conversation_id=row.conversation_id,
        contact_point_id=row.contact_point_id,
        metric=clock.metric,
        number=clock.number,
        queue=clock.queue,
        policy=terms.policy,
        workspace_version=terms.workspace_version,
        calendar=terms.calendar,
        target_seconds=terms.target.total_seconds(),
        warn_at=terms.warn_at,
        started_at=clock.started_at,
        state=after.state,
        due_at=after.due_at,
        warned=after.warned,
        breached=after.breached,
        pauses=after.pauses,
        ended_at=after.ended_at,
        reason=after.reason,
        version=before.version if before else 0,
        shares=terms.shares,
        marks=after.marks,
        changes=after.changes,
        escalated=before.escalated if before else (),
    )


def _settled(turn: Turn[SlaStore], row: ConversationRow) -> ConversationRow:
    """The row without what is too old to be kept; clocks that can change no more need not be loaded again."""
    found = settle(row.base, row.facts, row.reached)
    if found.base is row.base:
        return row
    gone = {(clock.metric, clock.number) for clock in found.gone}
    kept = {fact.version for fact in found.facts if not fact.elsewhere}
    for clock in turn.store.clocks.of(row.conversation_id):
        moot = clock.reason == SUPERSEDED and clock.number not in kept
        if not clock.settled and ((clock.metric, clock.number) in gone or moot):
            turn.store.put_clock(replace(clock, settled=True))
    return replace(row, base=found.base, facts=found.facts)


def _timer(row: ClockRow, share: float) -> str:
    return f"{row.clock_id}/{share:.9g}"
