"""This file models `work`, `assignments` and `agents`: claims on attention and who gets them."""

from pydantic import Field

from libs.contracts.payloads.base import Payload, Time, Value
from libs.contracts.vocabulary import Channel, Presence


class WorkRequested(Payload):
    """All that matching must know of a conversation's claim on attention. Keyed by pool."""

    type = "work.requested.v1"
    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    queue: str
    channel: Channel
    skills: dict[str, int] = Field(default_factory=dict)
    """Required skill -> least level."""
    preferred_skills: dict[str, int] = Field(default_factory=dict)
    """Skill -> level that comes first where somebody has it, and is not insisted on."""
    priority: int = 0
    last_agent_id: str | None = None
    only_agent_id: str | None = None
    """Set by a transfer to one agent: nobody else is considered, and neither queue nor skills keep the work from this
    one, until they decline or miss it; then it is for anybody who fits."""
    excluded_agent_ids: tuple[str, ...] = ()
    requested_at: Time
    reason: str = "requested"
    """Why it is wanted now: `requested`, or `transferred`, with the wait of the work before."""
    due_at: Time | None = None
    """The nearest SLA deadline that an assignment can still serve."""
    vip: bool = False
    """Whether the conversation has the tag `vip`; what that is worth, the pool says."""


class WorkWithdrawn(Payload):
    """The conversation was resolved, snoozed or transferred: give the work up, whoever holds it."""

    type = "work.withdrawn.v1"
    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    reason: str
    wrap_up: bool = False
    """The holder keeps the capacity until the wrap-up ends."""
    occurred_at: Time


class WorkFellSilent(Payload):
    """Nobody has written in the conversation for as long as its queue's `idle_release`: its holder's units may be free."""

    type = "work.fell_silent.v1"
    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    agent_id: str
    """Who held it then."""
    since: Time
    """When somebody wrote last."""
    occurred_at: Time


class WorkResumed(Payload):
    """The customer wrote in a conversation that had fallen silent."""

    type = "work.resumed.v1"
    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    occurred_at: Time


class WorkReprioritised(Payload):
    type = "work.reprioritised.v1"
    work_item_id: str
    pool: str
    priority: int | None = None
    due_at: Time | None = None
    occurred_at: Time
    least_priority: int | None = None
    """Raises the priority to this where it is lower."""
    vip: bool | None = None
    """The conversation got the tag `vip`, or lost it."""


class WorkEscalated(Payload):
    """An SLA policy's order: the supervisor gets the work whatever the capacity says; the result is labelled as forced."""

    type = "work.escalated.v1"
    work_item_id: str
    pool: str
    agent_id: str
    policy: str
    occurred_at: Time


class Candidate(Value):
    """One agent in a decision; `rejected` is the first reason in words, None for an eligible one."""

    agent_id: str
    rejected: str | None = None
    score: tuple[float, ...] = ()


class Explanation(Value):
    """Why a decision came out as it did; enough to make it again."""

    policy: str
    policy_version: str
    strategy: str
    chosen: str | None = None
    candidates: tuple[Candidate, ...] = ()
    considered: int = 0
    """How many agents were looked at; `candidates` may be cut short, `considered` never."""
    note: str | None = None
    step: int = 0
    """How many of the queue's relaxations held."""
    vip: bool | None = None
    """True of a VIP's work; of others it is not said."""


class WorkEvent(Payload):
    """Common to all: keyed by contact point. `version` counts this work item's events from 1 without gaps."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    queue: str
    version: int
    occurred_at: Time


class WorkQueued(WorkEvent):
    """Waits for an agent. `waiting_since` survives every re-queue."""

    type = "work.queued.v1"
    waiting_since: Time
    reason: str
    explanation: Explanation


class WorkAssigned(WorkEvent):
    type = "work.assigned.v1"
    agent_id: str
    reservation_id: str | None = None
    forced_by: str | None = None
    taken_over_from: str | None = None
    """Who held it and asked this agent to take it over."""
    waited_seconds: float
    explanation: Explanation | None = None


class WorkIdled(WorkEvent):
    """Silent for long: its holder keeps it, and it takes no units until the customer writes again."""

    type = "work.idled.v1"
    agent_id: str
    since: Time
    """When somebody wrote last."""


class WorkWoken(WorkEvent):
    """It takes its holder's units again, above the capacity if need be."""

    type = "work.woken.v1"
    agent_id: str


class WorkWrapping(WorkEvent):
    type = "work.wrapping.v1"
    agent_id: str
    until: Time


class WorkCompleted(WorkEvent):
    type = "work.completed.v1"
    agent_id: str | None = None
    reason: str


class WorkCancelled(WorkEvent):
    """Ended without having been held by anybody."""

    type = "work.cancelled.v1"
    reason: str


class ReservationEvent(WorkEvent):
    """One work item may be offered to several agents at once: a reservation for each, and the first to accept has it."""

    reservation_id: str
    agent_id: str
    """To whom it is offered."""
    held_by: str | None = None
    """Who holds the work while another is asked to take it over (a consultation); None while nobody does."""


class ReservationOffered(ReservationEvent):
    type = "reservation.offered.v1"
    expires_at: Time
    waiting_since: Time
    explanation: Explanation


class ReservationAccepted(ReservationEvent):
    type = "reservation.accepted.v1"


class ReservationDeclined(ReservationEvent):
    type = "reservation.declined.v1"
    reason: str | None = None


class ReservationExpired(ReservationEvent):
    type = "reservation.expired.v1"


class ReservationRescinded(ReservationEvent):
    type = "reservation.rescinded.v1"
    reason: str


class CommandAnswer(Value):
    """What became of one agent command; `code` is stable (`ok`, `expired`, `not_yours` …), `text` is for people."""

    command_id: str
    code: str
    text: str = ""
    work_item_id: str | None = None
    """What the command gave the agent, where it asked for work."""


class AgentChanged(Payload):
    """Presence, load and capacity of an agent after a change. Keyed by agent."""

    type = "agent.changed.v1"
    agent_id: str
    pool: str
    presence: Presence
    reason: str | None = None
    since: Time | None = None
    """When this presence began: for a lost agent the end of the lease, not when it was noticed."""
    load: int
    """Units taken by `work_item_ids`: what is offered, held, and wrapped up."""
    capacity: int
    work_item_ids: tuple[str, ...] = ()
    answer: CommandAnswer | None = None
    """Set where this event answers a command; a command that changes nothing is answered by the unchanged state."""
    version: int
    occurred_at: Time
