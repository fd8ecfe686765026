"""This file holds a work item and the moves it can make.

               ┌────────────── return ◀────────────────────────────┐
               ▼                                                   │
(requested) queued ── offer ──▶ offered ── assign ──▶ assigned ──wrap──▶ wrapping ── complete ──▶ completed
               │ ▲                 │                   ▲  │ └───────────── complete ────────────────▲
               │ └──── return ─────┘                   │  └─ assign (by force, to another agent)
               │ └───────────── assign (auto-accept or force) ─┘
               └── cancel ──▶ cancelled
"""

from collections.abc import Mapping
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
        (WorkState.OFFERED, Move.ASSIGN): WorkState.ASSIGNED,
        (WorkState.OFFERED, Move.RETURN): WorkState.QUEUED,
        (WorkState.ASSIGNED, Move.ASSIGN): WorkState.ASSIGNED,
        (WorkState.ASSIGNED, Move.RETURN): WorkState.QUEUED,
        (WorkState.ASSIGNED, Move.WRAP): WorkState.WRAPPING,
        (WorkState.ASSIGNED, Move.COMPLETE): WorkState.COMPLETED,
        (WorkState.WRAPPING, Move.COMPLETE): WorkState.COMPLETED,
    }
)

ENDED = frozenset({WorkState.COMPLETED, WorkState.CANCELLED})
TAKES_CAPACITY = frozenset({WorkState.OFFERED, WorkState.ASSIGNED, WorkState.WRAPPING})


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
    """To whom it is offered, or who holds it."""
    reservation_id: str | None = None
    offers: int = 0
    offer_turn: int = 0
    """The engine's turn number of the latest offer: places its agent in the idle order while the offer stands."""
    expires_at: datetime | None = None
    wrap_until: datetime | None = None
    assigned_at: datetime | None = None
    """Since when the agent holds it."""
    step: int = 0
    """How many of its queue's relaxations hold."""
    preferred_skills: dict[str, int] | None = None
    """Skills with levels that come before the pick's order, and are not insisted on."""
    declined: dict[str, datetime] | None = None
    """Agent -> when they turned it down; an entry goes when the decline memory lapses."""

    def not_for(self, agent_id: str) -> bool:
        """Whether this one item, whatever the agent's skills and room, must not go to the agent now."""
        if self.only_agent_id is not None and self.only_agent_id != agent_id:
            return True
        return agent_id in self.excluded_agent_ids or (
            self.declined is not None and agent_id in self.declined
        )
