"""This file is the Turn under which the router's own handlers run again: what they emit is kept, what they want to be reminded of waits."""

import heapq
from datetime import datetime
from typing import NamedTuple

from libs.contracts.payloads.base import Payload
from libs.flow.flow import Effect, Fired, Flow, Performed, Timer
from services.router.assignment.effects import AskHook, Heard
from services.router.assignment.store import AssignmentStore
from services.router.replay.rows import LaneRows


class Made(NamedTuple):
    """An event that a handler emitted."""

    key: str
    payload: Payload
    at: datetime


class Reminder(NamedTuple):
    id: str
    key: str
    due: datetime
    timer: Timer
    cause: str


class Turning:
    """One lane of the flow `assignment` without kernel, broker or database. The caller says what is handled, and when it is now."""

    def __init__(self, flow: Flow, lane: int, now: datetime) -> None:
        store = flow.store(lane)
        assert isinstance(store, AssignmentStore)
        self.flow, self.lane, self.store, self.now = flow, lane, store, now
        self.made: list[Made] = []
        self.cause = ""
        """Name of the event that is handled, or that set the timer that is."""
        self.asked: list[AskHook] = []
        """What allocation hooks were to be asked."""
        self._reminders: dict[str, Reminder] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._handlers = {kind.name: handler for kind, handler in flow.timers.items()}

    def adopt(self, rows: LaneRows) -> None:
        """Go on from what the tables held."""
        for item in rows.items:
            (self.store.foreign if item.foreign else self.store.work_items).adopt(item)
        for agent in rows.agents:
            self.store.agents.adopt(agent)
        self.store.build()
        kinds = {kind.name: kind for kind in self.flow.timers}
        for row in rows.timers:
            self.cause = row.cause
            timer = kinds[row.name].model_validate_json(row.body)
            self.set_timer(timer, id=row.id, key=row.key, due=row.due)

    # -- what handlers may do -----------------------------------------------------------------------------------------

    def emit(self, payload: Payload, *, key: str, at: datetime, correlation: str = "") -> None:  # noqa: ARG002
        self.made.append(Made(key, payload, at))

    def set_timer(self, timer: Timer, *, id: str, key: str, due: datetime) -> None:
        self._reminders[id] = Reminder(id, key, due, timer, self.cause)
        heapq.heappush(self._heap, (due, id))

    def cancel_timer(self, id: str) -> None:
        self._reminders.pop(id, None)

    def perform(self, effect: Effect, *, id: str, key: str) -> None:  # noqa: ARG002
        """Nobody is asked: the caller knows the answer, or that there was none."""
        if not isinstance(effect, AskHook):
            raise NotImplementedError(f"the replay performs no effects: {effect.name}")
        self.asked.append(effect)

    # -- what the replay does -----------------------------------------------------------------------------------------

    def next_due(self) -> datetime | None:
        while self._heap:
            due, name = self._heap[0]
            reminder = self._reminders.get(name)
            if reminder is not None and reminder.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def next_cause(self) -> str | None:
        """What set the reminder that is due first."""
        return self._reminders[self._heap[0][1]].cause if self.next_due() is not None else None

    def fire(self, now: datetime) -> bool:
        """Handle the reminder that is due first; False where there is none."""
        if self.next_due() is None:
            return False
        _, name = heapq.heappop(self._heap)
        reminder = self._reminders.pop(name)
        self.now, self.cause = now, reminder.cause
        self._handlers[reminder.timer.name](self, Fired(name, reminder.key, reminder.due, reminder.timer))
        self.store.committed()
        return True

    def answer(self, asked: AskHook, heard: Heard) -> None:
        """Let an allocation hook have answered now."""
        performed = Performed(f"hook/{asked.id}", asked.work_item_id, asked, heard)
        self.flow.results[AskHook](self, performed)
        self.store.committed()

    def reopen(self) -> None:
        """The lane's rows were read anew: what was in memory alone is gone."""
        self.store.build()
