"""This file holds the rule for a warm transfer: what an agent holds is offered to another, and stays until they accept.

A cold transfer is no rule of matching: the conversation gives the work up and asks anew, with the wait that it had.
"""

from dataclasses import replace

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.decisions import Code
from services.router.assignment.domain.inputs import Consult
from services.router.assignment.domain.matching import best_agent, explain, rejection
from services.router.assignment.domain.presence import hear
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.work import WorkItem


def consult(step: Step, asked: Consult) -> None:
    """Asked by name, an agent is considered whatever queue, skills, exclusions and earlier declines say; room they need."""
    book, item = step.book, step.book.items.get(asked.work_item_id)
    if asked.ordered_by in step.policy.agents:
        hear(step, asked.ordered_by)
    refused = _why_not(step, asked, item)
    if refused is not None or item is None:
        step.answer(asked.agent_id, asked.command_id, *(refused or (Code.UNKNOWN_WORK,)))
        return
    if asked.to_agent_id is not None:
        wanted = replace(item, only_agent_id=asked.to_agent_id, excluded_agent_ids=(), declined=None)
    else:
        wanted = replace(item, only_agent_id=None, skills={**item.skills, **asked.skills})
    chosen = best_agent(book, wanted, step.now)
    if chosen is None:
        step.answer(asked.agent_id, asked.command_id, Code.NOBODY_FREE, _nobody(step, wanted))
        return
    step.offer(item, chosen, explain(book, wanted, step.now, chosen, f"asked by {asked.ordered_by}"))
    step.answer(asked.agent_id, asked.command_id, Code.OK)


def _why_not(step: Step, asked: Consult, item: WorkItem | None) -> tuple[Code, str] | None:
    if item is None:
        return Code.UNKNOWN_WORK, "no such open work"
    if item.state is WorkState.WRAPPING:
        return Code.ENDED, "the conversation is resolved"
    if item.agent_id != asked.agent_id:
        return Code.NOT_YOURS, f"{asked.agent_id} does not hold this work"
    if asked.ordered_by != asked.agent_id and asked.ordered_by not in step.policy.supervisors:
        return Code.FORBIDDEN, f"{asked.ordered_by} is neither the holder nor a supervisor"
    if (asked.to_agent_id is None) == (not asked.skills):
        return Code.INVALID, "a consultation names either an agent or skills"
    if asked.to_agent_id == asked.agent_id:
        return Code.ALREADY_THEIRS, f"{asked.agent_id} holds this work"
    if asked.to_agent_id is not None and asked.to_agent_id not in step.policy.agents:
        return Code.UNKNOWN_AGENT, f"{asked.to_agent_id} is not in pool {step.policy.pool}"
    if item.reservations:
        return Code.ALREADY_OFFERED, f"{item.reservations[0].agent_id} is being asked"
    return None


def _nobody(step: Step, wanted: WorkItem) -> str:
    if wanted.only_agent_id is not None:
        return f"{wanted.only_agent_id}: {rejection(step.book, wanted, wanted.only_agent_id, step.now)}"
    skills = ", ".join(f"{skill} {least}" for skill, least in sorted(wanted.skills.items()))
    return f"nobody with {skills} is free"
