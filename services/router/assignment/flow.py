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
    WorkQueued,
    WorkReprioritised,
    WorkRequested,
    WorkWithdrawn,
    WorkWrapping,
)
from libs.contracts.payloads.commands import (
    AcceptReservation,
    CompleteWork,
    DeclineReservation,
    ForceAssign,
    Heartbeat,
    SetPresence,
)
from libs.flow.flow import Flow
from libs.workspace import Pool, Workspace
from services.router.assignment import metrics
from services.router.assignment.domain.policy import AgentSpec, Policy
from services.router.assignment.handlers.receiving import Handlers
from services.router.assignment.store import AssignmentStore
from services.router.assignment.timers import DeclineDue, GraceDue, PresenceDue, ReservationDue, WrapUpDue


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
        reads={
            "work": {
                WorkRequested: on.on_work_requested,
                WorkWithdrawn: on.on_work_withdrawn,
                WorkReprioritised: on.on_work_reprioritised,
                WorkEscalated: on.on_work_escalated,
            },
            "agent-commands": {
                SetPresence: on.on_set_presence,
                Heartbeat: on.on_heartbeat,
                AcceptReservation: on.on_accept_reservation,
                DeclineReservation: on.on_decline_reservation,
                CompleteWork: on.on_complete_work,
                ForceAssign: on.on_force_assign,
            },
        },
        timers={
            ReservationDue: on.on_reservation_due,
            PresenceDue: on.on_presence_due,
            GraceDue: on.on_grace_due,
            WrapUpDue: on.on_wrap_up_due,
            DeclineDue: on.on_decline_due,
        },
        emits={
            "assignments": (
                WorkQueued,
                WorkAssigned,
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
        strategy=pool.strategy,
        reservation_lease=pool.reservation_lease,
        presence_lease=pool.presence_lease,
        grace=pool.grace,
        decline_memory=pool.decline_memory,
        auto_accept=pool.auto_accept,
        channel_cost=pool.channel_cost,
        wrap_up={queue.id: queue.wrap_up for queue in queues.values() if queue.wrap_up > timedelta(0)},
        agents={
            agent.id: AgentSpec(agent.id, agent.skills, frozenset(agent.queues or queues), agent.capacity)
            for agent in workspace.agents.values()
            if agent.pool == pool_id and pool_id in workspace.pools
        },
        supervisors=frozenset(a.id for a in workspace.agents.values() if a.role == "supervisor"),
    )
