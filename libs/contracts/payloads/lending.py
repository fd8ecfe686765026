"""This file models `lending`: what pools say to each other about work that agents of several of them may take."""

from typing import Literal

from pydantic import Field

from libs.contracts.payloads.base import Payload, Time
from libs.contracts.vocabulary import Channel


class LendingEvent(Payload):
    """Common to all: keyed by `pool`, to which it is said; `from_pool` says it. No fact of the work: its version stays."""

    work_item_id: str
    conversation_id: str
    contact_point_id: str
    pool: str
    from_pool: str
    occurred_at: Time


class LoanEvent(LendingEvent):
    """With all that the other pool must know to decide about the work."""

    number: int
    """Of the loan; greater for each new loan of the same work."""
    queue: str
    """Of its home pool."""
    channel: Channel
    skills: dict[str, int] = Field(default_factory=dict)
    """Skill -> level that is asked for at this step."""
    preferred_skills: dict[str, int] = Field(default_factory=dict)
    priority: int = 0
    due_at: Time | None = None
    last_agent_id: str | None = None
    excluded_agent_ids: tuple[str, ...] = ()
    waiting_since: Time
    version: int
    """Of the latest fact about the work."""
    changed_at: Time
    """When that was."""
    offers: int = 0
    """How many offers of it there were."""
    step: int = 0
    """How many of its queue's relaxations hold."""
    declined: dict[str, Time] = Field(default_factory=dict)
    """Agent -> when they turned it down."""
    vip: bool = False


class WorkLent(LoanEvent):
    """Agents of the pool may take it too. Said again, with the same number, when anything of it changes."""

    type = "work.lent.v1"


class WorkClaimed(LendingEvent):
    """The pool that it was lent to has an agent for it, whose capacity is held."""

    type = "work.claimed.v1"
    number: int
    agent_id: str


class WorkGranted(LoanEvent):
    """The claimed work is the pool's to decide about, until it is returned or has ended."""

    type = "work.granted.v1"


class WorkRecalled(LendingEvent):
    """The work may not be claimed any more: it was taken, given up, granted to a third pool, or has ended."""

    type = "work.recalled.v1"
    number: int


class WorkReturned(LoanEvent):
    """Nobody of the pool that it was granted to takes it any more: it waits at home again."""

    type = "work.returned.v1"
    reason: str
    """Why, as the queue is told when nobody takes it at home either: `declined`, `expired`, `rescinded`, `returned`."""


class WorkSettled(LendingEvent):
    """Granted work has ended."""

    type = "work.settled.v1"


class WorkPassedOn(LendingEvent):
    """What was asked at home about granted work; which fields are set depends on `what`."""

    type = "work.passed_on.v1"
    what: Literal["withdraw", "reprioritise", "fall_silent", "resume", "call_back"]
    reason: str = ""
    wrap_up: bool = False
    priority: int | None = None
    """As it is at home now, with what the home pool adds for a VIP."""
    due_at: Time | None = None
    vip: bool | None = None
    agent_id: str | None = None
    """Who held it when it fell silent."""
    since: Time | None = None
