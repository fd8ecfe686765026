"""This file holds what is known of an agent besides the work they hold, which the work items say.

offline ── set available/busy/break ──▶ connected (available, busy, break) ── set offline ──▶ offline
                                         │  ▲
                      presence lease lapses │  heartbeat, or any command of theirs: as before
                                         ▼  │
                                        lost (offline; after the grace their work goes back to the queue)

available ── an offer expires ──▶ busy, reason "missed", until they set themselves available
"""

from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import Presence

CONNECTED = frozenset({Presence.AVAILABLE, Presence.BUSY, Presence.BREAK})
"""Presences that rest on a heartbeat lease. An agent who set offline holds none and keeps the work they have."""

REMEMBERED = 8
"""How many ended reservations (and completed work items) of an agent can still be answered for by name."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """One agent of one pool; also a row of the table `agent_state`."""

    pool: str
    agent_id: str
    lane: int
    version: int = 0
    """Grows with each published change. Begins at the second of the first one, so that it also grows when an agent moves to another pool."""
    capacity: int = 0
    """As last published; a change of the workspace is noticed by comparing."""
    listed: bool = True
    """Whether the workspace had this agent in this pool when last seen. The row of one who left is kept for its version."""
    presence: Presence = Presence.OFFLINE
    reason: str | None = None
    since: datetime | None = None
    heartbeat_at: datetime | None = None
    """When last heard from; in memory exact, in the table up to half a lease old."""
    touched: int = 0
    """The engine's turn number of the latest assignment, release or return to available: the idle order."""
    given: int = 0
    """The engine's turn number of the latest assignment."""
    offered_turn: int = 0
    """The highest turn number of an offer to them that has ended: numbers go on from there after a takeover."""
    idle_since: datetime | None = None
    lost_at: datetime | None = None
    resume_presence: Presence | None = None
    resume_reason: str | None = None
    ended: tuple[tuple[str, str], ...] = ()
    """(reservation or work item id, how it ended), newest last."""

    @property
    def connected(self) -> bool:
        return self.presence in CONNECTED

    def ending_of(self, id: str) -> str | None:
        """How one of their own recent reservations or work items ended."""
        return next((how for known, how in reversed(self.ended) if known == id), None)

    def with_ending(self, id: str, how: str) -> tuple[tuple[str, str], ...]:
        return (*self.ended, (id, how))[-REMEMBERED:]
