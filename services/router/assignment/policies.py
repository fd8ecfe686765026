"""This file turns what the workspace says of a pool into the form in which decisions need it."""

from datetime import timedelta

from libs.workspace import Pool, Workspace
from services.router.assignment.domain.policy import AgentSpec, Mode, Policy


def policy_of(workspace: Workspace, pool_id: str) -> Policy:
    """What the workspace says of a pool. One that it does not have has no agents: work in it waits, and is explained."""
    pool = workspace.pools.get(pool_id) or Pool(pool_id)
    queues = {queue.id: queue for queue in workspace.queues.values() if queue.pool == pool_id}
    # How work is finished is its queue's rule, whoever does it.
    served = {
        queue.id: queue
        for queue in workspace.queues.values()
        if queue.id in queues or any(pool_id in step.pools for step in queue.relax)
    }
    return Policy(
        pool=pool_id,
        version=workspace.version,
        order=pool.order,
        pick=pool.pick,
        head_start=pool.head_start,
        vip_priority=pool.vip_priority,
        late_behind=pool.late_behind,
        hold=pool.hold,
        relaxations={queue.id: queue.relax for queue in queues.values() if queue.relax},
        reservation_lease=pool.reservation_lease,
        presence_lease=pool.presence_lease,
        grace=pool.grace,
        decline_memory=pool.decline_memory,
        auto_accept=pool.auto_accept,
        offers_at_once=pool.offers_at_once,
        missed_becomes_busy=pool.missed == "busy",
        channel_cost=pool.channel_cost,
        wrap_up={queue.id: queue.wrap_up for queue in served.values() if queue.wrap_up > timedelta(0)},
        wrap_up_releases=frozenset(q.id for q in served.values() if q.wrap_up_capacity == "release"),
        modes={queue.id: Mode(queue.mode) for queue in queues.values()},
        hooks={q.id: hook.within for q in queues.values() if (hook := workspace.allocation_hook(q))},
        interruptible={channel: frozenset(by) for channel, by in pool.interruptible_by.items()},
        agents={
            agent.id: AgentSpec(
                agent.id,
                agent.skills,
                frozenset(agent.queues or queues),
                agent.capacity,
                agent.caps,
                agent.terms,
            )
            for agent in workspace.agents.values()
            if agent.pool == pool_id and pool_id in workspace.pools
        },
        supervisors=frozenset(a.id for a in workspace.agents.values() if a.role == "supervisor"),
    )
