"""Requests for work and agents' commands in, assignments and agents' states out."""

from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationAccepted,
    ReservationDeclined,
    ReservationExpired,
    ReservationOffered,
    ReservationRescinded,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkEscalated,
    WorkFellSilent,
    WorkIdled,
    WorkQueued,
    WorkReprioritised,
    WorkRequested,
    WorkResumed,
    WorkWithdrawn,
    WorkWoken,
    WorkWrapping,
)
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
from libs.contracts.payloads.lending import (
    WorkClaimed,
    WorkGranted,
    WorkLent,
    WorkPassedOn,
    WorkRecalled,
    WorkReturned,
    WorkSettled,
)
from libs.flow.flow import Flow, Performer
from libs.workspace import Workspace
from services.router.assignment import metrics
from services.router.assignment.effects import AskHook
from services.router.assignment.handlers.receiving import Handlers
from services.router.assignment.policies import policy_of
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


def flow(workspace: Workspace, ask: Performer | None = None) -> Flow:
    """`ask` performs what allocation hooks are asked; without it nobody is asked, and the time limits decide."""
    on = Handlers()

    def store(lane: int) -> AssignmentStore:
        made = AssignmentStore(lane, lambda pool: policy_of(workspace, pool))
        metrics.WAITING.stores.add(made)
        return made

    return Flow(
        name="assignment",
        schema="router",
        store=store,
        replayable=True,
        reads={
            "work": {
                WorkRequested: on.on_work_requested,
                WorkWithdrawn: on.on_work_withdrawn,
                WorkReprioritised: on.on_work_reprioritised,
                WorkEscalated: on.on_work_escalated,
                WorkFellSilent: on.on_work_fell_silent,
                WorkResumed: on.on_work_resumed,
            },
            "lending": {
                WorkLent: on.on_lending,
                WorkClaimed: on.on_lending,
                WorkGranted: on.on_lending,
                WorkRecalled: on.on_lending,
                WorkReturned: on.on_lending,
                WorkSettled: on.on_lending,
                WorkPassedOn: on.on_lending,
            },
            "agent-commands": {
                SetPresence: on.on_set_presence,
                Heartbeat: on.on_heartbeat,
                AcceptReservation: on.on_accept_reservation,
                DeclineReservation: on.on_decline_reservation,
                CompleteWork: on.on_complete_work,
                NextWork: on.on_next_work,
                TakeWork: on.on_take_work,
                ConsultWork: on.on_consult_work,
                ForceAssign: on.on_force_assign,
            },
        },
        timers={
            ReservationDue: on.on_reservation_due,
            ClaimDue: on.on_claim_due,
            PresenceDue: on.on_presence_due,
            GraceDue: on.on_grace_due,
            WrapUpDue: on.on_wrap_up_due,
            DeclineDue: on.on_decline_due,
            WaitDue: on.on_wait_due,
            HookDue: on.on_hook_due,
        },
        performers={AskHook: ask} if ask is not None else {},
        results={AskHook: on.on_hook_asked},
        # Most of an ask is waiting for an answer, within ten seconds at most.
        effects_at_once=256,
        emits={
            "assignments": (
                WorkQueued,
                WorkAssigned,
                WorkIdled,
                WorkWoken,
                WorkWrapping,
                WorkCompleted,
                WorkCancelled,
                ReservationOffered,
                ReservationAccepted,
                ReservationDeclined,
                ReservationExpired,
                ReservationRescinded,
            ),
            "agents": (AgentChanged,),
            "lending": (
                WorkLent,
                WorkClaimed,
                WorkGranted,
                WorkRecalled,
                WorkReturned,
                WorkSettled,
                WorkPassedOn,
            ),
        },
    )
