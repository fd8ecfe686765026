"""Requests for work and agents' commands in, assignments and agents' states out."""

from datetime import timedelta

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
from libs.flow.flow import Flow
from libs.workspace import Pool, Workspace
from services.router.assignment import metrics
from services.router.assignment.domain.policy import AgentSpec, Mode, Policy, Relaxation, Terms
from services.router.assignment.handlers.receiving import Handlers
from services.router.assignment.store import AssignmentStore
from services.router.assignment.timers import (
    DeclineDue,
    GraceDue,
    PresenceDue,
    ReservationDue,
    WaitDue,
    WrapUpDue,
)


def flow(workspace: Workspace) -> Flow:
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
            PresenceDue: on.on_presence_due,
            GraceDue: on.on_grace_due,
            WrapUpDue: on.on_wrap_up_due,
            DeclineDue: on.on_decline_due,
            WaitDue: on.on_wait_due,
        },
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
        },
    )


def policy_of(workspace: Workspace, pool_id: str) -> Policy:
    """What the workspace says of a pool. One that it does not have has no agents: work in it waits, and is explained."""
    pool = workspace.pools.get(pool_id) or Pool(pool_id)
    queues = {queue.id: queue for queue in workspace.queues.values() if queue.pool == pool_id}
    return Policy(
        pool=pool_id,
        version=workspace.version,
        order=pool.order,
        pick=pool.pick,
        head_start=pool.head_start,
        late_behind=pool.late_behind,
        hold=pool.hold,
        relaxations={
            queue.id: tuple(Relaxation(r.after, r.skills, r.queues, r.skip_if_nobody) for r in queue.relax)
            for queue in queues.values()
            if queue.relax
        },
        reservation_lease=pool.reservation_lease,
        presence_lease=pool.presence_lease,
        grace=pool.grace,
        decline_memory=pool.decline_memory,
        auto_accept=pool.auto_accept,
        offers_at_once=pool.offers_at_once,
        missed_becomes_busy=pool.missed == "busy",
        channel_cost=pool.channel_cost,
        wrap_up={queue.id: queue.wrap_up for queue in queues.values() if queue.wrap_up > timedelta(0)},
        wrap_up_releases=frozenset(q.id for q in queues.values() if q.wrap_up_capacity == "release"),
        modes={queue.id: Mode(queue.mode) for queue in queues.values()},
        interruptible={channel: frozenset(by) for channel, by in pool.interruptible_by.items()},
        agents={
            agent.id: AgentSpec(
                agent.id,
                agent.skills,
                frozenset(agent.queues or queues),
                agent.capacity,
                agent.caps,
                {q: Terms(t.priority, t.delay) for q, t in agent.terms.items()},
            )
            for agent in workspace.agents.values()
            if agent.pool == pool_id and pool_id in workspace.pools
        },
        supervisors=frozenset(a.id for a in workspace.agents.values() if a.role == "supervisor"),
    )
