"""This file holds what the engine answers: facts about work and agents, each with what is needed to publish it, and reminders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.inputs import CallBack, Lapse, Wish
from services.router.assignment.domain.work import Reservation, WorkItem


class Ending(StrEnum):
    """How a reservation ended."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    RESCINDED = "rescinded"


class Code(StrEnum):
    """How a command was answered. The words are stable: desktops act on them."""

    OK = "ok"
    EXPIRED = "expired"
    DECLINED = "declined"
    RESCINDED = "rescinded"
    NOT_YOURS = "not_yours"
    NOT_WRAPPING = "not_wrapping"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_WORK = "unknown_work"
    UNKNOWN_PRESENCE = "unknown_presence"
    FORBIDDEN = "forbidden"
    OFFLINE = "offline"
    ENDED = "ended"
    STALE = "stale"
    NOTHING_WAITING = "nothing_waiting"
    NOT_AVAILABLE = "not_available"
    FULL = "full"
    TAKEN = "taken"
    NOT_FOR_YOU = "not_for_you"
    NOT_MANUAL = "not_manual"
    ALREADY_THEIRS = "already_theirs"
    ALREADY_OFFERED = "already_offered"
    NOBODY_FREE = "nobody_free"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Answer:
    command_id: str
    code: Code
    text: str = ""
    work_item_id: str | None = None
    """What the command gave the agent."""


class Candidate(NamedTuple):
    """One agent in a decision; `rejected` is the first reason in words. `score` is what was compared, smaller first, and how long they were idle."""

    agent_id: str
    rejected: str | None = None
    score: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What an allocation hook said to one ask, as it was decided on."""

    ask: int
    agent_ids: tuple[str, ...]
    reason: str | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a decision came out as it did. `considered` counts all agents; `candidates` lists a few of them."""

    policy: str
    policy_version: str
    strategy: str
    chosen: str | None
    candidates: tuple[Candidate, ...]
    considered: int
    note: str | None = None
    step: int = 0
    """Relaxations of the queue that held."""
    hook: HookAnswer | None = None
    """Where an answer of the allocation hook led to this decision."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that became true of a work item. `item` is the item after it; its `changed_at` is the time of the fact."""

    item: WorkItem


@dataclass(frozen=True, slots=True)
class Queued(Fact):
    reason: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Offered(Fact):
    reservation: Reservation
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class ReservationEnded(Fact):
    reservation_id: str
    agent_id: str
    ending: Ending
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Assigned(Fact):
    agent_id: str
    explanation: Explanation
    reservation_id: str | None = None
    forced_by: str | None = None
    taken_over_from: str | None = None
    """Who held it and asked this agent to take it over."""
    by_request: bool = False
    """The agent asked for it, or took it."""


@dataclass(frozen=True, slots=True)
class Idled(Fact):
    """The holder keeps the work, and its units are free."""

    agent_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Woken(Fact):
    """The work takes its holder's units again, above their capacity if need be."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class Wrapping(Fact):
    agent_id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Completed(Fact):
    agent_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled(Fact):
    reason: str


class Contender(NamedTuple):
    """One agent who could take an item now, as its allocation hook is told."""

    agent_id: str
    skills: Mapping[str, int]
    load: int
    capacity: int
    idle_since: datetime | None


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the allocation hook of the item's queue, until `item.hook_until`. `contenders` are the best."""

    item: WorkItem
    contenders: tuple[Contender, ...]


@dataclass(frozen=True, slots=True)
class Lending:
    """Something that pool `to` must know of an item. These are no facts of the item: its version stays."""

    item: WorkItem
    to: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Lent(Lending):
    """Its agents may take the item too. `skills` are those that are asked for at this step."""

    number: int
    skills: dict[str, int]


@dataclass(frozen=True, slots=True)
class Recalled(Lending):
    number: int


@dataclass(frozen=True, slots=True)
class Claimed(Lending):
    agent_id: str


@dataclass(frozen=True, slots=True)
class Granted(Lending):
    number: int
    skills: dict[str, int]


@dataclass(frozen=True, slots=True)
class Returned(Lending):
    reason: str


@dataclass(frozen=True, slots=True)
class Settled(Lending):
    """It has ended."""


@dataclass(frozen=True, slots=True)
class PassedOn(Lending):
    """What is asked about an item for which that pool decides."""

    what: Wish | CallBack


@dataclass(frozen=True, slots=True)
class AgentChange:
    """An agent after a change, or unchanged with an answer."""

    agent: AgentState
    load: int
    work_item_ids: tuple[str, ...]
    at: datetime
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Remind:
    """Tell the engine `lapse` at `due`. A reminder with the same id takes its place."""

    id: str
    due: datetime
    lapse: Lapse


@dataclass(frozen=True, slots=True)
class Forget:
    id: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """There was nothing to do; `reason` is a stable word."""

    reason: str


WorkFact = Queued | Offered | ReservationEnded | Assigned | Idled | Woken | Wrapping | Completed | Cancelled
LendingFact = Lent | Recalled | Claimed | Granted | Returned | Settled | PassedOn
Decision = WorkFact | LendingFact | Ask | AgentChange | Remind | Forget | Ignored
