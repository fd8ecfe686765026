"""This file reads the call records of August 1999, and what the roster and the skills of the bank's agents were."""

import csv
import lzma
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent.parent / "data" / "anonymous-bank-1999-08.csv.xz"
COLUMNS = ("day", "type", "priority", "asked", "queued", "began", "ended", "took", "agent")
TYPES = ("PS", "NW", "IN", "NE", "TT", "PE")
"""Regular, new customer, internet, stocks, technical, English."""
FULL_DAY = 600
"""Calls above which a day counts: the others are the short days before a weekend and holidays."""
REGULAR = 100
"""Calls of the month from which an agent belongs to the staff."""
LEAST_CALLS, LEAST_SHARE = 3, 0.01
"""An agent has the skill for a type of which they took so many calls, and so much of all their calls."""
REAL_SERVICE = 10
"""A service (s) not longer than this was a wrong connection: it tells nothing of how fast the agent is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that asked for an agent. Seconds of the day; `queued` and `took` are durations.

    `began` is None for a customer who hung up in the queue, `agent` also where the record does not name one.
    """

    day: int
    type: int
    priority: int
    asked: int
    queued: float
    began: int | None
    ended: int
    took: float
    agent: int | None


@dataclass(frozen=True)
class Records:
    """A month: its calls in the order of the file, its full days, and of each regular agent the types they take."""

    calls: tuple[Call, ...]
    days: tuple[int, ...]
    skills: Mapping[int, frozenset[int]]


@cache
def records() -> Records:
    """The month, read once. Raises OSError where the file is missing."""
    with lzma.open(FILE, "rt", encoding="utf-8", newline="") as file:
        calls = tuple(_call(row) for row in csv.DictReader(file))
    a_day = Counter(call.day for call in calls)
    of_agent = Counter(call.agent for call in calls if call.agent is not None)
    of_type = Counter((call.agent, call.type) for call in calls)
    skills = {
        agent: frozenset(
            t for t in range(len(TYPES)) if of_type[agent, t] >= max(LEAST_CALLS, LEAST_SHARE * total)
        )
        for agent, total in sorted(of_agent.items())
        if total >= REGULAR
    }
    return Records(calls, tuple(sorted(d for d, n in a_day.items() if n > FULL_DAY)), skills)


def pace(calls: Iterable[Call], agents: Iterable[int]) -> Mapping[int, float]:
    """How long each agent takes against all: the ratio of geometric means of service times; 1 where there are none.

    The mean of all is over every agent of the calls, also those who are not asked for.
    """
    logs: dict[int, list[float]] = {}
    for call in calls:
        if call.agent is not None and call.took > REAL_SERVICE:
            logs.setdefault(call.agent, []).append(math.log(call.took))
    every = [value for values in logs.values() for value in values]
    typical = statistics.fmean(every) if every else 0.0
    return {a: math.exp(statistics.fmean(logs[a]) - typical) if a in logs else 1.0 for a in agents}


def _call(row: Mapping[str, str]) -> Call:
    return Call(
        day=int(row["day"]),
        type=TYPES.index(row["type"]),
        priority=int(row["priority"]),
        asked=int(row["asked"]),
        queued=float(row["queued"]),
        began=int(row["began"]) if row["began"] else None,
        ended=int(row["ended"] or 0),
        took=float(row["took"] or 0),
        agent=int(row["agent"]) if row["agent"] else None,
    )
