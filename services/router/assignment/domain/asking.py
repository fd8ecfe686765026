"""This file holds the rules for allocation hooks: what somebody's own system is told, and what follows from its answer.

queued ─▶ asked ── names somebody who can take it ──▶ offered to them
            └──── names nobody (who can), fails, or is late ──▶ matched as if nobody had been asked
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import (
    Ask,
    Candidate,
    Contender,
    Decision,
    Ending,
    Explanation,
    HookAnswer,
    Queued,
    Remind,
)
from services.router.assignment.domain.inputs import HookAnswered, HookLapsed
from services.router.assignment.domain.matching import candidate, explain
from services.router.assignment.domain.roster import Group
from services.router.assignment.domain.strategies import AgentKey
from services.router.assignment.domain.waiting import Line
from services.router.assignment.domain.work import WorkItem

if TYPE_CHECKING:
    from services.router.assignment.domain.step import Step

CONTENDERS = 100
"""Agents of whom a hook is told at most: a row, and a request, of some ten kilobytes."""
RETURNED = frozenset(ending.value for ending in Ending)
"""Why an item is back in its place whose last offer has ended."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the explanation of a decision says of the hook that was asked before it."""

    note: str
    answer: HookAnswer | None = None
    refused: tuple[Candidate, ...] = ()
    """Those whom it named and who cannot take the item."""

    def added_to(self, explanation: Explanation) -> Explanation:
        note = f"{self.note}; {explanation.note}" if explanation.note else self.note
        named = {c.agent_id for c in self.refused}
        others = tuple(c for c in explanation.candidates if c.agent_id not in named)
        return replace(explanation, note=note, hook=self.answer, candidates=(*self.refused, *others))


def ask(book: Book, item: WorkItem, now: datetime, reason: str, note: str | None) -> list[Decision]:
    """Tell an item as queued, and have its hook asked; `hook_until` and `hook_asks` say so already."""
    within, until = book.policy.hooks[item.queue], item.hook_until or now
    asked = f"allocation hook: asked, for {told(within)} at most"
    explanation = explain(book, item, now, None, f"{note}; {asked}" if note else asked)
    lapse = HookLapsed(item.work_item_id, item.hook_asks)
    return [
        Queued(item, reason, explanation),
        Remind(f"hook/{item.work_item_id}", until, lapse),
        Ask(item, contenders(book, item)),
    ]


def answered(step: "Step", told: HookAnswered) -> None:
    """The first named who can take the item gets it. A choice goes past holds and delays, which are this engine's own preferences."""
    item = step.book.items.get(told.work_item_id)
    if item is None or not item.awaits(told.ask):
        step.ignore("late_hook_answer")
        return
    chosen, refused = None, list[Candidate]()
    for agent_id in dict.fromkeys(told.agent_ids):
        # Nobody is held back from what they had last: so the choice is judged as if it had been theirs.
        named = candidate(step.book, replace(item, last_agent_id=agent_id), agent_id, step.now)
        if named.rejected is None:
            chosen = agent_id
            break
        refused.append(named)
    answer = HookAnswer(told.ask, told.agent_ids, told.reason, told.fault)
    step.forget(f"hook/{item.work_item_id}")
    step.go_on(item, Heard(_note(told, chosen, refused), answer, tuple(refused)), chosen)


def lapsed(step: "Step", lapse: HookLapsed) -> None:
    item = step.book.items.get(lapse.work_item_id)
    if item is None or not item.awaits(lapse.ask):
        step.ignore("already_answered")
        return
    within = step.policy.hooks.get(item.queue)
    time = f"within {told(within)}" if within is not None else "in time"
    step.go_on(item, Heard(f"allocation hook: no answer {time}"), None)


def contenders(book: Book, item: WorkItem) -> tuple[Contender, ...]:
    """Who could take the item now, the pick's first ones first; also those whom the engine would hold back for a while."""
    line = book.waiting.line_of(item)
    best = islice(merge(*(_able(book, item, line, group) for group in _serving(book, line))), CONTENDERS)
    return tuple(_contender(book, key[-1]) for _, key in best)


def told(within: timedelta) -> str:
    """A time limit, for people."""
    seconds = within.total_seconds()
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _serving(book: Book, line: Line) -> Iterable[Group]:
    """Groups with somebody free; lines of queues that do not offer their work by themselves do not know theirs."""
    if line.live:
        return line.live
    return (group for group in book.roster.groups if group.free and group.misfit(line.needs) is None)


def _able(book: Book, item: WorkItem, line: Line, group: Group) -> Iterable[tuple[int, AgentKey]]:
    missing = book.fit(line, group).missing
    able = (
        key
        for key in group.free
        if not item.not_for(key[-1]) and book.fits(key[-1], item.channel, item.units)
    )
    return ((missing, key) for key in able)


def _contender(book: Book, agent_id: str) -> Contender:
    agent, spec = book.agents[agent_id], book.policy.agents[agent_id]
    return Contender(agent_id, spec.skills, book.load(agent_id), agent.capacity, agent.idle_since)


def _note(told: HookAnswered, chosen: str | None, refused: list[Candidate]) -> str:
    if told.fault is not None:
        return f"allocation hook: {told.fault}"
    reason = f": {told.reason}" if told.reason else ""
    if not told.agent_ids:
        return f"allocation hook: no opinion{reason}"
    named = [f"{c.agent_id}, who {_verb(c.rejected or '')}{c.rejected}" for c in refused]
    return f"allocation hook chose {', then '.join([*named, *([chosen] if chosen else [])])}{reason}"


def _verb(rejected: str) -> str:
    if rejected.startswith("declined"):
        return ""
    return "has " if "/" in rejected or "<" in rejected else "is "
