"""This file says what an agent's profile is for a kind of work: how fast, how dear, and for how long it is held back.

Handle times are learned (learning.py). With nothing learned, or no gap between levels, everybody fits equally well and
nobody is held back.
"""

import math
from typing import NamedTuple

from libs.contracts.vocabulary import Channel
from libs.workspace import Terms
from services.router.assignment.domain.learning import Figures
from services.router.assignment.domain.policy import AT_ONCE, Policy
from services.router.assignment.domain.roster import Group, Roster
from services.router.assignment.domain.strategies import FIT_WORTH, MICROSECOND, ORDERS, head_start
from services.router.assignment.domain.waiting import Line, Requirement

BUSY = 0.2
"""How much longer work takes for each other conversation that the agent has open (18 % measured by Goes et al. 2018)."""
FLEXIBILITY = 0.5
"""Weight of what else an agent could be needed for, against handle time."""
HELD_AT_MOST = 0.5
"""Longest hold, as a share of the time from the wait's begin to the deadline."""
GAP_SEEN, GAP_FULL = 0.10, 0.30
"""How much longer than the best third an agent must take to be held back at all, and to be held back the longest."""
BEST_SHARE = 3
"""The best third of those who are there is what others are compared with."""
RESERVE = 0.4
"""Nobody is held back while more than this share of the pool's capacity is free."""


class Fit(NamedTuple):
    """One group for one line.

    offset    microseconds by which the group sees the line's items later (or, below zero, sooner)
    multiple  of handle time
    level     sum of levels in what is asked for
    missing   preferred skills that they lack
    hold      share of the target for which they are held back
    delay     microseconds after the request before which the queue does not go to them
    """

    offset: int
    multiple: float
    level: int
    missing: int
    hold: float
    delay: int


EVERYBODY = Fit(0, 1.0, 0, 0, 0.0, 0)
"""Where nothing tells groups apart."""


def multiple(figures: Figures, graded: frozenset[str], group: Group, needs: Requirement) -> float:
    """How many times as long as on average they take, by their levels in the skills that tell agents apart."""
    effects = figures.effects
    if not effects:
        return 1.0
    return math.exp(
        sum(effects.get(group.levels.get(skill, 0), 0.0) for skill, _ in needs.skills if skill in graded)
    )


def what_matters(needs: Requirement, group: Group) -> tuple[object, ...]:
    """Of a group, all on which its fit for this depends: others that are equal in it fit equally well."""
    levels = group.levels
    if len(needs.skills) == 1 and not needs.preferred and not group.terms:
        return (levels.get(needs.skills[0][0]),)  # as most are
    asked = [levels.get(skill) for skill, _ in needs.skills]
    if needs.preferred:
        asked += [levels.get(skill) for skill, _ in needs.preferred]
    return *asked, _terms(needs, group)


def _terms(needs: Requirement, group: Group) -> Terms:
    if not group.terms:
        return AT_ONCE
    return next((group.terms[q] for q in needs.queues if q in group.terms), AT_ONCE)


def fit(policy: Policy, figures: Figures, graded: frozenset[str], line: Line, group: Group) -> Fit:
    """What the group is for the line; to be asked again when figures or presences change."""
    needs, order = line.needs, ORDERS[policy.order]
    terms = _terms(needs, group)
    found = multiple(figures, graded, group, needs)
    offset = -terms.priority * (head_start(policy) // MICROSECOND)
    if order.fits:
        offset += round(math.log(found) * (FIT_WORTH // MICROSECOND))
    hold = 0.0
    # Nobody is held back from the work of another pool: it came because it has waited too long already.
    if policy.hold and figures.effects and needs.only_agent_id is None and needs.queues:
        if line.best is None:
            line.best = _best(figures, graded, line)
        gap = found / line.best - 1.0
        hold = HELD_AT_MOST * min(1.0, max(0.0, (gap - GAP_SEEN) / (GAP_FULL - GAP_SEEN)))
    return Fit(
        offset,
        found,
        sum(group.levels.get(skill, 0) for skill, _ in needs.skills),
        sum(group.levels.get(skill, 0) < least for skill, least in needs.preferred),
        hold,
        terms.delay // MICROSECOND,
    )


def _best(figures: Figures, graded: frozenset[str], line: Line) -> float:
    """Mean multiple of the best third of those who are connected; endless where nobody is, so that nobody is held back."""
    there: dict[tuple[object, ...], list[float]] = {}
    for group in line.groups:
        if group.connected:
            levels = tuple([group.levels.get(skill) for skill, _ in line.needs.skills])
            if levels not in there:
                there[levels] = [multiple(figures, graded, group, line.needs), 0]
            there[levels][1] += group.connected
    found = sorted(there.values())
    third = max(1, sum(n for _, n in found) // BEST_SHARE)
    total, left = 0.0, third
    for value, n in found:
        total += value * min(n, left)
        left -= min(n, left)
    return total / third if found else math.inf


def price_groups(roster: Roster, figures: Figures) -> None:
    """What else agents could be needed for: demand by agent who could serve it, summed over all demands; mean 1.

    The dual price of an agent's time in the fluid model, as far as it can be had without solving it.
    """
    for group in roster.groups:
        group.price = 0.0
    for (queue, skills), asked in figures.demand.items():
        serving = roster.serving(Requirement((queue,), skills, Channel.UNKNOWN, 0, None))
        able = sum(group.size for group in serving)
        for group in serving:
            group.price += asked / able
    total = sum(group.price * group.size for group in roster.groups)
    if total > 0:
        agents = sum(group.size for group in roster.groups)
        for group in roster.groups:
            group.price *= agents / total
