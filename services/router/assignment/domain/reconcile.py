"""This file lets rows agree with a workspace that may have changed while nobody watched."""

from dataclasses import replace

from libs.contracts.vocabulary import Presence, WorkState
from services.router.assignment.domain import relaxing
from services.router.assignment.domain.loans import joined
from services.router.assignment.domain.step import Step


def reconcile(step: Step) -> None:
    """Agents who left give their work back; those who came or changed are told; whatever waits beside free agents is matched.

    With an unchanged workspace this decides nothing. A capacity below the load takes nothing away: the agent gets no
    more until there is room. Work of a queue that is gone waits, explained, until the queue is back or it is withdrawn.
    """
    book, policy = step.book, step.policy
    for agent_id in sorted(book.agents):
        agent, spec = book.agents[agent_id], policy.agents.get(agent_id)
        if spec is None:
            if agent.listed:
                _remove(step, agent_id)
        elif not agent.listed:
            version = max(agent.version, int(step.now.timestamp()))
            step.change_agent(agent_id, listed=True, capacity=spec.capacity, reason=None, version=version)
        elif agent.capacity != spec.capacity:
            step.change_agent(agent_id, capacity=spec.capacity)
            book.settle_over(agent_id, raised=True)
    for item in list(book.items.values()):
        # The release before this one kept an offer in columns of its own; what it wrote while both ran has none here.
        if item.state is WorkState.OFFERED and not item.reservations:
            step.take_back(item, "offer_lost")
    for work_item_id in list(book.waiting.in_order()):
        item = book.items[work_item_id]
        if item.only_agent_id is not None:
            if item.only_agent_id not in policy.agents:
                item = replace(item, only_agent_id=None)
                book.put_item(item)
            step.loosen(item)
        relaxing.watch(step, item)
        if book.lends and joined(policy, item) != tuple(item.lent or ()):
            book.put_item(book.items[work_item_id])
    step.loosen_lines(book.waiting.open_lines())


def _remove(step: Step, agent_id: str) -> None:
    book, pool = step.book, step.policy.pool
    step.change_agent(
        agent_id,
        listed=False,
        capacity=0,
        presence=Presence.OFFLINE,
        reason="not in this pool",
        since=step.now,
        lost_at=None,
        resume_presence=None,
        resume_reason=None,
    )
    step.forget(f"presence/{pool}/{agent_id}")
    step.forget(f"grace/{pool}/{agent_id}")
    step.rescind_offers(agent_id, step.now, "agent_removed")
    for item in sorted(step.book.ledger.held(agent_id, WorkState.ASSIGNED), key=step.book.waiting.key):
        step.give_back(item, step.now, "agent_removed")
    for item in book.ledger.held(agent_id, WorkState.WRAPPING):
        step.complete(item, step.now, "agent_removed")
