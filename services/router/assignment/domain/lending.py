"""This file holds the rules for work that agents of another pool may take too, once a relaxing step has joined that pool.

 home pool                                 another pool
  queued ── lent ─────────────────────────▶ queued, as a guest: ordered among its own, nothing is offered
  │ │ ▲ ◀───────────────────── claimed ─── claimed: an agent's capacity is held
  │ │ └─ recalled ────────────────────────▶ (forgotten): it was taken, given up or changed meanwhile
  │ away ── granted ──────────────────────▶ offered or assigned: its own to decide about
  │ │ └──── passed on: wishes, called back ▶ │ │
  │ ◀──────────────────────── returned ──────┘ │ nobody there takes it any more
  (gone) ◀──────────────────── settled ────────┘ it has ended; answered by recalled

At any time one pool decides about an item. Messages from one pool to another arrive in their order, once each: a claim
that the home pool reads is of the loan that stands, or of one that it has recalled since, and then there is nothing to answer.
"""

from dataclasses import replace
from typing import assert_never

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain import loans, requests
from services.router.assignment.domain.decisions import Granted, PassedOn, Recalled
from services.router.assignment.domain.inputs import (
    CallBack,
    Claim,
    ClaimLapsed,
    DeclineLapsed,
    FallSilent,
    ForceAssign,
    Grant,
    Lend,
    Loan,
    Recall,
    Reprioritise,
    Resume,
    Return,
    Settle,
    Wish,
    Withdraw,
)
from services.router.assignment.domain.matching import rejection
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.work import WorkItem

# -- at home ----------------------------------------------------------------------------------------------------------


def wish(step: Step, what: Wish) -> None:
    """What a conversation asks is carried out where its work is decided about; the home pool is where it is asked."""
    item = step.book.items.get(what.work_item_id)
    away = item if item is not None and item.state is WorkState.AWAY else None
    match what:
        case Withdraw():
            if away is None:
                requests.withdraw(step, what)
            elif "withdrawn" not in (away.asked or {}):
                # It may be on its way home: then it is not there any more, and ends here.
                away = replace(away, asked={"withdrawn": what.reason})
                step.book.put_item(away)
        case Reprioritise():
            requests.reprioritise(step, what)
            after = step.book.items.get(what.work_item_id)
            if after is None or after is item:
                return
            what = Reprioritise(after.work_item_id, after.priority, after.due_at, vip=after.vip)
        case FallSilent():
            if away is None:
                requests.fall_silent(step, what)
        case Resume():
            if away is None:
                requests.resume(step, what)
        case _:
            assert_never(what)
    if away is not None and away.away is not None:
        step.decisions.append(PassedOn(away, away.away, step.at, what))


def call_back(step: Step, item: WorkItem, asked: ForceAssign) -> None:
    """A supervisor's order reaches work that is away: it comes home, whoever holds it, and is assigned then."""
    if item.away is None or "withdrawn" in (item.asked or {}):
        return
    order = {"agent_id": asked.agent_id, "ordered_by": asked.ordered_by}
    step.book.put_item(replace(item, asked=order))
    step.decisions.append(PassedOn(item, item.away, step.at, CallBack(item.work_item_id)))


def claimed(step: Step, asked: Claim) -> None:
    """The first claim of work that still waits has it."""
    item = step.book.items.get(asked.work_item_id)
    lent = item.lent or {} if item is not None else {}
    if item is None or item.state is not WorkState.QUEUED or lent.get(asked.by) != asked.number:
        step.ignore("not_lent")
        return
    granted = Granted(item, asked.by, step.now, asked.number, loans.asked_for(step, item))
    step.decisions.append(granted)
    if item.wake_at is not None:
        step.forget(f"wait/{item.work_item_id}")
    loans.forget_declines(step, item)
    others = {pool: number for pool, number in lent.items() if pool != asked.by}
    step.book.put_item(
        replace(item, state=WorkState.AWAY, away=asked.by, lent=others or None, wake_at=None, declined=None)
    )


def returned(step: Step, asked: Return) -> None:
    """Waits again in its old place, with all that happened to it while it was away, and what was asked of it meanwhile."""
    item, loan = step.book.items.get(asked.loan.work_item_id), asked.loan
    if item is None or item.away != asked.by:
        step.ignore("not_away")
        return
    order = item.asked or {}
    item = replace(
        item,
        state=WorkState.QUEUED,
        away=None,
        asked=None,
        version=loan.version,
        changed_at=max(item.changed_at, loan.changed_at),
        offers=loan.offers,
        last_agent_id=loan.last_agent_id,
        declined=loan.declined or None,
    )
    step.book.put_item(item)
    _remember_declines(step, item)
    if "withdrawn" in order:
        step.cancel(item, step.now, order["withdrawn"])
    elif order and _there(step, order["agent_id"]):
        agent_id, by = order["agent_id"], order["ordered_by"]
        explanation = step.because(agent_id, f"forced by {by}")
        step.assign(item, agent_id, step.now, explanation, forced_by=by)
    else:
        step.loosen(item, asked.reason)


def _there(step: Step, agent_id: str) -> bool:
    agent = step.book.agents.get(agent_id)
    return agent is not None and agent.connected and agent.listed


def settled(step: Step, asked: Settle) -> None:
    """Nothing more is passed on. That is said, for who reads the log must know when: what conversations ask comes another way."""
    item = step.book.items.get(asked.work_item_id)
    if item is None or item.away != asked.by:
        step.ignore("not_away")
        return
    step.decisions.append(Recalled(item, asked.by, step.now, item.version))
    loans.drop(step, item)


# -- in another pool --------------------------------------------------------------------------------------------------


def lent(step: Step, asked: Lend) -> None:
    """A new guest is matched at once; of a known one what may have changed is taken over."""
    book, loan = step.book, asked.loan
    known = book.items.get(loan.work_item_id)
    if known is not None and not known.loan:
        step.ignore("already_here")
        return
    if known is not None and known.loan != loan.number:
        _forget(step, known)
        known = None
    guest = _made(step, loan, loan.number)
    if known is not None:
        guest = replace(guest, state=known.state, reservations=known.reservations, units=known.units)
    book.put_item(guest)
    if guest.state is WorkState.QUEUED:
        step.loosen(guest)


def granted(step: Step, asked: Grant) -> None:
    """Goes to the agent for whom it was claimed, if they still can; else to another, or home again."""
    book, loan = step.book, asked.loan
    guest = book.items.get(loan.work_item_id)
    if guest is not None and not guest.loan:
        step.ignore("already_here")
        return
    hold = guest.reservations[0] if guest is not None and guest.reservations else None
    item = _made(step, loan, 0)
    book.put_item(item)
    _remember_declines(step, item)
    if hold is None:
        step.loosen(item)
        return
    step.forget(hold.reservation_id)
    if rejection(book, item, hold.agent_id, step.now) is None:
        step.give(item, hold.agent_id)
    else:
        step.loosen(item)
        step.free(hold.agent_id)


def recalled(step: Step, asked: Recall) -> None:
    guest = step.book.items.get(asked.work_item_id)
    if guest is None or guest.loan != asked.number:
        step.ignore("no_guest")
        return
    _forget(step, guest)


def claim_lapsed(step: Step, lapsed: ClaimLapsed) -> None:
    """The home pool is not heard: the agent's capacity is free again. The answer is still waited for."""
    guest = step.book.items.get(lapsed.work_item_id)
    if guest is None or guest.loan != lapsed.loan or not guest.reservations:
        step.ignore("already_ended")
        return
    loans.let_go(step, guest)


def called_back(step: Step, asked: CallBack) -> None:
    item = step.book.items.get(asked.work_item_id)
    if item is None or item.home is None or item.loan:
        step.ignore("not_here")
        return
    if item.state is WorkState.OFFERED:
        step.rescind(item, step.at, "called_back")
    elif item.state is WorkState.ASSIGNED:
        step.give_back(item, step.at, "called_back")
    else:
        step.ignore("already_ended")
        return
    loans.send_home(step, step.book.items[item.work_item_id], "called_back")


def _made(step: Step, loan: Loan, number: int) -> WorkItem:
    return WorkItem(
        work_item_id=loan.work_item_id,
        lane=step.book.lane,
        pool=step.policy.pool,
        conversation_id=loan.conversation_id,
        contact_point_id=loan.contact_point_id,
        queue=loan.queue,
        channel=loan.channel,
        skills=loan.skills,
        preferred_skills=loan.preferred_skills or None,
        units=step.policy.units(loan.channel),
        priority=loan.priority,
        due_at=loan.due_at,
        last_agent_id=loan.last_agent_id,
        only_agent_id=None,
        excluded_agent_ids=loan.excluded_agent_ids,
        waiting_since=loan.waiting_since,
        state=WorkState.QUEUED,
        version=loan.version,
        changed_at=loan.changed_at,
        offers=loan.offers,
        step=loan.step,
        declined=loan.declined or None,
        home=loan.home,
        loan=number,
        vip=loan.vip,
    )


def _forget(step: Step, guest: WorkItem) -> None:
    loans.drop(step, loans.let_go(step, guest))


def _remember_declines(step: Step, item: WorkItem) -> None:
    """Who turned it down in another pool is remembered as long as this pool remembers."""
    for agent_id, at in (item.declined or {}).items():
        due = at + step.policy.decline_memory
        step.remind(
            f"decline/{item.work_item_id}/{agent_id}", due, DeclineLapsed(item.work_item_id, agent_id)
        )
