"""This file holds what the engine is told: requests about work, commands of agents, and lapses of what it asked to be reminded of."""

from dataclasses import dataclass, field
from datetime import datetime

from libs.contracts.vocabulary import Channel, Presence


@dataclass(frozen=True, slots=True)
class Request:
    """A conversation wants attention."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    queue: str
    channel: Channel
    requested_at: datetime
    skills: dict[str, int] = field(default_factory=dict)
    preferred_skills: dict[str, int] = field(default_factory=dict)
    priority: int = 0
    due_at: datetime | None = None
    last_agent_id: str | None = None
    only_agent_id: str | None = None
    excluded_agent_ids: tuple[str, ...] = ()
    reason: str = "requested"
    """Why it is wanted now, as the queue is told: `requested`, `transferred`."""
    vip: bool = False


@dataclass(frozen=True, slots=True)
class Withdraw:
    work_item_id: str
    reason: str
    wrap_up: bool = False


@dataclass(frozen=True, slots=True)
class Reprioritise:
    """None leaves a value as it is."""

    work_item_id: str
    priority: int | None = None
    due_at: datetime | None = None
    least_priority: int | None = None
    """Raises the priority to this where it is lower."""
    vip: bool | None = None


@dataclass(frozen=True, slots=True)
class FallSilent:
    """Nobody has written in the conversation since `since`, and its queue lets such work go. `agent_id` held it then."""

    work_item_id: str
    agent_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Resume:
    """The customer wrote in a conversation that had fallen silent."""

    work_item_id: str


@dataclass(frozen=True, slots=True)
class AgentInput:
    """A command that is answered with an agent.changed, under `command_id`."""

    agent_id: str
    command_id: str


@dataclass(frozen=True, slots=True)
class SetPresence(AgentInput):
    presence: Presence
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Accept(AgentInput):
    reservation_id: str
    version: int | None = None
    """The work item's version that the agent decided on; None asks for no comparison."""


@dataclass(frozen=True, slots=True)
class Decline(AgentInput):
    reservation_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Complete(AgentInput):
    work_item_id: str


@dataclass(frozen=True, slots=True)
class Next(AgentInput):
    """The first waiting item of a pull queue that the agent can take."""


@dataclass(frozen=True, slots=True)
class Take(AgentInput):
    """A named item of a manual queue."""

    work_item_id: str


@dataclass(frozen=True, slots=True)
class Consult(AgentInput):
    """Offer what `agent_id` holds to another, who is named or must have the skills; the holder keeps it until they accept."""

    work_item_id: str
    ordered_by: str
    to_agent_id: str | None = None
    skills: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForceAssign(AgentInput):
    work_item_id: str
    ordered_by: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    agent_id: str


@dataclass(frozen=True, slots=True)
class HookAnswered:
    """What a work item's allocation hook said, or why it said nothing."""

    work_item_id: str
    ask: int
    """Which asking is answered."""
    agent_ids: tuple[str, ...] = ()
    """The first who can take it shall have it; none named leaves it to matching."""
    reason: str | None = None
    fault: str | None = None
    """Why there is no answer, in words."""


@dataclass(frozen=True, slots=True)
class ReservationLapsed:
    reservation_id: str


@dataclass(frozen=True, slots=True)
class PresenceLapsed:
    agent_id: str


@dataclass(frozen=True, slots=True)
class GraceEnded:
    agent_id: str


@dataclass(frozen=True, slots=True)
class WrapUpEnded:
    work_item_id: str


@dataclass(frozen=True, slots=True)
class DeclineLapsed:
    work_item_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class WaitLapsed:
    """A waiting item's next relaxation, or the end of a hold."""

    work_item_id: str


@dataclass(frozen=True, slots=True)
class HookLapsed:
    """The time in which an allocation hook had to answer is over."""

    work_item_id: str
    ask: int


@dataclass(frozen=True, slots=True)
class ClaimLapsed:
    """A claim has held an agent's capacity for as long as an offer may."""

    work_item_id: str
    loan: int


@dataclass(frozen=True, slots=True)
class Loan:
    """What a pool must know of another's work; `number` is one of the home pool's, greater for each new loan of the item."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    number: int
    home: str
    queue: str
    channel: Channel
    skills: dict[str, int]
    preferred_skills: dict[str, int]
    priority: int
    due_at: datetime | None
    last_agent_id: str | None
    excluded_agent_ids: tuple[str, ...]
    waiting_since: datetime
    version: int
    changed_at: datetime
    offers: int
    step: int
    declined: dict[str, datetime]
    vip: bool = False


@dataclass(frozen=True, slots=True)
class Lend:
    """Agents of this pool may take the work too; also said again when anything of it changes."""

    loan: Loan


@dataclass(frozen=True, slots=True)
class Claim:
    """Another pool has an agent for lent work."""

    work_item_id: str
    by: str
    number: int


@dataclass(frozen=True, slots=True)
class Grant:
    """The claimed work is this pool's to decide about."""

    loan: Loan


@dataclass(frozen=True, slots=True)
class Recall:
    """The work may not be claimed any more."""

    work_item_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Return:
    """Nobody of the pool to which it was granted takes it any more: it waits again. `reason` is told unless it is empty."""

    loan: Loan
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Granted work has ended."""

    work_item_id: str
    by: str


@dataclass(frozen=True, slots=True)
class CallBack:
    """The home pool wants granted work back at once, whoever holds it."""

    work_item_id: str


Lapse = (
    ClaimLapsed
    | ReservationLapsed
    | PresenceLapsed
    | GraceEnded
    | WrapUpEnded
    | DeclineLapsed
    | WaitLapsed
    | HookLapsed
)
Command = SetPresence | Accept | Decline | Complete | Next | Take | Consult | ForceAssign
Wish = Withdraw | Reprioritise | FallSilent | Resume
"""What a conversation may ask about its work."""
Lending = Lend | Claim | Grant | Recall | Return | Settle | CallBack
Input = Request | Wish | Command | Heartbeat | HookAnswered | Lending | Lapse
