"""This file times single decisions of a pool in memory, beside a floor: the bare structures with no rule in them."""

import gc
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from heapq import heapify, heappop, heappush
from time import perf_counter_ns

from bench.matching.pool import NOW, Drawn
from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.inputs import Heartbeat, Request, Withdraw
from services.router.assignment.domain.matching import best_agent, best_item
from services.router.assignment.domain.work import WorkItem

Microseconds = list[float]


def timed(calls: Iterable[Callable[[], object]]) -> Microseconds:
    """Wall microseconds of each call, less what reading the clock costs. No collection falls into a call."""
    empty = min(_clock() for _ in range(10_000))
    found = []
    gc.collect()
    gc.disable()
    try:
        for call in calls:
            start = perf_counter_ns()
            call()
            found.append((perf_counter_ns() - start - empty) / 1000)
    finally:
        gc.enable()
    return found


def _clock() -> int:
    start = perf_counter_ns()
    return perf_counter_ns() - start


def built(drawn: Drawn) -> Engine:
    engine = Engine(drawn.policy, 0, drawn.items, drawn.agents, drawn.cells)
    engine.apply(Heartbeat(drawn.busy[0]), at=NOW, now=NOW)
    engine.take_changes()
    return engine


def choices(drawn: Drawn, engine: Engine, times: int) -> Microseconds:
    """New work looks for its agent."""
    items = [drawn.arrival(number) for number in range(times)]
    for item in items:  # who serves a requirement is found out once for all, not in a decision
        best_agent(engine.book, item, NOW)
    return timed(partial(best_agent, engine.book, item, NOW) for item in items)


def pulls(drawn: Drawn, engine: Engine, times: int) -> Microseconds:
    """An agent has room again and looks for the next work, among all that waits."""
    book = engine.book

    def freed() -> Iterator[Callable[[], object]]:
        for number in range(times):
            agent_id = drawn.busy[number % len(drawn.busy)]
            held = book.ledger.held(agent_id, WorkState.ASSIGNED)[0]
            book.put_item(_ended(held))
            yield partial(best_item, book, agent_id, NOW)
            book.put_item(held)

    return timed(freed())


def _ended(item: WorkItem) -> WorkItem:
    return replace(item, state=WorkState.COMPLETED, agent_id=None)


def steps(drawn: Drawn, engine: Engine, times: int) -> tuple[Microseconds, Microseconds]:
    """The whole of it, explanation and the agent's new state included: a request; the end of work and what follows."""
    requests = [
        Request(
            i.work_item_id,
            i.conversation_id,
            i.contact_point_id,
            i.queue,
            i.channel,
            NOW,
            dict(i.skills),
            due_at=i.due_at,
        )
        for i in (drawn.arrival(10**5 + number) for number in range(times))
    ]
    asked = timed(partial(engine.apply, r, at=NOW, now=NOW) for r in requests)
    engine.take_changes()
    ends = []
    for number in range(times):
        held = engine.book.ledger.held(drawn.busy[number % len(drawn.busy)], WorkState.ASSIGNED)[0]
        ends.append(Withdraw(held.work_item_id, "resolved"))
    later = NOW + timedelta(seconds=1)
    ended = timed(partial(engine.apply, w, at=later, now=later) for w in ends)
    engine.take_changes()
    return asked, ended


def floor(drawn: Drawn, times: int) -> tuple[Microseconds, Microseconds]:
    """The same two questions asked of bare lists and heaps: the first of a sorted list of idle agents per skill; the
    smallest head among the heaps of an agent's skills. No capacity, no exclusions, no explanation."""
    idle: dict[str, list[tuple[int, str]]] = {}
    free = set(drawn.free)
    for agent in drawn.agents:
        if agent.agent_id in free:
            for name in drawn.policy.agents[agent.agent_id].skills:
                insort(idle.setdefault(name, []), (agent.touched, agent.agent_id))
    heaps: dict[str, list[tuple[float, str]]] = {}
    for item in drawn.items:
        if item.state is WorkState.QUEUED and item.due_at is not None:
            heaps.setdefault(next(iter(item.skills)), []).append((item.due_at.timestamp(), item.work_item_id))
    for heap in heaps.values():
        heapify(heap)
    asked = [next(iter(drawn.arrival(2 * 10**5 + n).skills)) for n in range(times)]

    def pick(name: str) -> object:
        found = idle.get(name)
        return found[0] if found else None

    def pull(names: tuple[str, ...]) -> object:
        best = min((heaps[n][0], n) for n in names)
        heappush(heaps[best[1]], heappop(heaps[best[1]]))
        return best

    who = [tuple(drawn.policy.agents[drawn.busy[n % len(drawn.busy)]].skills) for n in range(times)]
    return (
        timed(partial(pick, name) for name in asked),
        timed(partial(pull, names) for names in who),
    )
