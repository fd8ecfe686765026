"""This file is a work item as agents see it: who has it or is offered it, until it ends.

queued ─ offered ─▶ offered ─ assigned ─▶ assigned ─ wrapping ─▶ wrapping
   ▲                   │                      │
   └─ declined, expired, rescinded, queued ◀──┘          completed, cancelled: from anywhere, the item is gone
"""

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import WorkState

HELD = (WorkState.ASSIGNED, WorkState.WRAPPING)


@dataclass(frozen=True, slots=True)
class Work:
    """One row of work_view: a live work item and, while it is offered, its reservation."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    queue: str
    version: int
    state: WorkState
    changed_at: datetime
    agent_id: str | None = None
    """Who is offered the item or holds it."""
    reservation_id: str | None = None
    expires_at: datetime | None = None
    """When the offer lapses."""
    waiting_since: datetime | None = None
    wrap_up_until: datetime | None = None
    forced_by: str | None = None


def granted(before: Work | None, after: Work | None) -> str | None:
    """The agent who can see the conversation from now on because of this change, if there is one."""
    agent = after.agent_id if after else None
    return agent if agent != (before.agent_id if before else None) else None


def concerned(before: Work | None, after: Work | None) -> tuple[str, ...]:
    """The agents to whom a change of this item matters: who had it and who has it now."""
    return tuple(dict.fromkeys(w.agent_id for w in (before, after) if w is not None and w.agent_id))
