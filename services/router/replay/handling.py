"""This file learns from a recording how long work takes whom, how agents answer offers, and how long customers wait.

What was recorded is taken as it was; what was not is drawn from it. Draws are named by item and agent, so that two policies
under one seed meet the same customers and the same answers.
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from datetime import timedelta
from random import Random

from libs.workspace import Workspace
from services.router.replay.history import Answer, History, Item, Response

LEAST_SAMPLES = 20
"""Work of one level from which its factor is believed."""
SHORTEST = timedelta(seconds=1)
"""A duration shorter than this counts as so long: its logarithm would outweigh all others."""
UNKNOWN = timedelta(minutes=5)
"""Handle time where a recording has not one whole conversation."""
AT_ONCE = Response(Answer.ACCEPTED, timedelta(seconds=1))
"""The answer to an offer where a recording has none."""


class Handling:
    """What of a recording holds under any policy. `recorded` is the workspace under which it was made."""

    def __init__(self, history: History, recorded: Workspace, seed: int) -> None:
        self._history, self._recorded, self._seed = history, recorded, seed
        items = history.items.values()
        self._known: dict[str, list[timedelta]] = {}
        for item in items:
            if item.handled is not None:
                self._known.setdefault(item.request.queue, []).append(item.handled)
        self._all = [handled for of_queue in self._known.values() for handled in of_queue]
        self.factors = level_factors(
            (level, item.handled)
            for item in items
            if item.handled is not None
            and item.agent_id is not None
            and (level := self._level(recorded, item, item.agent_id)) is not None
        )
        """By level: handle time against the mean of all, geometric."""
        self.mean_patience = patience(items)
        self._answers = [r for of_agent in history.responses.values() for r in of_agent]

    def time(self, item: Item, agent_id: str, workspace: Workspace) -> timedelta:
        """How long the agent has the conversation: as recorded, scaled where their level is another than that of who had it.

        Work that was never handled to its end takes as long as some of its queue did.
        """
        if item.handled is not None and item.agent_id is not None:
            before = self._factor(self._level(self._recorded, item, item.agent_id))
            return item.handled * (self._factor(self._level(workspace, item, agent_id)) / before)
        known = self._known.get(item.request.queue) or self._all
        return self._draw(item, "work").choice(known) if known else UNKNOWN

    def answer(self, item: Item, agent_id: str, reservation_id: str) -> Response:
        """One of the agent's recorded answers to offers, or of anybody's where there is none of theirs."""
        answers = self._history.responses.get(agent_id) or self._answers
        return self._draw(item, agent_id, reservation_id).choice(answers) if answers else AT_ONCE

    def leaves_after(self, item: Item) -> timedelta | None:
        """How long the customer waits for an agent; None: for ever.

        Who gave up waits as long as they did. Who was answered would have waited so long, and then exponentially with
        the mean that fits the recording (time waited over customers who gave up); nobody gives up where nobody did.
        """
        if item.given_up and item.ended_at is not None:
            return item.ended_at - item.request.requested_at
        if self.mean_patience is None or item.assigned_at is None:
            return None
        longer = self._draw(item, "patience").expovariate(1 / self.mean_patience.total_seconds())
        return item.assigned_at - item.request.requested_at + timedelta(seconds=longer)

    def _factor(self, level: int | None) -> float:
        return 1.0 if level is None else self.factors.get(level, 1.0)

    def _level(self, workspace: Workspace, item: Item, agent_id: str) -> int | None:
        """The lowest level of the agent in what the item asks for; None where it asks for nothing, or the agent is unknown."""
        agent = workspace.agents.get(agent_id)
        if agent is None or not item.request.skills:
            return None
        return min(agent.skills.get(skill, 0) for skill in item.request.skills)

    def _draw(self, item: Item, *names: str) -> Random:
        return Random("/".join((str(self._seed), item.request.work_item_id, *names)))


def level_factors(handled: Iterable[tuple[int, timedelta]]) -> Mapping[int, float]:
    """Geometric mean of the times at each level over that of all; levels with too few are left out."""
    logs: dict[int, list[float]] = {}
    for level, time in handled:
        logs.setdefault(level, []).append(math.log(max(time, SHORTEST).total_seconds()))
    every = [value for of_level in logs.values() for value in of_level]
    return {
        level: math.exp(statistics.fmean(of_level) - statistics.fmean(every))
        for level, of_level in sorted(logs.items())
        if len(of_level) >= LEAST_SAMPLES
    }


def patience(items: Iterable[Item]) -> timedelta | None:
    """The mean of the exponential patience that fits best (maximum likelihood with answers as censoring); None if nobody gave up."""
    waited, gave_up = timedelta(0), 0
    for item in items:
        end = item.ended_at if item.given_up else item.assigned_at
        if end is not None:
            waited += max(timedelta(0), end - item.request.requested_at)
            gave_up += item.given_up
    return waited / gave_up if gave_up and waited else None
