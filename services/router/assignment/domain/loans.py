"""This file holds the moves of work between pools: lending what waits, claiming a guest for an agent, sending work home.

The rules that call for them, and the protocol as a drawing, are in lending.py.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.decisions import Claimed, Lent, Recalled, Returned
from services.router.assignment.domain.inputs import ClaimLapsed
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.waiting import requirement
from services.router.assignment.domain.work import Reservation, WorkItem

if TYPE_CHECKING:
    from services.router.assignment.domain.step import Step


def joined(policy: Policy, item: WorkItem) -> tuple[str, ...]:
    """The pools whose agents may take a waiting item too. Work for one agent alone is for no other pool, nor is another pool's,
    nor what an allocation hook is asked about."""
    if item.state is not WorkState.QUEUED or item.only_agent_id is not None or item.home is not None:
        return ()
    if item.hook_until is not None:
        return ()
    steps = policy.relaxations.get(item.queue, ())[: item.step]
    return tuple(dict.fromkeys(pool for step in steps for pool in step.pools))


def note(policy: Policy, item: WorkItem, chosen: str | None) -> str | None:
    """What an explanation says of other pools; None where there is nothing to say."""
    if item.home is not None:
        return f"lent by pool {item.home} at step {item.step}" if chosen is not None else None
    if chosen is None and (pools := joined(policy, item)):
        return f"agents of pool {', '.join(pools)} may take it too"
    return None


def tell(step: "Step") -> None:
    """Let other pools know what became of the items of this step that are lent, or are to be."""
    book = step.book
    for name, old in book.take_touched().items():
        item = book.items.get(name)
        known = item or old
        if known is None or known.home is not None:
            continue
        had, wanted = known.lent or {}, joined(step.policy, item) if item is not None else ()
        for pool, number in sorted(had.items()):  # a row that was read again has its keys in another order
            if pool not in wanted:
                step.decisions.append(Recalled(known, pool, step.now, number))
        if item is None or not (had or wanted):
            continue
        lent = {pool: had.get(pool, item.version) for pool in wanted}
        asks = asked_for(step, item)
        changed = old is None or _terms(old) != _terms(item)
        for pool, number in lent.items():
            if changed or pool not in had:
                step.decisions.append(Lent(item, pool, step.now, number, asks))
        if lent != had:
            book.put_item(replace(item, lent=lent or None))
    book.take_touched()


def asked_for(step: "Step", item: WorkItem) -> dict[str, int]:
    """The skills that are asked for at the item's step."""
    return dict(requirement(step.policy, item).skills)


def _terms(item: WorkItem) -> tuple[Any, ...]:
    """What another pool must know, as far as it can change while the item is lent."""
    return item.step, item.priority, item.due_at, item.declined, item.vip


# -- in the other pool ------------------------------------------------------------------------------------------------


def claim(step: "Step", guest: WorkItem, agent_id: str) -> None:
    """Hold the agent's capacity and ask for the work. Nothing is offered before the home pool grants it.

    There is one claim a loan: when the agent leaves or the lease ends, the answer is still to come, and may be a grant.
    """
    due = step.now + step.policy.reservation_lease
    hold = Reservation(claim_id(guest), agent_id, due, step.book.next_turn())
    guest = replace(guest, state=WorkState.CLAIMED, reservations=(hold,))
    step.book.put_item(guest)
    if step.policy.interruptible:
        step.book.settle_over(agent_id, raised=True)
    step.decisions.append(Claimed(guest, home_of(guest), step.now, agent_id))
    step.remind(hold.reservation_id, due, ClaimLapsed(guest.work_item_id, guest.loan))
    step.tell(agent_id)


def let_go(step: "Step", guest: WorkItem) -> WorkItem:
    """Free the agent whose capacity the claim holds, if it still does."""
    for hold in guest.reservations:
        guest = replace(guest, reservations=())
        step.book.put_item(guest)
        step.forget(hold.reservation_id)
        step.free(hold.agent_id)
    return guest


def send_home(step: "Step", item: WorkItem, reason: str) -> None:
    """Waiting is done at home: there all who may take it are known."""
    step.decisions.append(Returned(item, home_of(item), step.now, reason))
    forget_declines(step, item)
    drop(step, item)


def drop(step: "Step", item: WorkItem) -> None:
    """Out of this pool's book. Its story goes on elsewhere, so that this is no fact of it."""
    step.book.put_item(replace(item, state=WorkState.CANCELLED, reservations=(), agent_id=None))


def forget_declines(step: "Step", item: WorkItem) -> None:
    """Whoever decides about the item next has reminders of their own."""
    for agent_id in item.declined or ():
        step.forget(f"decline/{item.work_item_id}/{agent_id}")


def claim_id(guest: WorkItem) -> str:
    return f"claim/{guest.pool}/{guest.work_item_id}"


def home_of(item: WorkItem) -> str:
    if item.home is None:
        raise ValueError(f"{item.work_item_id} is not another pool's")
    return item.home
