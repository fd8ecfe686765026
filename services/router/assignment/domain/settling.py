"""This file settles a step: all that its moves set free is matched, the first in waiting order first, then offered to more agents."""

from typing import TYPE_CHECKING

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain import asking, loans, relaxing
from services.router.assignment.domain.decisions import Queued
from services.router.assignment.domain.matching import best_agent, best_item, value
from services.router.assignment.domain.strategies import WaitingKey, micros
from services.router.assignment.domain.work import WorkItem

if TYPE_CHECKING:
    from services.router.assignment.domain.step import Step


def settle(step: "Step") -> None:
    """Match until no free agent can take a waiting item: the first in waiting order goes first, to its best agent."""
    book, items = step.book, step.book.items
    _ask_about_returned(step)
    _loosen_held(step)
    loose = sorted((_worth(step, items[i]) for i in step.loose if i in items), reverse=True)
    while True:
        freed = [found for a in step.freed if (found := best_item(book, a, step.now))]
        first = min(freed, default=None)
        if loose and (first is None or loose[-1] <= first):
            first = loose.pop()
        if first is None:
            break
        item = items[first[1].work_item_id]
        if item.state is not WorkState.QUEUED or item.hook_until is not None:
            continue
        chosen = step.match(item)
        if chosen:
            step.give(item, chosen)
            continue
        if item.home is not None and not item.loan:
            loans.send_home(step, item, step.loose.get(item.work_item_id, ""))
            continue
        if relaxing.relax(step, item):
            loose.append(_worth(step, items[item.work_item_id]))
            loose.sort(reverse=True)
            continue
        if reason := step.loose.get(item.work_item_id):
            explanation = step.explain(item, None)
            item = step.next(item, None, step.now)
            step.decisions.append(Queued(item, reason, explanation))
        relaxing.watch(step, item)
    book.was_roomy = book.roomy


def broaden(step: "Step") -> None:
    """Offer what was offered in this step to more agents, where the pool says so, one each in turn.

    After everything that waits was matched: nobody is kept from an item of their own by being the second for another.
    """
    turn = list(step.offered) if step.policy.offers_at_once > 1 else []
    while turn:
        turn = [work_item_id for work_item_id in turn if _offer_to_one_more(step, work_item_id)]


def _ask_about_returned(step: "Step") -> None:
    for work_item_id, reason in list(step.loose.items()) if step.policy.hooks else ():
        item = step.book.items.get(work_item_id)
        if reason not in asking.RETURNED or item is None or item.state is not WorkState.QUEUED:
            continue
        if step.has_hook(item):
            del step.loose[work_item_id]
            step.ask(item, None, step.now, reason)


def _loosen_held(step: "Step") -> None:
    """So much is free that nobody is held back any more, or others are here for whom they were held."""
    if step.book.admits and step.book.roomy and not step.book.was_roomy:
        step.loosen_lines(step.book.waiting.open_lines())


def _worth(step: "Step", item: WorkItem) -> tuple[float, WaitingKey]:
    book, key = step.book, step.book.waiting.key(item)
    return value(book, book.waiting.line_of(item), key, None, micros(step.now)), key


def _offer_to_one_more(step: "Step", work_item_id: str) -> bool:
    item = step.book.items.get(work_item_id)
    if item is None or item.state is not WorkState.OFFERED:
        return False
    standing = len(item.reservations)
    chosen = best_agent(step.book, item, step.now) if standing < step.policy.offers_at_once else None
    if chosen is None or step.interrupts(item, chosen):
        return False
    step.offer(item, chosen, step.explain(item, chosen, f"offered to {standing} more"))
    return True
