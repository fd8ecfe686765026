"""This file turns events and due timers into inputs of the pool's engine."""

from datetime import datetime
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import (
    WorkEscalated,
    WorkFellSilent,
    WorkReprioritised,
    WorkRequested,
    WorkResumed,
    WorkWithdrawn,
)
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.commands import (
    AcceptReservation,
    CompleteWork,
    ConsultWork,
    DeclineReservation,
    ForceAssign,
    Heartbeat,
    NextWork,
    SetPresence,
    TakeWork,
)
from libs.contracts.payloads.lending import LendingEvent
from libs.flow.flow import Drop, Fired, Outcome, Performed, Turn
from services.router.assignment import metrics
from services.router.assignment.domain import inputs
from services.router.assignment.domain.reservations import BY_POLICY
from services.router.assignment.effects import AskHook, AskOutcome, Heard
from services.router.assignment.handlers.lending import input_of
from services.router.assignment.handlers.publishing import carry_out
from services.router.assignment.store import AssignmentStore
from services.router.assignment.timers import (
    ClaimDue,
    DeclineDue,
    GraceDue,
    HookDue,
    PresenceDue,
    ReservationDue,
    WaitDue,
    WrapUpDue,
)

AssignmentTurn = Turn[AssignmentStore]


class Handlers:
    """One method per event type and timer; each is one input of one engine."""

    # -- work ---------------------------------------------------------------------------------------------------------

    def on_work_requested(self, turn: AssignmentTurn, event: Event[WorkRequested]) -> Outcome | None:
        asked = event.data
        request = inputs.Request(
            work_item_id=asked.work_item_id,
            conversation_id=asked.conversation_id,
            contact_point_id=asked.contact_point_id,
            queue=asked.queue,
            channel=asked.channel,
            requested_at=asked.requested_at,
            skills=asked.skills,
            preferred_skills=asked.preferred_skills,
            priority=asked.priority,
            due_at=asked.due_at,
            last_agent_id=asked.last_agent_id,
            only_agent_id=asked.only_agent_id,
            excluded_agent_ids=asked.excluded_agent_ids,
            reason=asked.reason,
            vip=asked.vip,
        )
        return _received(turn, event, asked.pool, request)

    def on_work_withdrawn(self, turn: AssignmentTurn, event: Event[WorkWithdrawn]) -> Outcome | None:
        asked = event.data
        return _received(
            turn, event, asked.pool, inputs.Withdraw(asked.work_item_id, asked.reason, asked.wrap_up)
        )

    def on_work_reprioritised(self, turn: AssignmentTurn, event: Event[WorkReprioritised]) -> Outcome | None:
        asked = event.data
        what = inputs.Reprioritise(
            asked.work_item_id, asked.priority, asked.due_at, asked.least_priority, asked.vip
        )
        return _received(turn, event, asked.pool, what)

    def on_work_escalated(self, turn: AssignmentTurn, event: Event[WorkEscalated]) -> Outcome | None:
        asked, name = event.data, event.envelope.name
        what = inputs.ForceAssign(asked.agent_id, name, asked.work_item_id, BY_POLICY + asked.policy)
        return _received(turn, event, asked.pool, what)

    def on_work_fell_silent(self, turn: AssignmentTurn, event: Event[WorkFellSilent]) -> Outcome | None:
        asked = event.data
        what = inputs.FallSilent(asked.work_item_id, asked.agent_id, asked.since)
        return _received(turn, event, asked.pool, what)

    def on_work_resumed(self, turn: AssignmentTurn, event: Event[WorkResumed]) -> Outcome | None:
        return _received(turn, event, event.data.pool, inputs.Resume(event.data.work_item_id))

    # -- other pools --------------------------------------------------------------------------------------------------

    def on_lending(self, turn: AssignmentTurn, event: Event[LendingEvent]) -> Outcome | None:
        return _received(turn, event, event.data.pool, input_of(event.data))

    # -- agents -------------------------------------------------------------------------------------------------------

    def on_set_presence(self, turn: AssignmentTurn, event: Event[SetPresence]) -> Outcome | None:
        asked = event.data
        what = inputs.SetPresence(asked.agent_id, event.envelope.id, asked.presence, asked.reason)
        return _received(turn, event, asked.pool, what)

    def on_heartbeat(self, turn: AssignmentTurn, event: Event[Heartbeat]) -> Outcome | None:
        return _received(turn, event, event.data.pool, inputs.Heartbeat(event.data.agent_id))

    def on_accept_reservation(self, turn: AssignmentTurn, event: Event[AcceptReservation]) -> Outcome | None:
        asked = event.data
        what = inputs.Accept(asked.agent_id, event.envelope.id, asked.reservation_id, asked.version)
        return _received(turn, event, asked.pool, what)

    def on_decline_reservation(
        self, turn: AssignmentTurn, event: Event[DeclineReservation]
    ) -> Outcome | None:
        asked = event.data
        what = inputs.Decline(asked.agent_id, event.envelope.id, asked.reservation_id, asked.reason)
        return _received(turn, event, asked.pool, what)

    def on_complete_work(self, turn: AssignmentTurn, event: Event[CompleteWork]) -> Outcome | None:
        asked = event.data
        what = inputs.Complete(asked.agent_id, event.envelope.id, asked.work_item_id)
        return _received(turn, event, asked.pool, what)

    def on_next_work(self, turn: AssignmentTurn, event: Event[NextWork]) -> Outcome | None:
        return _received(turn, event, event.data.pool, inputs.Next(event.data.agent_id, event.envelope.id))

    def on_take_work(self, turn: AssignmentTurn, event: Event[TakeWork]) -> Outcome | None:
        asked = event.data
        what = inputs.Take(asked.agent_id, event.envelope.id, asked.work_item_id)
        return _received(turn, event, asked.pool, what)

    def on_consult_work(self, turn: AssignmentTurn, event: Event[ConsultWork]) -> Outcome | None:
        asked = event.data
        skills = {asked.skill: asked.level} if asked.skill else {}
        what = inputs.Consult(
            asked.agent_id, event.envelope.id, asked.work_item_id, asked.ordered_by, asked.to_agent_id, skills
        )
        return _received(turn, event, asked.pool, what)

    def on_force_assign(self, turn: AssignmentTurn, event: Event[ForceAssign]) -> Outcome | None:
        asked = event.data
        what = inputs.ForceAssign(asked.agent_id, event.envelope.id, asked.work_item_id, asked.ordered_by)
        return _received(turn, event, asked.pool, what)

    # -- timers -------------------------------------------------------------------------------------------------------

    def on_reservation_due(self, turn: AssignmentTurn, fired: Fired[ReservationDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.ReservationLapsed(fired.timer.reservation_id))

    def on_claim_due(self, turn: AssignmentTurn, fired: Fired[ClaimDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.ClaimLapsed(fired.timer.work_item_id, fired.timer.loan))

    def on_presence_due(self, turn: AssignmentTurn, fired: Fired[PresenceDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.PresenceLapsed(fired.timer.agent_id))

    def on_grace_due(self, turn: AssignmentTurn, fired: Fired[GraceDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.GraceEnded(fired.timer.agent_id))

    def on_wrap_up_due(self, turn: AssignmentTurn, fired: Fired[WrapUpDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.WrapUpEnded(fired.timer.work_item_id))

    def on_decline_due(self, turn: AssignmentTurn, fired: Fired[DeclineDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.DeclineLapsed(fired.timer.work_item_id, fired.timer.agent_id))

    def on_wait_due(self, turn: AssignmentTurn, fired: Fired[WaitDue]) -> Outcome | None:
        return _fired(turn, fired, inputs.WaitLapsed(fired.timer.work_item_id))

    def on_hook_due(self, turn: AssignmentTurn, fired: Fired[HookDue]) -> Outcome | None:
        lapse = inputs.HookLapsed(fired.timer.work_item_id, fired.timer.ask)
        if turn.store.engine(fired.key).awaits(lapse.work_item_id, lapse.ask):
            metrics.HOOK_ANSWERS.labels(fired.key, "timeout").inc()
        return _fired(turn, fired, lapse)

    # -- allocation hooks ---------------------------------------------------------------------------------------------

    def on_hook_asked(self, turn: AssignmentTurn, performed: Performed) -> Outcome | None:
        """An answer that nobody waits for any more is no input: the time was over, or the work has gone on without it."""
        asked: AskHook = performed.effect
        heard: Heard = performed.result
        if not turn.store.engine(asked.pool).awaits(asked.work_item_id, asked.ask):
            if heard.fault is None:
                metrics.HOOK_ANSWERS.labels(asked.pool, "late").inc()
            return Drop("late_hook_answer")
        if heard.outcome is not AskOutcome.ANSWERED:
            metrics.HOOK_ANSWERS.labels(asked.pool, heard.outcome).inc()
        what = inputs.HookAnswered(asked.work_item_id, asked.ask, heard.agent_ids, heard.reason, heard.fault)
        return _apply(turn, asked.pool, what, turn.now)


def _received(turn: AssignmentTurn, event: Event[Payload], pool: str, what: inputs.Input) -> Outcome | None:
    # The key decided which lane reads this; another lane's engine would decide for a pool that is not its own.
    if event.key != pool:
        return Drop("pool_is_not_the_key")
    return _apply(turn, pool, what, event.envelope.time)


def _fired(turn: AssignmentTurn, fired: Fired[Any], what: inputs.Input) -> Outcome | None:
    return _apply(turn, fired.key, what, fired.due_at)


def _apply(turn: AssignmentTurn, pool: str, what: inputs.Input, at: datetime) -> Outcome | None:
    engine = turn.store.engine(pool)
    with metrics.DECISION.labels(type(what).__name__).time():
        decisions = engine.apply(what, at=at, now=turn.now)
    turn.store.save(engine)
    return carry_out(turn, pool, engine.book.policy.version, decisions)
