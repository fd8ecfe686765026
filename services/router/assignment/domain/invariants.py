"""This file says what must hold in a book after every input; tests call it after each step."""

from collections.abc import Iterator

from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.matching import rejection
from services.router.assignment.domain.work import ENDED, HELD, WorkItem


def violations(book: Book) -> list[str]:
    return [*_items(book), *_capacity(book), *_nobody_idle_beside_work(book)]


def _items(book: Book) -> Iterator[str]:
    """Each live item is in exactly one place: the waiting lines, or one agent's hands."""
    waiting = list(book.waiting.in_order())
    queued = sorted(i.work_item_id for i in book.items.values() if i.state is WorkState.QUEUED)
    if sorted([*waiting, *book.asked]) != queued:
        yield f"waiting lines hold {sorted(waiting)}, hooks are asked about {sorted(book.asked)}, queued are {queued}"
    if set(book.asked) != {i.work_item_id for i in book.items.values() if i.hook_until is not None}:
        yield f"hooks are asked about {sorted(book.asked)}, which their items do not say"
    offered = {r.reservation_id: i.work_item_id for i in book.items.values() for r in i.reservations}
    if offered != book.pending:
        yield f"standing reservations {book.pending}, offered items {offered}"
    for item in book.items.values():
        if item.state in ENDED:
            yield f"{item.work_item_id} is {item.state} and still kept"
        if (item.state in HELD) != (item.agent_id is not None):
            yield f"{item.work_item_id} is {item.state} with agent {item.agent_id}"
        holders = [a for a in book.agents if item in book.ledger.held(a)]
        if holders != ([item.agent_id] if item.agent_id else []):
            yield f"{item.work_item_id} of {item.agent_id} is held by {holders}"
        if item.home is not None and not item.loan and item.state is WorkState.QUEUED:
            yield f"{item.work_item_id} of pool {item.home} waits here"
        if (item.state is WorkState.AWAY) != (item.away is not None) or (
            item.state is WorkState.CLAIMED and (not item.loan or len(item.reservations) > 1)
        ):
            yield f"{item.work_item_id} is {item.state}, loan {item.loan}, away in {item.away}, held by {item.reservations}"
        yield from _offers(book, item)


def _offers(book: Book, item: WorkItem) -> Iterator[str]:
    """One standing offer an agent at most, to nobody who must not have it; a waiting item has none, an offered one some."""
    to = [r.agent_id for r in item.reservations]
    if len(set(to)) != len(to) or item.agent_id in to:
        yield f"{item.work_item_id} of {item.agent_id} is offered to {to}"
    if (item.state is WorkState.OFFERED and not to) or (item.state is WorkState.QUEUED and to):
        yield f"{item.work_item_id} is {item.state} and offered to {to}"
    if item.state is WorkState.OFFERED:
        yield from (
            f"{item.work_item_id} is offered to {a}, who must not have it" for a in to if item.barred_for(a)
        )
    if item.released and item.state not in HELD:
        yield f"{item.work_item_id} is {item.state} and released"
    yield from (
        f"{item.work_item_id} is offered to {a}, who does not know"
        for a in to
        if item not in book.ledger.offered(a)
    )


def _capacity(book: Book) -> Iterator[str]:
    """Never over capacity, but for what was forced or what a lowered capacity left."""
    for agent_id, agent in book.agents.items():
        load = sum(units for item in book.items.values() for who, units in item.claims() if who == agent_id)
        if load != book.load(agent_id):
            yield f"{agent_id} holds {load} units, the ledger says {book.load(agent_id)}"
        if load > agent.capacity + book.over.get(agent_id, 0):
            yield f"{agent_id} holds {load} units, capacity {agent.capacity}"
        if agent.connected and agent.lost_at is not None:
            yield f"{agent_id} is {agent.presence} and lost"
        if not agent.connected and book.ledger.offered(agent_id):
            yield f"{agent_id} is {agent.presence} and is offered work"


def _nobody_idle_beside_work(book: Book) -> Iterator[str]:
    """No agent is free for an item that waits, and the quick order of free agents agrees with the slow rules."""
    for item in book.items.values():
        if item.work_item_id in book.asked:
            continue
        if item.state is not WorkState.QUEUED or not book.offers_itself(item.queue, item.only_agent_id):
            continue
        for agent_id in book.policy.agents:
            if rejection(book, item, agent_id, item.changed_at) is None and book.agents[agent_id].listed:
                yield f"{agent_id} is free for {item.work_item_id}, which waits"
