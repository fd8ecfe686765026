"""This file holds the rules for offers and what agents do with work: accept, decline, let expire, end a wrap-up, be ordered to take it.

An accept counts by when the agent gave it (the command's event time), not by when it was read; an offer that is no
longer standing when the accept is read has ended, and says how.
"""

from dataclasses import replace

from libs.contracts.vocabulary import Presence, WorkState
from services.router.assignment.domain.decisions import Candidate, Code, Ending
from services.router.assignment.domain.inputs import (
    Accept,
    Complete,
    Decline,
    DeclineLapsed,
    ForceAssign,
    ReservationLapsed,
)
from services.router.assignment.domain.lending import call_back
from services.router.assignment.domain.matching import rejection
from services.router.assignment.domain.presence import enter, hear
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.work import Reservation, WorkItem

ENDED_AS = {
    Ending.ACCEPTED: Code.OK,
    Ending.DECLINED: Code.DECLINED,
    Ending.EXPIRED: Code.EXPIRED,
    Ending.RESCINDED: Code.RESCINDED,
}


def accept(step: Step, asked: Accept) -> None:
    hear(step, asked.agent_id)
    found = _offered(step, asked)
    if found is None:
        _answer_for_ended(step, asked, wanted=Ending.ACCEPTED)
        return
    item, offer = found
    if step.at >= offer.expires_at:
        step.answer(asked.agent_id, asked.command_id, Code.EXPIRED, "the offer has expired")
    elif asked.version not in (None, item.version):
        text = f"the work is at version {item.version}"
        step.answer(asked.agent_id, asked.command_id, Code.STALE, text)
    else:
        step.accept(item, offer, step.at)
        step.answer(asked.agent_id, asked.command_id, Code.OK)


def decline(step: Step, asked: Decline) -> None:
    hear(step, asked.agent_id)
    found = _offered(step, asked)
    if found is None:
        _answer_for_ended(step, asked, wanted=Ending.DECLINED)
        return
    item = step.end_offer(*found, Ending.DECLINED, step.at, asked.reason)
    if item.agent_id is None:
        _not_again(step, item, asked.agent_id)
    step.answer(asked.agent_id, asked.command_id, Code.OK)


def reservation_lapsed(step: Step, lapsed: ReservationLapsed) -> None:
    item = step.book.items.get(step.book.pending.get(lapsed.reservation_id, ""))
    offer = _named(item, lapsed.reservation_id)
    if item is None or offer is None:
        step.ignore("already_ended")
        return
    agent_id, expired_at = offer.agent_id, offer.expires_at
    item = step.end_offer(item, offer, Ending.EXPIRED, expired_at)
    if step.now - expired_at > step.policy.notice:
        return
    consulted = item.agent_id is not None
    if step.policy.missed_becomes_busy:
        if not consulted:
            _for_anybody(step, item)
        enter(step, agent_id, Presence.BUSY, "missed", expired_at)
    elif not consulted:
        _not_again(step, item, agent_id)


def decline_lapsed(step: Step, lapsed: DeclineLapsed) -> None:
    item = step.book.items.get(lapsed.work_item_id)
    if item is None or not item.declined or lapsed.agent_id not in item.declined:
        step.ignore("already_ended")
        return
    left = {agent_id: at for agent_id, at in item.declined.items() if agent_id != lapsed.agent_id}
    item = replace(item, declined=left or None)
    step.book.put_item(item)
    if item.state is WorkState.QUEUED:
        step.loosen(item)


def complete(step: Step, asked: Complete) -> None:
    hear(step, asked.agent_id)
    item = step.book.items.get(asked.work_item_id)
    if item is not None and any(agent_id == asked.agent_id for agent_id, _ in item.claims()):
        if item.state is WorkState.WRAPPING:
            step.complete(item, step.at, "completed")
            step.answer(asked.agent_id, asked.command_id, Code.OK)
        else:
            text = "the conversation is not resolved yet"
            step.answer(asked.agent_id, asked.command_id, Code.NOT_WRAPPING, text)
    elif step.book.agents[asked.agent_id].ending_of(asked.work_item_id) == "completed":
        step.answer(asked.agent_id, asked.command_id, Code.OK)
    else:
        step.answer(asked.agent_id, asked.command_id, Code.NOT_YOURS, "you do not hold this work")


BY_POLICY = "sla:"
"""Begins the name of an SLA policy that orders an assignment; no agent is named so, since ids have no colon."""


def force_assign(step: Step, asked: ForceAssign) -> None:
    """Goes past skills, queue, exclusions and capacity, but not to an agent who is not there."""
    book, agent_id = step.book, asked.agent_id
    item = book.items.get(asked.work_item_id)
    refused = _why_not_by_force(step, asked, item)
    if refused is not None or item is None:
        step.answer(agent_id, asked.command_id, *(refused or (Code.UNKNOWN_WORK,)))
        return
    if item.state is WorkState.AWAY:
        call_back(step, item, asked)
    elif item.state is not WorkState.ASSIGNED or item.agent_id != agent_id:
        item = step.rescind(item, step.at, "forced")
        overruled = Candidate(agent_id, rejection(book, item, agent_id, step.now))
        explanation = step.because(agent_id, f"forced by {asked.ordered_by}", overruled)
        step.assign(item, agent_id, step.at, explanation, forced_by=asked.ordered_by)
    step.answer(agent_id, asked.command_id, Code.OK)


def _why_not_by_force(step: Step, asked: ForceAssign, item: WorkItem | None) -> tuple[Code, str] | None:
    if asked.ordered_by not in step.policy.supervisors and not asked.ordered_by.startswith(BY_POLICY):
        return Code.FORBIDDEN, f"{asked.ordered_by} is not a supervisor"
    if item is None or item.loan:
        return Code.UNKNOWN_WORK, "no such open work"
    if item.state is WorkState.WRAPPING:
        return Code.ENDED, "the conversation is resolved"
    if not step.book.agents[asked.agent_id].connected:
        return Code.OFFLINE, f"{asked.agent_id} is offline"
    return None


def _offered(step: Step, asked: Accept | Decline) -> tuple[WorkItem, Reservation] | None:
    """The item and its standing reservation, where that is of this very agent."""
    item = step.book.items.get(step.book.pending.get(asked.reservation_id, ""))
    offer = _named(item, asked.reservation_id)
    mine = offer is not None and offer.agent_id == asked.agent_id
    return (item, offer) if item and offer and mine and not item.loan else None


def _named(item: WorkItem | None, reservation_id: str) -> Reservation | None:
    offers = item.reservations if item is not None else ()
    return next((r for r in offers if r.reservation_id == reservation_id), None)


def _answer_for_ended(step: Step, asked: Accept | Decline, wanted: Ending) -> None:
    """A repeat of what was done is fine; anything else says how the reservation ended."""
    ended = step.book.agents[asked.agent_id].ending_of(asked.reservation_id)
    if ended == wanted:
        step.answer(asked.agent_id, asked.command_id, Code.OK)
    elif ended == Ending.ACCEPTED:
        step.answer(asked.agent_id, asked.command_id, Code.ENDED, "the reservation was accepted")
    elif ended is not None:
        code = ENDED_AS[Ending(ended)]
        step.answer(asked.agent_id, asked.command_id, code, f"the reservation was {ended}")
    else:
        step.answer(asked.agent_id, asked.command_id, Code.NOT_YOURS, "no such reservation of yours")


def _not_again(step: Step, item: WorkItem, agent_id: str) -> None:
    """Not to this agent again until the memory lapses; and work meant for that agent alone is now for anybody who fits."""
    item = _for_anybody(step, item)
    step.book.put_item(replace(item, declined={**(item.declined or {}), agent_id: step.at}))
    due = step.at + step.policy.decline_memory
    step.remind(f"decline/{item.work_item_id}/{agent_id}", due, DeclineLapsed(item.work_item_id, agent_id))


def _for_anybody(step: Step, item: WorkItem) -> WorkItem:
    if item.only_agent_id is not None:
        item = replace(item, only_agent_id=None)
        step.book.put_item(item)
    return item
