"""This file carries out the engine's decisions: facts become events and the routing story, reminders become timers."""

from typing import Any, assert_never

from libs.contracts.payloads.assignments import (
    AgentChanged,
    Candidate,
    CommandAnswer,
    Explanation,
    HookAnswer,
    ReservationAccepted,
    ReservationDeclined,
    ReservationEvent,
    ReservationExpired,
    ReservationOffered,
    ReservationRescinded,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkEvent,
    WorkIdled,
    WorkQueued,
    WorkWoken,
    WorkWrapping,
)
from libs.flow.flow import Drop, Outcome, Turn
from services.router.assignment import metrics
from services.router.assignment.domain import decisions as made
from services.router.assignment.domain.decisions import Code, Decision, Ending, WorkFact
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.effects import ask_of
from services.router.assignment.handlers.lending import publish
from services.router.assignment.store import AssignmentStore, Decided
from services.router.assignment.timers import timer_of


def carry_out(
    turn: Turn[AssignmentStore], pool: str, version: str, decisions: list[Decision]
) -> Outcome | None:
    """Emit, remind and record, in the order of the decisions."""
    outcome: Outcome | None = None
    for decision in decisions:
        match decision:
            case made.Ignored(reason):
                outcome = Drop(reason)
            case made.Remind(id, due, lapse):
                turn.set_timer(timer_of(lapse), id=id, key=pool, due=due)
            case made.Forget(id):
                turn.cancel_timer(id)
            case made.Ask():
                # A key of the item's own: asks about others do not wait for this one.
                effect = ask_of(decision, version)
                turn.perform(effect, id=f"hook/{effect.id}", key=effect.work_item_id)
            case made.AgentChange():
                _publish_agent(turn, decision)
            case made.Lending():
                publish(turn, decision)
            case _:
                _publish_work(turn, decision)
    return outcome


def _publish_work(turn: Turn[AssignmentStore], fact: WorkFact) -> None:
    item, event = fact.item, _event(fact)
    turn.emit(event, key=item.contact_point_id, at=event.occurred_at, correlation=item.conversation_id)
    turn.store.decisions.add(
        Decided(
            work_item_id=item.work_item_id,
            version=item.version,
            conversation_id=item.conversation_id,
            pool=item.pool,
            at=event.occurred_at,
            type=event.type,
            data=event.model_dump(mode="json", exclude_none=True),
        )
    )


def _event(fact: WorkFact) -> WorkEvent:
    item = fact.item
    base = _base(item)
    match fact:
        case made.Queued():
            return WorkQueued(
                **base,
                waiting_since=item.waiting_since,
                reason=fact.reason,
                explanation=_explained(fact.explanation, item),
            )
        case made.Offered():
            return ReservationOffered(
                **base,
                reservation_id=fact.reservation.reservation_id,
                agent_id=fact.reservation.agent_id,
                held_by=item.agent_id,
                expires_at=fact.reservation.expires_at,
                waiting_since=item.waiting_since,
                explanation=_explained(fact.explanation, item),
            )
        case made.ReservationEnded():
            metrics.RESERVATIONS.labels(item.pool, fact.ending).inc()
            return _reservation_event(fact, base)
        case made.Assigned():
            waited = (item.changed_at - item.waiting_since).total_seconds()
            if fact.taken_over_from is None:
                metrics.ASSIGNED.labels(item.queue, _way(fact)).observe(waited)
            return WorkAssigned(
                **base,
                agent_id=fact.agent_id,
                reservation_id=fact.reservation_id,
                forced_by=fact.forced_by,
                taken_over_from=fact.taken_over_from,
                waited_seconds=waited,
                explanation=_explained(fact.explanation, item),
            )
        case made.Idled():
            return WorkIdled(**base, agent_id=fact.agent_id, since=fact.since)
        case made.Woken():
            return WorkWoken(**base, agent_id=fact.agent_id)
        case made.Wrapping():
            return WorkWrapping(**base, agent_id=fact.agent_id, until=fact.until)
        case made.Completed():
            return WorkCompleted(**base, agent_id=fact.agent_id, reason=fact.reason)
        case made.Cancelled():
            return WorkCancelled(**base, reason=fact.reason)
        case _:
            assert_never(fact)


def _way(fact: made.Assigned) -> str:
    if fact.forced_by:
        return "forced"
    if fact.by_request:
        return "pulled"
    return "accepted" if fact.reservation_id else "direct"


def _reservation_event(fact: made.ReservationEnded, base: dict[str, Any]) -> ReservationEvent:
    base |= {
        "reservation_id": fact.reservation_id,
        "agent_id": fact.agent_id,
        "held_by": fact.item.agent_id,
    }
    match fact.ending:
        case Ending.ACCEPTED:
            return ReservationAccepted(**base)
        case Ending.DECLINED:
            return ReservationDeclined(**base, reason=fact.reason)
        case Ending.EXPIRED:
            return ReservationExpired(**base)
        case Ending.RESCINDED:
            return ReservationRescinded(**base, reason=fact.reason or "rescinded")
        case _:
            assert_never(fact.ending)


def _answered(answer: made.Answer) -> CommandAnswer:
    return CommandAnswer(
        command_id=answer.command_id, code=answer.code, text=answer.text, work_item_id=answer.work_item_id
    )


def _base(item: WorkItem) -> dict[str, Any]:
    return {
        "work_item_id": item.work_item_id,
        "conversation_id": item.conversation_id,
        "contact_point_id": item.contact_point_id,
        "pool": item.pool,
        "queue": item.queue,
        "version": item.version,
        "occurred_at": item.changed_at,
    }


def _explained(explanation: made.Explanation, item: WorkItem) -> Explanation:
    return Explanation(
        policy=explanation.policy,
        policy_version=explanation.policy_version,
        strategy=explanation.strategy,
        chosen=explanation.chosen,
        candidates=tuple(
            Candidate(agent_id=c.agent_id, rejected=c.rejected, score=c.score) for c in explanation.candidates
        ),
        considered=explanation.considered,
        note=explanation.note,
        step=explanation.step,
        vip=True if item.vip else None,
        hook=_heard(explanation),
    )


def _heard(explanation: made.Explanation) -> HookAnswer | None:
    answer = explanation.hook
    if answer is None:
        return None
    if answer.agent_ids:
        taken = explanation.chosen in answer.agent_ids
        metrics.HOOK_ANSWERS.labels(explanation.policy, "chosen" if taken else "refused").inc()
    return HookAnswer(ask=answer.ask, agent_ids=answer.agent_ids, reason=answer.reason, fault=answer.fault)


def _publish_agent(turn: Turn[AssignmentStore], change: made.AgentChange) -> None:
    agent, answer = change.agent, change.answer
    if answer is not None and answer.code is not Code.OK:
        metrics.REFUSED.labels(answer.code).inc()
    event = AgentChanged(
        agent_id=agent.agent_id,
        pool=agent.pool,
        presence=agent.presence,
        reason=agent.reason,
        since=agent.since,
        load=change.load,
        capacity=agent.capacity,
        work_item_ids=change.work_item_ids,
        answer=_answered(answer) if answer else None,
        version=agent.version,
        occurred_at=change.at,
    )
    turn.emit(event, key=agent.agent_id, at=change.at)
