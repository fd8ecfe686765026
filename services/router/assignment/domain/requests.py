"""This file holds the rules for what conversations ask: attention, no more attention, sooner or later attention."""

from dataclasses import replace

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain import relaxing
from services.router.assignment.domain.inputs import (
    FallSilent,
    Reprioritise,
    Request,
    Resume,
    WaitLapsed,
    Withdraw,
)
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.work import WorkItem


def request(step: Step, asked: Request) -> None:
    """A wish for one agent who is not of this pool is not kept: it would wait for ever."""
    book, policy = step.book, step.policy
    if asked.work_item_id in book.items:
        step.ignore("already_requested")
        return
    only = asked.only_agent_id if asked.only_agent_id in policy.agents else None
    raised = policy.vip_priority if asked.vip else 0
    note = None if only == asked.only_agent_id else f"{asked.only_agent_id} is not in pool {policy.pool}"
    step.queue(
        WorkItem(
            work_item_id=asked.work_item_id,
            lane=book.lane,
            pool=policy.pool,
            conversation_id=asked.conversation_id,
            contact_point_id=asked.contact_point_id,
            queue=asked.queue,
            channel=asked.channel,
            skills=asked.skills,
            preferred_skills=asked.preferred_skills or None,
            units=policy.units(asked.channel),
            priority=asked.priority + raised,
            due_at=asked.due_at,
            last_agent_id=asked.last_agent_id,
            only_agent_id=only,
            excluded_agent_ids=tuple(a for a in asked.excluded_agent_ids if a != only),
            waiting_since=min(asked.requested_at, step.now),
            state=WorkState.QUEUED,
            version=0,
            changed_at=step.at,
            vip=asked.vip,
            raised=raised,
        ),
        asked.reason,
        note,
    )


def withdraw(step: Step, asked: Withdraw) -> None:
    item = step.book.items.get(asked.work_item_id)
    if item is None:
        step.ignore("unknown_work")
        return
    match item.state:
        case WorkState.QUEUED:
            step.cancel(item, step.at, asked.reason)
        case WorkState.OFFERED:
            step.cancel(step.rescind(item, step.at, asked.reason), step.at, asked.reason)
        case WorkState.ASSIGNED if asked.wrap_up and step.policy.wrap_up.get(item.queue):
            step.wrap(step.rescind(item, step.at, asked.reason), step.at)
        case WorkState.ASSIGNED:
            step.complete(step.rescind(item, step.at, asked.reason), step.at, asked.reason)
        case _:
            step.ignore("already_ended")


def reprioritise(step: Step, asked: Reprioritise) -> None:
    """A deadline that was missed is not moved later: a customer whose answer is late must not lose their place for it.

    What being a VIP is worth comes on top of what is asked for otherwise, and goes with the tag.
    """
    item = step.book.items.get(asked.work_item_id)
    if item is None:
        step.ignore("unknown_work")
        return
    due_at = asked.due_at or item.due_at
    if item.due_at is not None and item.due_at <= step.now:
        due_at = min(item.due_at, due_at or item.due_at)
    base = item.priority - item.raised if asked.priority is None else asked.priority
    if asked.least_priority is not None:
        base = max(base, asked.least_priority)
    vip, raised = item.vip, item.raised
    if asked.vip is not None and asked.vip is not vip:
        vip, raised = asked.vip, step.policy.vip_priority if asked.vip else 0
        # What it is worth is for the home pool to say; the priority that it tells has that in it.
        raised = 0 if item.home is not None else raised
    priority = base + raised
    if (priority, due_at, vip) == (item.priority, item.due_at, item.vip):
        step.ignore("no_change")
        return
    step.book.put_item(replace(item, priority=priority, due_at=due_at, vip=vip, raised=raised))


def wrap_up_ended(step: Step, work_item_id: str) -> None:
    item = step.book.items.get(work_item_id)
    if item is None or item.state is not WorkState.WRAPPING or item.wrap_until is None:
        step.ignore("already_ended")
        return
    step.complete(item, item.wrap_until, "wrap_up_ended")


def wait_lapsed(step: Step, lapsed: WaitLapsed) -> None:
    item = step.book.items.get(lapsed.work_item_id)
    if item is None or item.state is not WorkState.QUEUED:
        step.ignore("not_waiting")
        return
    relaxing.relax(step, item)
    step.loosen(step.book.items[lapsed.work_item_id])


def fall_silent(step: Step, asked: FallSilent) -> None:
    """The holder's presence stays; what they have room for now is theirs."""
    item = step.book.items.get(asked.work_item_id)
    if item is None or item.state is not WorkState.ASSIGNED or item.agent_id != asked.agent_id:
        step.ignore("not_held")
    elif item.released:
        step.ignore("already_idle")
    else:
        step.idle(item, step.at, asked.since)


def resume(step: Step, asked: Resume) -> None:
    item = step.book.items.get(asked.work_item_id)
    if item is None or item.state is not WorkState.ASSIGNED or not item.released:
        step.ignore("not_idle")
    else:
        step.wake(item, step.at)
