"""This file makes one day of the benchmark from the real calls of August 1999.

Real are arrivals, types, priorities, who was there from when to when, and the service times of calls that were served.
Drawn are the work of calls that were abandoned (from served calls of their type) and how much longer a served customer would
have waited (exponential). The rules are those of the reference's replay, so that its figures come out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.routing.calls.records import TYPES, Call, Records, pace, records
from bench.routing.floor import Agent, Conversation, Staff
from bench.routing.scenario import FLAT, LANGUAGES, pool_of
from bench.routing.world import Shift, Truth, World

OPENS = 7 * 3600
"""Second of the day from which calls count: at night one or two agents sit there for themselves."""
MIDNIGHT = 86_400.0
LEAST_TAKEN = 5
"""Calls of the day from which an agent counts as on duty."""
MEAN_PATIENCE = 406.0
"""Mean (s) of the exponential patience that fits August's queue (maximum likelihood: time waited over hang-ups)."""
SHORTEST, LONGEST = 5.0, 3600.0
"""Bounds (s) of the work of one call."""
LEAST_PATIENCE = 0.5
IMPORTANT, TARGET, TARGET_IMPORTANT = 2, 60.0, 30.0
LEVEL = 5
"""Of every skill: the records have no levels, and handle time is not taken to depend on one."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class August:
    """The world `calls@1999-08`. Seeds 1 to 24 are its full days; 25 to 48 the same days with the next draws, and so on."""

    def __str__(self) -> str:
        return "calls@1999-08"

    def make(self, seed: int) -> World:
        """Raises ValueError for a seed below 1."""
        if seed < 1:
            raise ValueError(f"the days of {self} are numbered from 1, not from {seed}")
        month = records()
        draws, number = divmod(seed - 1, len(month.days))
        return make_day(month, month.days[number], draws)


def make_day(month: Records, day: int, draws: int = 0) -> World:
    """One day of the month. `draws` is the seed of what is drawn."""
    rng = np.random.default_rng([draws, day])
    truth = pace((c for c in month.calls if c.began is not None), month.skills)
    calls = sorted((c for c in month.calls if c.day == day and c.asked >= OPENS), key=lambda c: c.asked)
    shifts = _shifts(month, day)
    work = _work(rng, month, calls, truth)
    queued = np.array([c.queued for c in calls])
    served = np.array([c.began is not None for c in calls])
    longer = rng.exponential(MEAN_PATIENCE, len(calls))
    patience = np.where(served, queued + longer, np.maximum(queued, LEAST_PATIENCE))
    staff = _staff(month, day, list(shifts))
    can_be_served = [bool(staff.eligible[pool_of(c.type, 0)]) for c in calls]
    speed = np.array([truth[a] for a in shifts])
    speed = speed / speed.mean()
    return World(
        staff,
        tuple(_conversations(staff, (c for c, can in zip(calls, can_be_served, strict=True) if can))),
        Truth(
            tuple(work[can_be_served].tolist()),
            tuple(patience[can_be_served].tolist()),
            tuple(speed.tolist()),
        ),
        MIDNIGHT,
        tuple(shifts.values()),
        warm_up=0.0,
    )


def _shifts(month: Records, day: int) -> dict[int, Shift]:
    """Of each regular agent with enough calls that day: from the first call they took to the end of the last."""
    taken: dict[int, list[Call]] = {}
    for call in month.calls:
        if call.day == day and call.agent is not None and call.began is not None and call.began >= OPENS:
            taken.setdefault(call.agent, []).append(call)
    return {
        agent: Shift(min(c.began or 0 for c in calls), max(c.ended for c in calls))
        for agent, calls in sorted(taken.items())
        if len(calls) >= LEAST_TAKEN and agent in month.skills
    }


def _staff(month: Records, day: int, numbers: Sequence[int]) -> Staff:
    """Skills are those of the month, which the bank's own roster knew. Shares, primary types and paces are those of earlier days.

    On the first day every type is expected equally often, and an agent's primary type is the first they take.
    """
    before = [c for c in month.calls if c.day < day]
    learned = pace((c for c in before if c.began is not None), numbers)
    share = Counter(c.type for c in before if c.asked >= OPENS)
    taken = Counter((c.agent, c.type) for c in before)
    agents = tuple(
        Agent(
            place,
            _most_taken(taken, number, month.skills[number]),
            dict.fromkeys(sorted(month.skills[number]), LEVEL),
            frozenset({0}),
            learned[number],
        )
        for place, number in enumerate(numbers)
    )
    total = sum(share.values()) + len(TYPES)
    forecast = [0.0] * (LANGUAGES * len(TYPES))
    for t in range(len(TYPES)):
        forecast[pool_of(t, 0)] = (share[t] + 1) / total
    return Staff(agents, ("voice",), 1, 0.0, FLAT, tuple(forecast))


def _most_taken(taken: Counter[tuple[int | None, int]], agent: int, types: Iterable[int]) -> int:
    return max(sorted(types), key=lambda t: taken[agent, t])


def _work(
    rng: np.random.Generator, month: Records, calls: Sequence[Call], truth: Mapping[int, float]
) -> Floats:
    """Seconds at the common pace: as it took, over the agent's own; of abandoned calls drawn from served ones of the type."""
    took = [
        np.array([c.took for c in month.calls if c.type == t and c.agent is not None])
        for t in range(len(TYPES))
    ]
    work = np.array([c.took / truth.get(c.agent, 1.0) if c.agent is not None else c.took for c in calls])
    for place, call in enumerate(calls):
        if call.began is None:
            work[place] = rng.choice(took[call.type])
    clipped: Floats = np.clip(work, SHORTEST, LONGEST)
    return clipped


def _conversations(staff: Staff, calls: Iterable[Call]) -> Iterator[Conversation]:
    for number, call in enumerate(calls):
        pool, vip = pool_of(call.type, 0), call.priority == IMPORTANT
        yield Conversation(
            id=number,
            arrived_at=float(call.asked),
            topic=call.type,
            language=0,
            pool=pool,
            vip=vip,
            channel=0,
            queue=staff.queue_of(pool, vip, 0),
            sla=TARGET_IMPORTANT if vip else TARGET,
            last_agent=-1,
        )
