"""This file drives several pools by hand: each a lane of the router's flow, what they say to each other delivered when the test says so."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.contracts.envelope import Envelope, Event, decode_payload, encode_value
from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationOffered,
    WorkCancelled,
    WorkCompleted,
    WorkEscalated,
    WorkEvent,
    WorkFellSilent,
    WorkReprioritised,
    WorkRequested,
    WorkResumed,
    WorkWithdrawn,
)
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.commands import (
    AcceptReservation,
    DeclineReservation,
    ForceAssign,
    Heartbeat,
    SetPresence,
)
from libs.contracts.payloads.lending import LendingEvent, WorkGranted, WorkReturned
from libs.contracts.topics import topic_of_type
from libs.contracts.vocabulary import Channel, Presence, WorkState
from libs.flow.batch import handlers_of
from libs.workspace import Agent, Pool, Queue, Relaxation, Workspace
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.loans import joined
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.flow import flow
from services.router.replay.turn import Turning

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

HOME, OTHER, THIRD = "billing", "sales", "phone"
"""Billing and phone are pools of one lane."""


def workspace(**pool: Any) -> Workspace:
    """Billing is joined by sales after a minute, and by phone after two; sales by billing after a minute."""
    steps = (Relaxation(MINUTE, {"refund": 1}, pools=(OTHER,)), Relaxation(2 * MINUTE, pools=(THIRD,)))
    values: dict[str, Any] = {"presence_lease": DAY, "missed": "stay", **pool}
    return Workspace(
        id="test",
        version="v1",
        pools={name: Pool(name, **values) for name in (HOME, OTHER, THIRD)},
        queues={
            "invoices": Queue("invoices", HOME, relax=steps, wrap_up=MINUTE),
            "orders": Queue("orders", OTHER, relax=(Relaxation(MINUTE, pools=(HOME,)),)),
            "returns": Queue("returns", THIRD),
        },
        agents={
            "ayu": Agent("ayu", "Ayu", HOME, {"refund": 3}, ("invoices",), 1),
            "budi": Agent("budi", "Budi", HOME, {}, ("invoices",), 2),
            "citra": Agent("citra", "Citra", OTHER, {"refund": 1}, ("orders",), 1),
            "dewi": Agent("dewi", "Dewi", OTHER, {"refund": 2}, ("orders",), 2),
            "eka": Agent("eka", "Eka", THIRD, {"refund": 5}, ("returns",), 1),
            "hendra": Agent("hendra", "Hendra", HOME, capacity=0, role="supervisor"),
        },
    )


class Pools:
    """`violations` is to be asked after each deed; `deliver` lets one pool hear the next that another said to it."""

    def __init__(self, of: Workspace | None = None) -> None:
        self.workspace = of or workspace()
        made = flow(self.workspace)
        self._handlers = handlers_of(made)
        self.now = START
        self.lanes = {name: Turning(made, lane, START) for lane, name in enumerate(self.workspace.pools)}
        self.mail: dict[tuple[str, str], deque[LendingEvent]] = {}
        self.said: list[LendingEvent] = []
        self.facts: list[WorkEvent] = []
        self.agents: list[AgentChanged] = []
        self.living: set[str] = set()
        self._numbers = 0

    # -- what happens -------------------------------------------------------------------------------------------------

    def give(self, payload: Payload, pool: str) -> list[WorkEvent]:
        """One event, over the wire's form; the facts that follow."""
        self._numbers += 1
        again = decode_payload(payload.type, encode_value(payload))
        event = Event(Envelope(str(self._numbers), "/test", payload.type, self.now), again, pool)
        lane = self.lanes[pool]
        lane.now = self.now
        self._handlers[topic_of_type()[payload.type].name, payload.type](lane, event)
        lane.store.committed()
        return self._take(lane)

    def _take(self, lane: Turning) -> list[WorkEvent]:
        made, lane.made = lane.made, []
        facts = []
        for _, payload, _ in made:
            if isinstance(payload, LendingEvent):
                self.mail.setdefault((payload.from_pool, payload.pool), deque()).append(payload)
                self.said.append(payload)
            elif isinstance(payload, AgentChanged):
                self.agents.append(payload)
            elif isinstance(payload, WorkEvent):
                facts.append(payload)
                if isinstance(payload, WorkCompleted | WorkCancelled):
                    self.living.discard(payload.work_item_id)
        self.facts += facts
        return facts

    def deliver(self, sender: str, to: str, count: int = 1) -> list[WorkEvent]:
        facts = []
        for _ in range(count):
            facts += self.give(self.mail[sender, to].popleft(), to)
        return facts

    def deliver_all(self) -> list[WorkEvent]:
        """Everything, with what is said in answer, until nothing is under way."""
        facts, heard = [], 0
        while waiting := [way for way, letters in self.mail.items() if letters]:
            facts += self.deliver(*waiting[0])
            heard += 1
            assert heard < 1_000, "pools talk without end"
        return facts

    def under_way(self) -> list[str]:
        return [
            f"{letter.type.split('.')[1]} {letter.from_pool}>{letter.pool}"
            for letters in self.mail.values()
            for letter in letters
        ]

    def advance(self, by: timedelta) -> list[WorkEvent]:
        """Time goes on, timers fire in the order in which they are due."""
        end, facts = self.now + by, []
        while True:
            due = [(at, name) for name, lane in self.lanes.items() if (at := lane.next_due()) is not None]
            first = min(due, default=None)
            if first is None or first[0] > end:
                break
            self.now = max(self.now, first[0])
            lane = self.lanes[first[1]]
            lane.fire(self.now)
            facts += self._take(lane)
        self.now = end
        return facts

    def restart(self, pool: str) -> None:
        """Memory is lost; the rows are there."""
        self.lanes[pool].reopen()

    # -- short forms --------------------------------------------------------------------------------------------------

    def request(self, name: str, queue: str = "invoices", **values: Any) -> list[WorkEvent]:
        pool = self.workspace.queues[queue].pool
        asked = WorkRequested(
            **{
                "work_item_id": name,
                "conversation_id": f"cnv_{name}",
                "contact_point_id": f"cpt_{name}",
                "pool": pool,
                "queue": queue,
                "channel": Channel.WHATSAPP,
                "requested_at": self.now,
                **values,
            }
        )
        self.living.add(name)
        return self.give(asked, pool)

    def waits(self, name: str, **values: Any) -> None:
        """Has waited for a minute in billing, where nobody is there; sales has heard of it."""
        self.request(name, **values)
        self.advance(MINUTE)
        self.deliver(HOME, OTHER)

    def _about(self, name: str) -> dict[str, Any]:
        return {
            "work_item_id": name,
            "conversation_id": f"cnv_{name}",
            "contact_point_id": f"cpt_{name}",
            "occurred_at": self.now,
        }

    def withdraw(
        self, name: str, pool: str = HOME, reason: str = "resolved", *, wrap_up: bool = False
    ) -> list[WorkEvent]:
        asked = WorkWithdrawn(**self._about(name), pool=pool, reason=reason, wrap_up=wrap_up)
        return self.give(asked, pool)

    def reprioritise(self, name: str, priority: int, pool: str = HOME) -> list[WorkEvent]:
        asked = WorkReprioritised(work_item_id=name, pool=pool, priority=priority, occurred_at=self.now)
        return self.give(asked, pool)

    def silent(self, name: str, agent_id: str, pool: str = HOME) -> list[WorkEvent]:
        asked = WorkFellSilent(**self._about(name), pool=pool, agent_id=agent_id, since=self.now)
        return self.give(asked, pool)

    def resume(self, name: str, pool: str = HOME) -> list[WorkEvent]:
        return self.give(WorkResumed(**self._about(name), pool=pool), pool)

    def escalate(self, name: str, agent_id: str, pool: str = HOME) -> list[WorkEvent]:
        asked = WorkEscalated(
            work_item_id=name, pool=pool, agent_id=agent_id, policy="gold", occurred_at=self.now
        )
        return self.give(asked, pool)

    def force(self, name: str, agent_id: str, pool: str = HOME) -> list[WorkEvent]:
        return self.give(
            ForceAssign(agent_id=agent_id, pool=pool, work_item_id=name, ordered_by="hendra"), pool
        )

    def presence(self, agent_id: str, presence: Presence = Presence.AVAILABLE) -> list[WorkEvent]:
        pool = self.workspace.agents[agent_id].pool
        return self.give(SetPresence(agent_id=agent_id, pool=pool, presence=presence), pool)

    def heartbeat(self, agent_id: str) -> list[WorkEvent]:
        pool = self.workspace.agents[agent_id].pool
        return self.give(Heartbeat(agent_id=agent_id, pool=pool), pool)

    def accept(self, offer: ReservationOffered) -> list[WorkEvent]:
        pool = offer.pool
        return self.give(
            AcceptReservation(agent_id=offer.agent_id, pool=pool, reservation_id=offer.reservation_id), pool
        )

    def decline(self, offer: ReservationOffered) -> list[WorkEvent]:
        pool = offer.pool
        return self.give(
            DeclineReservation(agent_id=offer.agent_id, pool=pool, reservation_id=offer.reservation_id), pool
        )

    # -- what is so ---------------------------------------------------------------------------------------------------

    def engine(self, pool: str) -> Engine:
        return self.lanes[pool].store.engine(pool)

    def item(self, name: str, pool: str) -> WorkItem | None:
        return self.engine(pool).book.items.get(name)

    def where(self, name: str) -> tuple[str, str, str | None]:
        """(pool that decides, state, agent) of an item that exactly one pool decides about."""
        (found,) = (
            (pool, item)
            for pool in self.lanes
            if (item := self.item(name, pool)) is not None and not item.foreign
        )
        pool, item = found
        to = item.agent_id or next((r.agent_id for r in item.reservations), None)
        return pool, str(item.state), to

    def load(self, agent_id: str) -> int:
        return self.engine(self.workspace.agents[agent_id].pool).book.load(agent_id)

    def words(self) -> list[str]:
        """What pools said so far, in short: `lent billing>sales`."""
        return [f"{s.type.split('.')[1]} {s.from_pool}>{s.pool}" for s in self.said]

    def violations(self) -> list[str]:
        """What no reader could believe, at any moment of any delivery."""
        found = [text for pool in self.lanes for text in self.engine(pool).check()]
        versions: dict[str, int] = {}
        for fact in self.facts:
            if fact.version != versions.get(fact.work_item_id, 0) + 1:
                found.append(f"{fact.type} of {fact.work_item_id} has version {fact.version}")
            versions[fact.work_item_id] = fact.version
        moving = [
            letter.work_item_id
            for letters in self.mail.values()
            for letter in letters
            if isinstance(letter, WorkGranted | WorkReturned)
        ]
        names = {i for pool in self.lanes for i in self.engine(pool).book.items} | self.living
        for name in sorted(names):
            items = [item for pool in self.lanes if (item := self.item(name, pool)) is not None]
            deciding = sum(not item.foreign for item in items) + moving.count(name)
            if deciding != (name in self.living):
                found.append(f"{name} is decided about in {deciding} places, living: {name in self.living}")
            holders = [i.agent_id or i.reservations for i in items if not i.foreign]
            if sum(map(bool, holders)) > 1:
                found.append(f"{name} is held twice: {holders}")
        return found

    def at_rest(self) -> list[str]:
        """With nothing under way: what is lent is known where it is lent, what is away is there, and no claim is open."""
        found = list(self.under_way())
        for pool in self.lanes:
            for item in self.engine(pool).book.items.values():
                name = item.work_item_id
                told = joined(self.engine(pool).book.policy, item)
                if tuple(item.lent or ()) != told:
                    found.append(f"{name} is for {told}, and lent to {item.lent}")
                if item.state is WorkState.CLAIMED:
                    found.append(f"{name} is claimed by {pool}")
                if item.away is not None and (
                    (there := self.item(name, item.away)) is None or there.foreign or there.home != pool
                ):
                    found.append(f"{name} of {pool} is not in {item.away}")
                if item.loan and (
                    (origin := self.item(name, str(item.home))) is None
                    or (origin.lent or {}).get(pool) != item.loan
                ):
                    found.append(f"{name} is a guest in {pool}, not lent by {item.home}")
                for to, number in (item.lent or {}).items():
                    guest = self.item(name, to)
                    if guest is None or guest.loan != number or guest.priority != item.priority:
                        found.append(f"{name} of {pool} is lent to {to}, where it is {guest}")
        return found
