"""This file holds a work item, the offers of it that stand, and the moves it can make.

               ┌────────────── return ◀────────────────────────────┐
               ▼                                                   │
(requested) queued ── offer ──▶ offered ── assign ──▶ assigned ──wrap──▶ wrapping ── complete ──▶ completed
               │ ▲               │   ▲ │               ▲  │ └───────────── complete ────────────────▲
               │ │               │   └─┘ offer         │  ├─ assign (a consulted agent accepts, or by force)
               │ └──── return ───┘ (the last one ends) │  └─ offer (a consultation: the holder keeps it)
               │ └───────────── assign (auto-accept, taken by the agent, or force) ─┘
               └── cancel ──▶ cancelled

A queued item whose allocation hook is asked (`hook_until`) is in its place like any other, and is matched with nobody until then.
Two states are no moves of the work, but of who decides about it (lending.py): `claimed` of a guest, and `away`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from types import MappingProxyType

from libs.contracts.vocabulary import Channel, WorkState


class Move(Enum):
    OFFER = "offer"
    RETURN = "return"
    ASSIGN = "assign"
    WRAP = "wrap"
    COMPLETE = "complete"
    CANCEL = "cancel"


TRANSITIONS: Mapping[tuple[WorkState, Move], WorkState] = MappingProxyType(
    {
        (WorkState.QUEUED, Move.OFFER): WorkState.OFFERED,
        (WorkState.QUEUED, Move.ASSIGN): WorkState.ASSIGNED,
        (WorkState.QUEUED, Move.CANCEL): WorkState.CANCELLED,
        (WorkState.OFFERED, Move.OFFER): WorkState.OFFERED,
        (WorkState.OFFERED, Move.ASSIGN): WorkState.ASSIGNED,
        (WorkState.OFFERED, Move.RETURN): WorkState.QUEUED,
        (WorkState.ASSIGNED, Move.OFFER): WorkState.ASSIGNED,
        (WorkState.ASSIGNED, Move.ASSIGN): WorkState.ASSIGNED,
        (WorkState.ASSIGNED, Move.RETURN): WorkState.QUEUED,
        (WorkState.ASSIGNED, Move.WRAP): WorkState.WRAPPING,
        (WorkState.ASSIGNED, Move.COMPLETE): WorkState.COMPLETED,
        (WorkState.WRAPPING, Move.COMPLETE): WorkState.COMPLETED,
    }
)

ENDED = frozenset({WorkState.COMPLETED, WorkState.CANCELLED})
HELD = frozenset({WorkState.ASSIGNED, WorkState.WRAPPING})


@dataclass(frozen=True, slots=True)
class Reservation:
    """An offer that stands: one work item, one agent, until it is accepted, declined, expires or is rescinded."""

    reservation_id: str
    agent_id: str
    expires_at: datetime
    turn: int
    """The engine's turn number of the offer: places its agent in the idle order while the offer stands."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A conversation's claim on attention while it lives; also a row of the table `work_item`."""

    work_item_id: str
    lane: int
    """The lane whose engine holds it; carried for the table, never a part of a decision."""
    pool: str
    conversation_id: str
    contact_point_id: str
    queue: str
    channel: Channel
    skills: dict[str, int]
    units: int
    """Capacity it takes, fixed when it was requested, so that a change of costs never upsets a load."""
    priority: int
    due_at: datetime | None
    last_agent_id: str | None
    only_agent_id: str | None
    excluded_agent_ids: tuple[str, ...]
    waiting_since: datetime
    """When the customer began to wait; survives every return to the queue."""
    state: WorkState
    version: int
    changed_at: datetime
    agent_id: str | None = None
    """Who holds it."""
    reservations: tuple[Reservation, ...] = ()
    """Offers that stand, the oldest first; of a held item those are consultations."""
    offers: int = 0
    """How many there were."""
    released: bool = False
    """The holder's units are free: the conversation is idle, or its wrap-up takes none."""
    wrap_until: datetime | None = None
    assigned_at: datetime | None = None
    """Since when the agent holds it."""
    wake_at: datetime | None = None
    """When the engine asked to be reminded of it while it waits."""
    step: int = 0
    """How many of its queue's relaxations hold."""
    preferred_skills: dict[str, int] | None = None
    """Skills with levels that come before the pick's order, and are not insisted on."""
    vip: bool = False
    raised: int = 0
    """Levels of its priority that it has for being a VIP's."""
    declined: dict[str, datetime] | None = None
    """Agent -> when they turned it down; an entry goes when the decline memory lapses."""
    hook_until: datetime | None = None
    """While it waits for the answer of its allocation hook: until when. Nobody is matched with it meanwhile."""
    hook_asks: int = 0
    """How often the hook was asked."""

    def awaits(self, ask: int) -> bool:
        """Whether the allocation hook's answer to this ask is still wanted."""
        return self.hook_until is not None and self.hook_asks == ask

    home: str | None = None
    """The pool whose work it is, where another pool's agents may take it or have it."""
    loan: int = 0
    """The number of the loan by which a guest is here; 0 for what this pool decides about."""
    lent: dict[str, int] | None = None
    """Pool -> number of the loan by which its agents may claim the item while it waits."""
    away: str | None = None
    """The pool to which it was granted, and which decides about it until it returns."""
    asked: dict[str, str] | None = None
    """What is to be done when it returns: `withdrawn` for a reason, or forced on an `agent_id` as `ordered_by`."""

    def claims(self) -> Iterator[tuple[str, int]]:
        """(agent, units that the item takes of theirs): the holder and everybody to whom it is offered."""
        if self.agent_id is not None:
            yield self.agent_id, 0 if self.released else self.units
        for reservation in self.reservations:
            yield reservation.agent_id, self.units

    @property
    def foreign(self) -> bool:
        """Whether another pool decides about it: a guest, or what was granted."""
        return self.loan > 0 or self.away is not None

    def offer_to(self, agent_id: str) -> Reservation | None:
        """The standing offer to this agent."""
        return next((r for r in self.reservations if r.agent_id == agent_id), None)

    def without(self, reservation_id: str) -> tuple[Reservation, ...]:
        """The standing offers but one."""
        return tuple(r for r in self.reservations if r.reservation_id != reservation_id)

    def barred_for(self, agent_id: str) -> bool:
        """Whether this one item must not be offered to the agent: meant for another, excluded, or declined."""
        if self.only_agent_id is not None and self.only_agent_id != agent_id:
            return True
        return agent_id in self.excluded_agent_ids or (
            self.declined is not None and agent_id in self.declined
        )

    def not_for(self, agent_id: str) -> bool:
        """Whether this one item, whatever the agent's skills and room, must not go to the agent now."""
        if self.barred_for(agent_id) or agent_id == self.agent_id:
            return True
        return bool(self.reservations) and self.offer_to(agent_id) is not None
