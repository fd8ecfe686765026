"""This file carries what pools say to each other about lent work: the engine's facts to the wire, and events to its inputs."""

from typing import Any, assert_never

from libs.contracts.payloads.lending import (
    LendingEvent,
    LoanEvent,
    WorkClaimed,
    WorkGranted,
    WorkLent,
    WorkPassedOn,
    WorkRecalled,
    WorkReturned,
    WorkSettled,
)
from libs.flow.flow import Turn
from services.router.assignment import metrics
from services.router.assignment.domain import decisions as made
from services.router.assignment.domain import inputs
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.store import AssignmentStore


def publish(turn: Turn[AssignmentStore], fact: made.LendingFact) -> None:
    event = event_of(fact)
    metrics.LENDING.labels(event.from_pool, event.type.split(".")[1]).inc()
    turn.emit(event, key=event.pool, at=event.occurred_at, correlation=event.conversation_id)


def event_of(fact: made.LendingFact) -> LendingEvent:
    item, base = fact.item, _base(fact)
    match fact:
        case made.Lent():
            return WorkLent(**base, **_loan(item, fact.number, fact.skills))
        case made.Granted():
            return WorkGranted(**base, **_loan(item, fact.number, fact.skills))
        case made.Returned():
            return WorkReturned(**base, **_loan(item, 0, item.skills), reason=fact.reason)
        case made.Recalled():
            return WorkRecalled(**base, number=fact.number)
        case made.Claimed():
            return WorkClaimed(**base, number=item.loan, agent_id=fact.agent_id)
        case made.Settled():
            return WorkSettled(**base)
        case made.PassedOn():
            return WorkPassedOn(**base, **_wish(fact.what))
        case _:
            assert_never(fact)


def input_of(event: LendingEvent) -> inputs.Input:
    """Raises ValueError for a type that is none of these."""
    match event:
        case WorkLent():
            return inputs.Lend(_loan_of(event, event.from_pool))
        case WorkGranted():
            return inputs.Grant(_loan_of(event, event.from_pool))
        case WorkReturned():
            return inputs.Return(_loan_of(event, event.pool), event.from_pool, event.reason)
        case WorkRecalled():
            return inputs.Recall(event.work_item_id, event.number)
        case WorkClaimed():
            return inputs.Claim(event.work_item_id, event.from_pool, event.number)
        case WorkSettled():
            return inputs.Settle(event.work_item_id, event.from_pool)
        case WorkPassedOn():
            return _wish_of(event)
        case _:
            raise ValueError(event.type)


def _base(fact: made.LendingFact) -> dict[str, Any]:
    item = fact.item
    return {
        "work_item_id": item.work_item_id,
        "conversation_id": item.conversation_id,
        "contact_point_id": item.contact_point_id,
        "pool": fact.to,
        "from_pool": item.pool,
        "occurred_at": fact.at,
    }


def _loan(item: WorkItem, number: int, skills: dict[str, int]) -> dict[str, Any]:
    return {
        "number": number,
        "queue": item.queue,
        "channel": item.channel,
        "skills": skills,
        "preferred_skills": item.preferred_skills or {},
        "priority": item.priority,
        "due_at": item.due_at,
        "last_agent_id": item.last_agent_id,
        "excluded_agent_ids": item.excluded_agent_ids,
        "waiting_since": item.waiting_since,
        "version": item.version,
        "changed_at": item.changed_at,
        "offers": item.offers,
        "step": item.step,
        "declined": item.declined or {},
        "vip": item.vip,
    }


def _loan_of(event: LoanEvent, home: str) -> inputs.Loan:
    return inputs.Loan(
        work_item_id=event.work_item_id,
        conversation_id=event.conversation_id,
        contact_point_id=event.contact_point_id,
        number=event.number,
        home=home,
        queue=event.queue,
        channel=event.channel,
        skills=event.skills,
        preferred_skills=event.preferred_skills,
        priority=event.priority,
        due_at=event.due_at,
        last_agent_id=event.last_agent_id,
        excluded_agent_ids=event.excluded_agent_ids,
        waiting_since=event.waiting_since,
        version=event.version,
        changed_at=event.changed_at,
        offers=event.offers,
        step=event.step,
        declined=event.declined,
        vip=event.vip,
    )


def _wish(what: inputs.Wish | inputs.CallBack) -> dict[str, Any]:
    match what:
        case inputs.Withdraw():
            return {"what": "withdraw", "reason": what.reason, "wrap_up": what.wrap_up}
        case inputs.Reprioritise():
            fields = {"priority": what.priority, "due_at": what.due_at, "vip": what.vip}
            return {"what": "reprioritise", **fields}
        case inputs.FallSilent():
            return {"what": "fall_silent", "agent_id": what.agent_id, "since": what.since}
        case inputs.Resume():
            return {"what": "resume"}
        case inputs.CallBack():
            return {"what": "call_back"}
        case _:
            assert_never(what)


def _wish_of(event: WorkPassedOn) -> inputs.Wish | inputs.CallBack:
    name = event.work_item_id
    match event.what:
        case "withdraw":
            return inputs.Withdraw(name, event.reason, event.wrap_up)
        case "reprioritise":
            return inputs.Reprioritise(name, event.priority, event.due_at, vip=event.vip)
        case "fall_silent":
            return inputs.FallSilent(name, event.agent_id or "", event.since or event.occurred_at)
        case "resume":
            return inputs.Resume(name)
        case "call_back":
            return inputs.CallBack(name)
        case _:
            assert_never(event.what)
