"""This file lives a recording again under a workspace that may be another: the router's own flow decides, customers and agents
do what they did.

    recorded: requests, deadlines, presence ─▶ flow ─▶ offers ─▶ recorded answers ─▶ assignments ─▶ recorded handle times ─▶ flow

Allocation hooks are asked nothing: what they answered to the same ask counts, at once; where that is not recorded they have no
opinion. Who still waits when the recording ends is waited for as long again; whoever is there then stays. Not taken over: forced
assignments. Agents whom the recording does not have never come.
"""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import assert_never

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.assignments import (
    ReservationOffered,
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkReprioritised,
    WorkWithdrawn,
    WorkWrapping,
)
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.commands import (
    AcceptReservation,
    CompleteWork,
    DeclineReservation,
    Heartbeat,
    SetPresence,
)
from libs.contracts.payloads.lending import LendingEvent
from libs.contracts.topics import topic_of_type
from libs.contracts.vocabulary import Presence
from libs.flow.batch import handlers_of
from libs.workspace import Workspace
from services.router.assignment.flow import flow as assignment_flow
from services.router.replay.answers import NO_OPINION, heard
from services.router.replay.handling import Handling
from services.router.replay.history import Answer, History, Item
from services.router.replay.turn import Made, Turning

SOURCE = "/what-if"


class WhatIf:
    """One run: `WhatIf(history, handling, workspace).run()`."""

    def __init__(self, history: History, handling: Handling, workspace: Workspace) -> None:
        self._history, self._handling, self._workspace = history, handling, workspace
        flow = assignment_flow(workspace)
        self._handlers = handlers_of(flow)
        self._turn = Turning(flow, 0, history.begins)
        self._numbers = count(1)
        self._due: list[tuple[datetime, int, str, Payload]] = []
        """(when, number, pool, what)"""
        self._after: dict[str, Item] = {}
        """Work item -> the one of the same conversation that can only begin when it has ended."""
        self._held: set[str] = set()
        self._settled: set[str] = set()
        """Work that somebody has had, or that was given up."""
        self._made: list[Made] = []

    def run(self, advance: Callable[[int, int], object] | None = None) -> list[Made]:
        """All that the flow emits. `advance` is told inputs handled, of how many known."""
        for event in self._history.presence:
            self._schedule(event.envelope.time, event.key, event.data)
        self._schedule_requests()
        begins, ends = self._history.begins, self._history.ends
        handled = self._live_until(ends, 0, advance)
        for pool, agent_id in self._present():
            self._schedule(ends, pool, Heartbeat(agent_id=agent_id, pool=pool))
        self._live_until(ends + (ends - begins), handled, advance)
        return self._made

    def _live_until(self, end: datetime, handled: int, advance: Callable[[int, int], object] | None) -> int:
        while self._due and (at := self._due[0][0]) <= end:
            if at > self._history.ends and len(self._settled) == len(self._history.items):
                break
            if self._fire_before(at):
                continue
            _, _, pool, what = heapq.heappop(self._due)
            self._handle(at, pool, what)
            if at >= self._history.ends and isinstance(what, Heartbeat):
                lease = self._workspace.pools[pool].presence_lease
                self._schedule(at + lease / 3, pool, what)
            handled += 1
            if advance is not None:
                advance(handled, handled + len(self._due))
        return handled

    def _present(self) -> list[tuple[str, str]]:
        """(pool, agent) of all who are there now."""
        engines = self._turn.store.engines
        return [
            (pool, agent.agent_id)
            for pool, engine in sorted(engines.items())
            for agent in engine.book.agents.values()
            if agent.connected and pool in self._workspace.pools
        ]

    # -- what is known beforehand -------------------------------------------------------------------------------------

    def _schedule_requests(self) -> None:
        by_conversation: dict[str, list[Item]] = {}
        for item in self._history.items.values():
            by_conversation.setdefault(item.request.conversation_id, []).append(item)
        for items in by_conversation.values():
            items.sort(key=lambda item: (_asked(item), item.request.work_item_id))
            self._request(items[0], _asked(items[0]))
            for earlier, later in pairwise(items):
                self._after[earlier.request.work_item_id] = later

    def _request(self, item: Item, at: datetime) -> None:
        """The request with all that follows from it whatever is decided; `at` may be later than it was recorded."""
        request, late = item.request, at - _asked(item)
        pool = request.pool
        moved = {"requested_at": request.requested_at + late, "due_at": _later(request.due_at, late)}
        self._schedule(at, pool, request.model_copy(update=moved))
        for event in item.reprioritised:
            asked = event.data
            assert isinstance(asked, WorkReprioritised)
            moved = {"occurred_at": asked.occurred_at + late, "due_at": _later(asked.due_at, late)}
            self._schedule(event.envelope.time + late, pool, asked.model_copy(update=moved))
        patience = self._handling.leaves_after(item)
        if patience is not None:
            gone_at = max(at, request.requested_at + late + patience)
            self._schedule(gone_at, pool, _withdrawal(item, gone_at, "abandoned", wrap_up=False))

    # -- what follows from decisions ----------------------------------------------------------------------------------

    def _follow(self, fact: Payload) -> None:
        match fact:
            case LendingEvent():
                self._schedule(self._turn.now, fact.pool, fact)
            case ReservationOffered():
                self._answer(fact)
            case WorkAssigned():
                self._held.add(fact.work_item_id)
                self._settled.add(fact.work_item_id)
                self._resolve(fact)
            case WorkWrapping():
                item = self._history.items[fact.work_item_id]
                if item.completed_by_agent and item.wrapped is not None:
                    done = CompleteWork(
                        agent_id=fact.agent_id, pool=fact.pool, work_item_id=fact.work_item_id
                    )
                    self._schedule(fact.occurred_at + item.wrapped, fact.pool, done)
            case WorkCompleted() | WorkCancelled():
                self._settled.add(fact.work_item_id)
                later = self._after.pop(fact.work_item_id, None)
                if later is not None:
                    self._request(later, max(_asked(later), fact.occurred_at))

    def _answer(self, offer: ReservationOffered) -> None:
        item = self._history.items[offer.work_item_id]
        said = self._handling.answer(item, offer.agent_id, offer.reservation_id)
        pool, agent_id, name = offer.pool, offer.agent_id, offer.reservation_id
        answer: Payload
        match said.answer:
            case Answer.ACCEPTED:
                answer = AcceptReservation(agent_id=agent_id, pool=pool, reservation_id=name)
            case Answer.DECLINED:
                answer = DeclineReservation(
                    agent_id=agent_id, pool=pool, reservation_id=name, reason=said.reason
                )
            case Answer.MISSED:
                answer = SetPresence(agent_id=agent_id, pool=pool, presence=Presence.AVAILABLE)
            case _:
                assert_never(said.answer)
        self._schedule(offer.occurred_at + said.after, pool, answer)

    def _resolve(self, assigned: WorkAssigned) -> None:
        item = self._history.items[assigned.work_item_id]
        ends_at = assigned.occurred_at + self._handling.time(item, assigned.agent_id, self._workspace)
        wrap_up = item.withdraw.wrap_up if item.withdraw is not None else False
        reason = item.withdraw.reason if item.withdraw is not None else "resolved"
        self._schedule(ends_at, item.request.pool, _withdrawal(item, ends_at, reason, wrap_up=wrap_up))

    # -- the course of time -------------------------------------------------------------------------------------------

    def _schedule(self, at: datetime, pool: str, what: Payload) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), pool, what))

    def _fire_before(self, moment: datetime) -> bool:
        """The reminder that is due first, if it is due by then: what follows from it may come before anything known now."""
        turn = self._turn
        if (due := turn.next_due()) is None or due > moment:
            return False
        turn.fire(max(due, turn.now))
        self._take()
        return True

    def _handle(self, at: datetime, pool: str, what: Payload) -> None:
        if isinstance(what, WorkWithdrawn) and what.reason == "abandoned" and what.work_item_id in self._held:
            return  # somebody answered before the customer's patience ended
        turn, number = self._turn, next(self._numbers)
        turn.now = max(turn.now, at)
        event = Event(Envelope(str(number), SOURCE, what.type, at), what, pool)
        self._handlers[topic_of_type()[what.type].name, what.type](turn, event)
        turn.store.committed()
        self._take()

    def _take(self) -> None:
        turn = self._turn
        while turn.asked:
            asked = turn.asked.pop(0)
            said = self._history.items[asked.work_item_id].answers.get(asked.ask)
            turn.answer(asked, heard(said) if said is not None else NO_OPINION)
        made, turn.made = turn.made, []
        self._made += made
        for one in made:
            self._follow(one.payload)


def _asked(item: Item) -> datetime:
    return item.request_event.envelope.time


def _later(at: datetime | None, by: timedelta) -> datetime | None:
    return at + by if at is not None else None


def _withdrawal(item: Item, at: datetime, reason: str, *, wrap_up: bool) -> WorkWithdrawn:
    request = item.request
    return WorkWithdrawn(
        work_item_id=request.work_item_id,
        conversation_id=request.conversation_id,
        contact_point_id=request.contact_point_id,
        pool=request.pool,
        reason=reason,
        wrap_up=wrap_up,
        occurred_at=at,
    )
