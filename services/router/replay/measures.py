"""This file counts what a run, recorded or lived again, did for customers and agents."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.contracts.payloads.assignments import AgentChanged, WorkAssigned, WorkCancelled
from libs.contracts.payloads.base import Payload
from libs.contracts.vocabulary import Presence
from services.router.replay.history import History

PRESENT = frozenset({Presence.AVAILABLE, Presence.BUSY})


@dataclass(frozen=True)
class Measures:
    """What came of one run. `waits` are those of answered customers, ascending.

    requests      work items asked for; = answered + abandoned + open
    late, due     of those with a deadline, answered or given up or still waiting after it; who gave up before it left the base
    utilisation   share of their time available or busy, until the recording's end, that an agent had something offered or
                  held; mean over agents
    jain          Jain's index of the same, (sum x)^2 / (n sum x^2)
    known, affinity   requests of a conversation that somebody had before, and those of them whom the same agent got
    queue         (when, how many customers wait), at each change
    """

    requests: int
    answered: int
    abandoned: int
    waits: tuple[timedelta, ...]
    late: int
    due: int
    utilisation: float | None
    jain: float | None
    known: int
    affinity: int
    queue: tuple[tuple[datetime, int], ...] = field(repr=False)

    @property
    def open(self) -> int:
        """Still waiting at the end."""
        return self.requests - self.answered - self.abandoned

    def wait(self, share: float) -> timedelta | None:
        """The wait that this share of the answered customers had at most (nearest rank); None where nobody was answered."""
        if not self.waits:
            return None
        return self.waits[max(0, math.ceil(share * len(self.waits)) - 1)]


def measure(history: History, emitted: Iterable[Payload]) -> Measures:
    """Of the requests of a history, and what the flow emitted, in its order."""
    answers: dict[str, tuple[datetime, timedelta, str]] = {}
    gone: dict[str, datetime] = {}
    states: list[AgentChanged] = []
    for payload in emitted:
        match payload:
            case WorkAssigned():
                wait = timedelta(seconds=payload.waited_seconds)
                answers.setdefault(payload.work_item_id, (payload.occurred_at, wait, payload.agent_id))
            case WorkCancelled():
                gone[payload.work_item_id] = payload.occurred_at
            case AgentChanged():
                states.append(payload)
    gone = {name: at for name, at in gone.items() if name in history.items and name not in answers}
    answers = {name: found for name, found in answers.items() if name in history.items}
    late, due = _late(history, answers, gone)
    shares = busy_shares(states, history.ends)
    known = {n: i.request.last_agent_id for n, i in history.items.items() if i.request.last_agent_id}
    return Measures(
        requests=len(history.items),
        answered=len(answers),
        abandoned=len(gone),
        waits=tuple(sorted(wait for _, wait, _ in answers.values())),
        late=late,
        due=due,
        utilisation=sum(shares) / len(shares) if shares else None,
        jain=jain(shares) if shares else None,
        known=len(known),
        affinity=sum(name in answers and answers[name][2] == agent for name, agent in known.items()),
        queue=_queue(history, answers, gone),
    )


def _late(
    history: History, answers: dict[str, tuple[datetime, timedelta, str]], gone: dict[str, datetime]
) -> tuple[int, int]:
    """(late, those who count), by the first deadline that each item had."""
    late = counted = 0
    for name, item in history.items.items():
        target = item.target
        if target is None:
            continue
        if name in answers:
            waited = answers[name][1]
        elif name in gone:
            waited = gone[name] - item.request.requested_at
            if waited <= target:
                continue
        else:
            waited = history.ends - item.request.requested_at
            if waited <= target:
                continue
        counted += 1
        late += waited > target
    return late, counted


def busy_shares(states: Sequence[AgentChanged], until: datetime) -> list[float]:
    """By agent who was ever there: the share of that time in which they had something offered or held."""
    by_agent: dict[tuple[str, str], list[AgentChanged]] = {}
    for state in states:
        by_agent.setdefault((state.pool, state.agent_id), []).append(state)
    shares = []
    for _, of_agent in sorted(by_agent.items()):
        there = busy = timedelta(0)
        for state, end in zip(of_agent, [*(s.occurred_at for s in of_agent[1:]), until], strict=True):
            lasted = max(timedelta(0), min(end, until) - state.occurred_at)
            if state.presence in PRESENT:
                there += lasted
                busy += lasted if state.load else timedelta(0)
        if there:
            shares.append(busy / there)
    return shares


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has all; 1 where nobody has any."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _queue(
    history: History, answers: dict[str, tuple[datetime, timedelta, str]], gone: dict[str, datetime]
) -> tuple[tuple[datetime, int], ...]:
    changes: list[tuple[datetime, int]] = []
    for name, item in history.items.items():
        if name in answers:
            at, wait, _ = answers[name]
            changes += [(at - wait, 1), (at, -1)]
        else:
            changes.append((item.request.requested_at, 1))
            if name in gone:
                changes.append((gone[name], -1))
    found: list[tuple[datetime, int]] = []
    length = 0
    for at, change in sorted(changes):
        length += change
        if found and found[-1][0] == at:
            found.pop()
        found.append((at, length))
    return tuple(found)
