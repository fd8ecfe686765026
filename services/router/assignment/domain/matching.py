"""This file answers who can take which item: the best agent for an item, the best item for an agent, and why others not."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from types import MappingProxyType

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import Candidate, Explanation
from services.router.assignment.domain.fit import BUSY, EVERYBODY, FLEXIBILITY, Fit
from services.router.assignment.domain.roster import Group
from services.router.assignment.domain.strategies import (
    EPOCH,
    GUARD,
    AgentKey,
    WaitingKey,
    due_at,
    micros,
)
from services.router.assignment.domain.waiting import Line
from services.router.assignment.domain.work import WorkItem

LISTED = 50
"""Candidates listed in an explanation, at most."""
RUNNERS_UP = 10
"""Eligible ones listed besides the chosen; the rest of the list is for those who were rejected, and why."""

MEASURES: Mapping[str, Callable[[Fit, Group, AgentKey], float]] = MappingProxyType(
    {
        "best_skill": lambda fit, _group, _key: -fit.level,
        "best_fit": lambda fit, group, key: fit.multiple * (1 + BUSY * key[0]) + FLEXIBILITY * group.price,
    }
)
"""What a pick compares before the order within a group, smallest first; nothing where it is missing."""

Value = float
"""Of an item for an agent: its rank as they see it, or its cost in the order `gcmu`. Smallest first."""
Found = tuple[Value, WaitingKey]


def best_agent(book: Book, item: WorkItem, now: datetime) -> str | None:
    """Who gets the item now: the agent of the conversation's last assignment if free, else the pick's first; None if nobody can."""
    line = book.waiting.line_of(item)
    for known in (item.only_agent_id, item.last_agent_id):
        if known is not None and _can_take(book, known, item, line):
            return known
    if item.only_agent_id is not None:
        return None
    beside = _first_agent(book, item, line, now, interrupting=False)
    if beside is None and book.policy.interruptible:
        return _first_agent(book, item, line, now, interrupting=True)
    return beside


def _first_agent(book: Book, item: WorkItem, line: Line, now: datetime, *, interrupting: bool) -> str | None:
    """The pick's first of those who have room; with `interrupting` also of those who would put other work aside."""
    best: tuple[int, float, AgentKey] | None = None
    measure, fit, fits, alike = (
        MEASURES.get(book.policy.pick),
        EVERYBODY,
        line.fits,
        not book.tells_apart(line),
    )
    waited, target = micros(now) - micros(item.waiting_since), _target(book, item)
    for group in line.live:
        if not alike:
            fit = fits.get(group) or book.fit(line, group)
            if (fit.hold or fit.delay) and waited < _kept_for(fit, target):
                continue
        for key in group.free:
            score = fit.missing, measure(fit, group, key) if measure else 0.0, key
            if best is not None and score >= best:
                break
            agent_id = key[-1]
            if item.not_for(agent_id):
                continue
            if book.fits(agent_id, item.channel, item.units, interrupting=interrupting):
                best = score
                break
    return best[-1][-1] if best else None


def best_item(book: Book, agent_id: str, now: datetime) -> Found | None:
    """What a free agent should get next: the first, as they see it, of all that they can take."""
    if not book.is_free(agent_id):
        return None
    group, at, best = book.roster.group(agent_id), micros(now), None
    uneven, room = book.uneven, dict[tuple[Channel, int], bool]()
    for line in book.roster.lines_for(agent_id):
        if not line.keys:
            continue
        fit = None
        if group is not None and (uneven or line.needs.preferred):
            fit = line.fits.get(group) or book.fit(line, group)
        # What stands behind or is held only comes later than its rank says: most lines need no further look.
        if (
            best is not None
            and not line.needs.target
            and line.keys[0].rank + (fit.offset if fit else 0) > best[0]
        ):
            continue
        needs = line.needs.channel, line.needs.units
        if needs not in room:
            room[needs] = book.fits(agent_id, *needs)
        if room[needs]:
            found = _first(book, agent_id, line, fit, at)
            if found is not None and (best is None or found < best):
                best = found
    return best


def first_of(book: Book, agent_id: str, line: Line, now: datetime) -> Found | None:
    """The first item of a line that the agent may have now, room apart."""
    group = book.roster.group(agent_id)
    fit = book.fit(line, group) if group is not None else None
    return _first(book, agent_id, line, fit, micros(now))


def value(book: Book, line: Line, key: WaitingKey, fit: Fit | None, at: int) -> Value:
    """How soon the item is, for agents of this fit, at this microsecond."""
    if line.needs.target:
        wait = (at - key.rank) / 1e6
        return -wait / line.needs.target**2 / (fit.multiple if fit else 1.0)
    return key.rank + (fit.offset if fit else 0) + _behind(book, key, at)


def rejection(book: Book, item: WorkItem, agent_id: str, now: datetime) -> str | None:
    """The first reason why the agent cannot take the item now, in words; None for an eligible one."""
    line, group = book.waiting.line_of(item), book.roster.group(agent_id)
    if group is None or agent_id not in book.agents:
        return f"not in pool {book.policy.pool}"
    return _rejection(book, item, line, group, agent_id, now)


def candidate(book: Book, item: WorkItem, agent_id: str, now: datetime) -> Candidate:
    """One agent as an explanation names them."""
    line, group = book.waiting.line_of(item), book.roster.group(agent_id)
    rejected = rejection(book, item, agent_id, now)
    score = _score(book, line, group, agent_id, now) if group is not None and rejected is None else ()
    return Candidate(agent_id, rejected, score)


def explain(
    book: Book, item: WorkItem, now: datetime, chosen: str | None, note: str | None = None
) -> Explanation:
    """Why `chosen` (or nobody) gets the item, as of now."""
    if note is None and chosen is not None and chosen == item.last_agent_id and item.only_agent_id is None:
        note = "had this conversation last"
    line = book.waiting.line_of(item)
    candidates: list[Candidate] = []
    eligible = 0
    for group, agent_id in islice(_agents(book, item, line, chosen), 2 * LISTED):
        reason = _rejection(book, item, line, group, agent_id, now) if agent_id != chosen else None
        if reason is not None:
            candidates.append(Candidate(agent_id, reason))
        else:
            eligible += 1
            if eligible <= RUNNERS_UP + 1:
                candidates.append(Candidate(agent_id, None, _score(book, line, group, agent_id, now)))
        if len(candidates) == LISTED:
            break
    policy = book.policy
    considered = len(policy.agents) if item.only_agent_id is None else 1
    return Explanation(
        policy.pool, policy.version, policy.strategy, chosen, tuple(candidates), considered, note, item.step
    )


def wakes_at(book: Book, item: WorkItem, now: datetime) -> datetime | None:
    """When a waiting item should be looked at again though nothing else happens: a step relaxes, or a hold ends."""
    found = [
        item.waiting_since + relaxation.after
        for relaxation in book.policy.relaxations.get(item.queue, ())[item.step : item.step + 1]
    ]
    if book.admits and item.only_agent_id is None:
        line, at = book.waiting.place_of(item), micros(now)
        since, target = micros(item.waiting_since), _time_given(item)
        later = [moment for terms in book.terms(line) if (moment := since + _kept_for(terms, target)) > at]
        if later:
            found.append(EPOCH + timedelta(microseconds=min(later)))
    return min(found, default=None)


def _kept_for(fit: Fit, target: int) -> int:
    """Microseconds of the wait before agents of a fit may take an item."""
    return max(fit.delay, int(fit.hold * target))


def _target(book: Book, item: WorkItem) -> int:
    """Microseconds of which agents are held back for a share; none where so much is free that nobody need be."""
    return 0 if book.roomy else _time_given(item)


def _time_given(item: WorkItem) -> int:
    """Microseconds from the wait's begin to the deadline."""
    return micros(due_at(item)) - micros(item.waiting_since)


def _behind(book: Book, key: WaitingKey, at: int) -> int:
    """Where late ones are put behind those who can still be in time, by how much: until the guard, then they are back."""
    behind = book.policy.late_behind
    if not behind:
        return 0
    due = micros(due_at(book.items[key.work_item_id]))
    if at <= due:
        return 0
    target = due - key.since
    return int(behind * target) if at < key.since + GUARD * target else 0


def _can_take(book: Book, agent_id: str, item: WorkItem, line: Line) -> bool:
    return (
        book.is_free(agent_id)
        and not item.not_for(agent_id)
        and book.fits(agent_id, item.channel, item.units)
        and book.roster.serves(agent_id, line)
    )


def _first(book: Book, agent_id: str, line: Line, fit: Fit | None, at: int) -> Found | None:
    """The first item of a line that the agent may have."""
    held = fit is not None and (fit.hold or fit.delay)
    best: Found | None = None
    for key in line.keys:
        item = book.items[key.work_item_id]
        if item.not_for(agent_id):
            continue
        # Nobody is kept from work that is meant for them alone, or that they had last.
        free_to = agent_id in (item.only_agent_id, item.last_agent_id)
        if held and fit is not None and not free_to and at < key.since + _kept_for(fit, _target(book, item)):
            continue
        found = value(book, line, key, fit, at), key
        if best is None or found < best:
            best = found
        # Only late ones that stand behind can be passed by another of their line.
        if not book.policy.late_behind or at <= micros(due_at(item)):
            break
    return best


def _rejection(
    book: Book, item: WorkItem, line: Line, group: Group, agent_id: str, now: datetime
) -> str | None:
    agent = book.agents[agent_id]
    if item.only_agent_id is not None:
        if item.only_agent_id != agent_id:
            return f"only for {item.only_agent_id}"
    elif (misfit := _misfit(line, group)) is not None and agent_id not in item.excluded_agent_ids:
        return misfit
    if agent_id in item.excluded_agent_ids:
        return "excluded"
    if agent.presence is not Presence.AVAILABLE:
        return f"{agent.presence} ({agent.reason})" if agent.reason else str(agent.presence)
    if (short := book.shortage(agent_id, item.channel, item.units)) is not None:
        return short
    if item.declined and agent_id in item.declined:
        return f"declined {max(0, int((now - item.declined[agent_id]).total_seconds()))} s ago"
    if (item.reservations or item.agent_id) and item.not_for(agent_id):
        return "holds it" if item.agent_id == agent_id else "offered already"
    if book.admits and item.only_agent_id is None and agent_id != item.last_agent_id:
        fit = book.fit(line, group)
        left = micros(item.waiting_since) + _kept_for(fit, _target(book, item)) - micros(now)
        if left > 0:
            why = "held for a better fit" if fit.hold else "queue delayed"
            return f"{why}, {-(-left // 1_000_000)} s more"
    return None


def _misfit(line: Line, group: Group) -> str | None:
    if group in line.misfits:
        return line.misfits[group]
    found = line.misfits[group] = group.misfit(line.needs)
    return found


def _score(book: Book, line: Line, group: Group, agent_id: str, now: datetime) -> tuple[float, ...]:
    """What the pick compared, where it compared something, then the seconds of idleness, where they ever were."""
    score: list[float] = []
    key, idle = book.roster.key(agent_id), book.agents[agent_id].idle_since
    measure = MEASURES.get(book.policy.pick)
    if key is not None and measure is not None:
        score.append(round(measure(book.fit(line, group), group, key), 6))
    if idle:
        score.append(max(0.0, (now - idle).total_seconds()))
    return tuple(score)


def _agents(book: Book, item: WorkItem, line: Line, chosen: str | None) -> Iterator[tuple[Group, str]]:
    """Those whom an explanation should name first come first: chosen, free ones who fit, others who fit, the rest."""
    first = dict.fromkeys(a for a in (chosen, item.only_agent_id, item.last_agent_id) if a is not None)
    for agent_id in first:
        group = book.roster.group(agent_id)
        if group is not None:
            yield group, agent_id
    if item.only_agent_id is not None:
        return
    for key, group in merge(*([(key, group) for key in group.free] for group in line.live), key=_by_key):
        if key[-1] not in first:
            yield group, key[-1]
    for group in line.groups:
        for agent_id in group.others:
            if agent_id not in first:
                yield group, agent_id
    serving = set(line.groups)
    for group in book.roster.groups:
        if group not in serving:
            for key in group.free:
                if key[-1] not in first:
                    yield group, key[-1]
            for agent_id in group.others:
                if agent_id not in first:
                    yield group, agent_id


def _by_key(pair: tuple[AgentKey, Group]) -> AgentKey:
    return pair[0]
