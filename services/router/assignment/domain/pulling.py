"""This file holds the rules for queues that do not offer their work by themselves: agents ask for the next, or take an item."""

from collections.abc import Iterator

from libs.contracts.vocabulary import Presence, WorkState
from services.router.assignment.domain.decisions import Code
from services.router.assignment.domain.inputs import Next, Take
from services.router.assignment.domain.matching import Found, candidate, first_of, rejection, value
from services.router.assignment.domain.policy import Mode
from services.router.assignment.domain.presence import hear
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.strategies import micros
from services.router.assignment.domain.work import WorkItem


def next_work(step: Step, asked: Next) -> None:
    """The first in waiting order of all that waits in pull queues and that the agent can take."""
    book, agent_id = step.book, asked.agent_id
    hear(step, agent_id)
    if refused := _not_there(step, agent_id):
        step.answer(agent_id, asked.command_id, Code.NOT_AVAILABLE, refused)
        return
    best: Found | None = None
    full: str | None = None
    for line in book.by_request:
        needs = line.needs
        if not line.keys or book.policy.mode(needs.queues[0]) is not Mode.PULL:
            continue
        if not book.roster.serves(agent_id, line):
            continue
        if short := book.shortage(agent_id, needs.channel, needs.units):
            full = short
            continue
        found = first_of(book, agent_id, line, step.now)
        if found is not None and (best is None or found < best):
            best = found
    best = min((found for found in (best, *_asked_about(step, agent_id)) if found is not None), default=None)
    if best is not None:
        _assign(step, book.items[best[1].work_item_id], agent_id, asked.command_id, "asked for the next")
    elif full is not None:
        step.answer(agent_id, asked.command_id, Code.FULL, full)
    else:
        step.answer(agent_id, asked.command_id, Code.NOTHING_WAITING, "nothing waits that you can take")


def _asked_about(step: Step, agent_id: str) -> Iterator[Found]:
    """Work that waits for the answer of its allocation hook can be asked for like any other."""
    book, group = step.book, step.book.roster.group(agent_id)
    for work_item_id in book.asked:
        item = book.items[work_item_id]
        if group is None or book.policy.mode(item.queue) is not Mode.PULL:
            continue
        if rejection(book, item, agent_id, step.now) is None:
            line, key = book.waiting.line_of(item), book.waiting.key(item)
            yield value(book, line, key, book.fit(line, group), micros(step.now)), key


def take(step: Step, asked: Take) -> None:
    """A named item of a manual queue, by somebody who could be given it."""
    book, agent_id, item = step.book, asked.agent_id, step.book.items.get(asked.work_item_id)
    hear(step, agent_id)
    if item is not None and item.state is WorkState.ASSIGNED and item.agent_id == agent_id:
        step.answer(agent_id, asked.command_id, Code.OK, gave=item.work_item_id)
        return
    refused = _why_not(step, agent_id, item)
    if refused is not None or item is None:
        step.answer(agent_id, asked.command_id, *(refused or (Code.UNKNOWN_WORK,)))
        return
    _assign(step, book.items[item.work_item_id], agent_id, asked.command_id, "taken by the agent")


def _why_not(step: Step, agent_id: str, item: WorkItem | None) -> tuple[Code, str] | None:
    if item is None:
        return Code.UNKNOWN_WORK, "no such open work"
    if item.state is not WorkState.QUEUED:
        return Code.TAKEN, f"the work is {item.state}"
    if step.policy.mode(item.queue) is not Mode.MANUAL:
        return Code.NOT_MANUAL, f"queue {item.queue} is not manual"
    if there := _not_there(step, agent_id):
        return Code.NOT_AVAILABLE, there
    why = rejection(step.book, item, agent_id, step.now)
    if why is None:
        return None
    short = step.book.shortage(agent_id, item.channel, item.units)
    return Code.FULL if why == short else Code.NOT_FOR_YOU, why


def _not_there(step: Step, agent_id: str) -> str | None:
    presence = step.book.agents[agent_id].presence
    return None if presence is Presence.AVAILABLE else f"you are {presence}"


def _assign(step: Step, item: WorkItem, agent_id: str, command_id: str, note: str) -> None:
    explanation = step.because(agent_id, note, candidate(step.book, item, agent_id, step.now))
    step.assign(item, agent_id, step.at, explanation, by_request=True)
    step.answer(agent_id, command_id, Code.OK, gave=item.work_item_id)
