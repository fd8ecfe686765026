"""This file names the one deed of matching outside: to ask an allocation hook, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum

from libs.contracts.payloads.base import Time, Value
from libs.contracts.vocabulary import Channel
from libs.flow.flow import Effect
from services.router.assignment.domain import decisions as made


class AskHook(Effect):
    """One ask about one work item. `body` is posted as it stands, on every repetition the same."""

    name = "ask_hook"
    pool: str
    queue: str
    work_item_id: str
    ask: int
    """Counts the asks about this item from 1."""
    until: Time
    body: str

    @property
    def id(self) -> str:
        """Also the idempotency key."""
        return f"{self.work_item_id}/{self.ask}"


class AskOutcome(StrEnum):
    """How an ask ended, as the figures count it."""

    ANSWERED = "answered"
    NO_OPINION = "no_opinion"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    STATUS = "status"
    """Any other than 200 and 204, redirects included."""
    INVALID = "invalid"
    """No answer as the contract has it, or one that is too large."""
    BREAKER = "breaker"
    """Not asked, since it has failed too often."""
    CROWDED = "crowded"
    """Not asked, since the time was over before others had their answers."""
    UNCONFIGURED = "unconfigured"
    """The workspace has no such hook any more."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of an ask. `agent_ids` in order of preference; `fault` says in words why there is none."""

    outcome: AskOutcome
    agent_ids: tuple[str, ...] = ()
    reason: str | None = None
    fault: str | None = None


class Agent(Value):
    """Somebody who could take the work now."""

    agent_id: str
    skills: dict[str, int]
    load: int
    capacity: int
    idle_since: Time | None


class Question(Value):
    """The body that a hook is posted."""

    work_item_id: str
    ask: int
    conversation_id: str
    contact_point_id: str
    pool: str
    queue: str
    channel: Channel
    priority: int
    vip: bool
    units: int
    skills: dict[str, int]
    preferred_skills: dict[str, int]
    waiting_since: Time
    due_at: Time | None
    last_agent_id: str | None
    excluded_agent_ids: tuple[str, ...]
    answer_by: Time
    agents: tuple[Agent, ...]
    policy_version: str


def ask_of(asked: made.Ask, policy_version: str) -> AskHook:
    """The deed that the engine wants. Raises ValueError for an item that waits for no answer."""
    item = asked.item
    if item.hook_until is None:
        raise ValueError(f"{item.work_item_id} waits for no answer")
    question = Question(
        work_item_id=item.work_item_id,
        ask=item.hook_asks,
        conversation_id=item.conversation_id,
        contact_point_id=item.contact_point_id,
        pool=item.pool,
        queue=item.queue,
        channel=item.channel,
        priority=item.priority,
        vip=item.vip,
        units=item.units,
        skills=item.skills,
        preferred_skills=item.preferred_skills or {},
        waiting_since=item.waiting_since,
        due_at=item.due_at,
        last_agent_id=item.last_agent_id,
        excluded_agent_ids=item.excluded_agent_ids,
        answer_by=item.hook_until,
        agents=tuple(Agent(**contender._asdict()) for contender in asked.contenders),
        policy_version=policy_version,
    )
    return AskHook(
        pool=item.pool,
        queue=item.queue,
        work_item_id=item.work_item_id,
        ask=item.hook_asks,
        until=item.hook_until,
        body=question.model_dump_json(),
    )
