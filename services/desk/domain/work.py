"""This file is a work item as agents see it: who has it or is offered it, until it ends.

queued ─ offered ─▶ offered ─ assigned ─▶ assigned ─ wrapping ─▶ wrapping
   ▲                   │                      │ ▲
   │    the last offer ended                  │ └── offered, declined, …: another is consulted, the holder keeps it
   └───────────────────┴────── queued ◀───────┘          completed, cancelled: from anywhere, the item is gone
"""

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import WorkState

HELD = (WorkState.ASSIGNED, WorkState.WRAPPING)


@dataclass(frozen=True, slots=True)
class Offer:
    """A reservation that stands."""

    reservation_id: str
    agent_id: str
    expires_at: datetime | None = None
    """When it lapses."""


@dataclass(frozen=True, slots=True)
class Work:
    """One row of work_view: a live work item and the offers of it that stand."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    queue: str
    version: int
    state: WorkState
    changed_at: datetime
    agent_id: str | None = None
    """Who holds the item; while nobody does, to whom it was offered first."""
    reservation_id: str | None = None
    expires_at: datetime | None = None
    """Of the first standing offer."""
    offers: tuple[Offer, ...] = ()
    """All that stand, the first one first."""
    waiting_since: datetime | None = None
    wrap_up_until: datetime | None = None
    forced_by: str | None = None
    idle: bool = False
    """Held, and so long without a message that it takes no capacity."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Who holds it and to whom it is offered."""
        offered = (offer.agent_id for offer in self.offers)
        return tuple(dict.fromkeys((*((self.agent_id,) if self.agent_id else ()), *offered)))

    def offer_to(self, agent_id: str) -> Offer | None:
        """The offer to this agent that stands."""
        return next((offer for offer in self.offers if offer.agent_id == agent_id), None)


def granted(before: Work | None, after: Work | None) -> str | None:
    """The agent who can see the conversation from now on because of this change, if there is one."""
    known = before.agents if before else ()
    return next((agent for agent in (after.agents if after else ()) if agent not in known), None)


def concerned(before: Work | None, after: Work | None) -> tuple[str, ...]:
    """The agents to whom a change of this item matters: who had it or was offered it, and who has it or is offered it now."""
    return tuple(dict.fromkeys(agent for w in (before, after) if w is not None for agent in w.agents))
