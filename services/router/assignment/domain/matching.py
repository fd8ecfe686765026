"""This file answers who can take which item: the best agent for an item, the best item for an agent, and why others not."""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import Candidate, Explanation
from services.router.assignment.domain.strategies import WaitingKey
from services.router.assignment.domain.waiting import Requirement, requirement
from services.router.assignment.domain.work import WorkItem

LISTED = 50
"""Candidates listed in an explanation, at most."""
RUNNERS_UP = 10
"""Eligible ones listed besides the chosen; the rest of the list is for those who were rejected, and why."""


def best_agent(book: Book, item: WorkItem) -> str | None:
    """Who gets the item now: the agent of the conversation's last assignment if free, else the strategy's first; None if nobody can."""
    needs = requirement(item)
    for known in (item.only_agent_id, item.last_agent_id):
        if known is not None and _can_take(book, known, item, needs):
            return known
    if item.only_agent_id is not None:
        return None
    beside = _first_agent(book, item, needs, interrupting=False)
    if beside is None and book.policy.interruptible:
        return _first_agent(book, item, needs, interrupting=True)
    return beside


def _first_agent(book: Book, item: WorkItem, needs: Requirement, *, interrupting: bool) -> str | None:
    """The strategy's first of those who have room; with `interrupting` also of those who would put other work aside."""
    best: tuple[int, str] | None = None
    for group in book.roster.serving(needs):
        for key in group.free:
            if best is not None and key >= best:
                break
            agent_id = key[-1]
            if item.not_for(agent_id):
                continue
            if book.fits(agent_id, item.channel, item.units, interrupting=interrupting):
                best = key
                break
    return best[-1] if best else None


def best_item(book: Book, agent_id: str) -> WorkItem | None:
    """What a free agent should get next: the first in waiting order of all that they can take."""
    if not book.is_free(agent_id):
        return None
    best: WaitingKey | None = None
    room: dict[tuple[Channel, int], bool] = {}
    for line in book.roster.lines_for(agent_id):
        needs = line.needs.channel, line.needs.units
        if needs not in room:
            room[needs] = book.fits(agent_id, *needs)
        if room[needs]:
            best = _first(book, agent_id, line.keys, best)
    return book.items[best[-1]] if best else None


def rejection(book: Book, item: WorkItem, agent_id: str, now: datetime) -> str | None:
    """The first reason why the agent cannot take the item now, in words; None for an eligible one."""
    spec, agent = book.policy.agents.get(agent_id), book.agents.get(agent_id)
    if spec is None or agent is None:
        return f"not in pool {book.policy.pool}"
    if item.only_agent_id not in (None, agent_id):
        return f"only for {item.only_agent_id}"
    if agent_id in item.excluded_agent_ids:
        return "excluded"
    if item.only_agent_id is None:
        if item.queue not in spec.queues:
            return f"not in queue {item.queue}"
        for skill, least in sorted(item.skills.items()):
            if (level := spec.skills.get(skill, 0)) < least:
                return f"skill {skill} {level} < {least}"
    if agent.presence is not Presence.AVAILABLE:
        return f"{agent.presence} ({agent.reason})" if agent.reason else str(agent.presence)
    if (short := book.shortage(agent_id, item.channel, item.units)) is not None:
        return short
    if item.declined and agent_id in item.declined:
        return f"declined {max(0, int((now - item.declined[agent_id]).total_seconds()))} s ago"
    if (item.reservations or item.agent_id) and item.not_for(agent_id):
        return "holds it" if item.agent_id == agent_id else "offered already"
    return None


def explain(
    book: Book, item: WorkItem, now: datetime, chosen: str | None, note: str | None = None
) -> Explanation:
    """Why `chosen` (or nobody) gets the item, as of now."""
    if note is None and chosen is not None and chosen == item.last_agent_id and item.only_agent_id is None:
        note = "had this conversation last"
    candidates = [candidate(book, item, chosen, now)] if chosen else []
    eligible = 0
    for agent_id in islice(_agents(book, item), 2 * LISTED):
        if agent_id == chosen:
            continue
        found = candidate(book, item, agent_id, now)
        eligible += found.rejected is None
        if found.rejected is not None or eligible <= RUNNERS_UP:
            candidates.append(found)
        if len(candidates) == LISTED:
            break
    policy = book.policy
    considered = len(policy.agents) if item.only_agent_id is None else 1
    return Explanation(
        policy.pool, policy.version, policy.strategy, chosen, tuple(candidates), considered, note
    )


def candidate(book: Book, item: WorkItem, agent_id: str, now: datetime) -> Candidate:
    """`score` is the seconds of idleness, for agents who were ever available."""
    agent = book.agents.get(agent_id)
    idle = agent.idle_since if agent else None
    score = (max(0.0, (now - idle).total_seconds()),) if idle else ()
    return Candidate(agent_id, rejection(book, item, agent_id, now), score)


def _can_take(book: Book, agent_id: str, item: WorkItem, needs: Requirement) -> bool:
    return (
        book.is_free(agent_id)
        and not item.not_for(agent_id)
        and book.fits(agent_id, item.channel, item.units)
        and book.roster.serves(agent_id, needs)
    )


def _first(book: Book, agent_id: str, keys: list[WaitingKey], best: WaitingKey | None) -> WaitingKey | None:
    for key in keys:
        if best is not None and key >= best:
            break
        if not book.items[key[-1]].not_for(agent_id):
            return key
    return best


def _agents(book: Book, item: WorkItem) -> Iterator[str]:
    """Those whom an explanation should name first come first: free ones who fit, others who fit, the rest."""
    if item.only_agent_id is not None:
        yield item.only_agent_id
        return
    fitting = book.roster.serving(requirement(item))
    yield from (key[-1] for key in merge(*(g.free for g in fitting)))
    for group in fitting:
        yield from group.others
    named = {id(group) for group in fitting}
    for group in book.roster.groups.values():
        if id(group) not in named:
            yield from (key[-1] for key in group.free)
            yield from group.others
