"""This file holds what a workspace consists of: frozen values, their defaults, and nothing that reads or checks them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from libs.contracts.vocabulary import Channel
from libs.workspace.credentials import Secret

Role = Literal["agent", "supervisor"]
Order = Literal["longest_wait", "priority", "deadline", "slack", "gcmu"]
Pick = Literal["longest_idle", "round_robin", "least_loaded", "most_spare", "best_skill", "best_fit"]
Mode = Literal["push", "pull", "manual"]
Missed = Literal["busy", "stay"]
WrapUpCapacity = Literal["keep", "release"]


def _one_unit_each() -> dict[Channel, int]:
    return dict.fromkeys(Channel, 1)


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """How a channel's provider is reached. `base_url` None means the provider's own public address."""

    base_url: str | None = None
    rate_per_second: float | None = None
    """Sends per second at most; None means the channel's published limit."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What one channel alone understands, by name."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """One account on one channel."""

    id: str
    channel: Channel
    queue: str
    """Where its new conversations wait."""
    region: str = "ID"
    """ISO 3166 country in whose format a phone number without country code is read."""
    reopen_window: timedelta = timedelta(hours=24)
    """A message this soon after the end reopens the conversation; a later one begins the next."""
    credentials: Mapping[str, Secret] = field(default_factory=dict)
    provider: ProviderOptions = ProviderOptions()


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What is asked of agents once a customer has waited: lower levels (0: the skill is not asked for), more queues' agents."""

    after: timedelta
    """Since the customer began to wait, over every return to the queue."""
    skills: Mapping[str, int] = field(default_factory=dict)
    queues: tuple[str, ...] = ()
    """Of the same pool."""
    pools: tuple[str, ...] = ()
    """Other pools, all of whose agents may take the work too if they have the skills that are asked for then."""
    skip_if_nobody: bool = False
    """At once where nobody who is there fits what was asked before."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one agent serves one queue: sooner than others by `priority`, and not before `delay` after the request."""

    priority: int = 0
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class AllocationHook:
    """Somebody's own system that is asked who shall get waiting work, before matching decides."""

    url: str
    secret: Secret
    """Signs what it is asked."""
    within: timedelta
    """Later than this after the asking, matching decides without it."""
    place: str
    """Where it stands in the workspace, as its figures name it, e.g. pools.layanan."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Ordered waiting work."""

    id: str
    pool: str
    skills: Mapping[str, int] = field(default_factory=dict)
    """Skill -> lowest level (1..5) that may take work from here."""
    prefers: Mapping[str, int] = field(default_factory=dict)
    """Skill -> level of those who come first."""
    relax: tuple[Relaxation, ...] = ()
    """The shortest wait first."""
    priority: int = 0
    """Higher goes first."""
    wrap_up: timedelta = timedelta(0)
    """How long an agent may finish up after the end of a conversation."""
    wrap_up_capacity: WrapUpCapacity = "keep"
    """Whether the units stay taken meanwhile."""
    mode: Mode = "push"
    """push: offered by itself; pull: an agent asks for the next; manual: an agent takes it, or a supervisor assigns it."""
    idle_release: timedelta | None = None
    """A held conversation in which nobody has written for this long takes no units; None: as the pool says."""
    sla: str | None = None
    allocation_hook: AllocationHook | None = None
    """None: as the pool says."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Queues and agents that can serve each other."""

    id: str
    order: Order = "priority"
    """Which waiting work comes first."""
    pick: Pick = "longest_idle"
    """Which free agent comes first."""
    head_start: timedelta | None = None
    """What one level of priority is worth in waiting time; None takes the order's own."""
    vip_priority: int = 0
    """Levels of priority by which the work of a conversation with the tag `vip` goes before others of its queue."""
    late_behind: float = 0.0
    """Work that is late stands back by this share of its target, behind what can still be in time."""
    hold: bool = True
    """Whether the pick `best_fit` may hold slow agents back for a while."""
    reservation_lease: timedelta = timedelta(seconds=30)
    """How long an offer stands."""
    presence_lease: timedelta = timedelta(seconds=45)
    """An agent from whom nothing was heard for this long is lost."""
    grace: timedelta = timedelta(seconds=30)
    """A lost agent who is back this soon keeps the work."""
    decline_memory: timedelta = timedelta(minutes=5)
    """For how long declined work is not offered to the same agent again."""
    auto_accept: bool = False
    """Work is assigned at once, without an offer."""
    offers_at_once: int = 1
    """To how many agents an item is offered; the first to accept has it."""
    missed: Missed = "busy"
    """What becomes of an agent who lets an offer expire."""
    idle_release: timedelta | None = None
    """For queues that do not say; None: a held conversation takes its units however long it is silent."""
    interruptible_by: Mapping[Channel, tuple[Channel, ...]] = field(default_factory=dict)
    """Channel -> the channels whose conversations may go past an agent's capacity, by one, while they have work on it."""
    channel_cost: Mapping[Channel, int] = field(default_factory=_one_unit_each)
    """Units of capacity that a conversation on a channel takes."""
    allocation_hook: AllocationHook | None = None
    """For queues that do not say; None: matching alone decides."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Who takes work, human or bot."""

    id: str
    name: str
    pool: str
    skills: Mapping[str, int] = field(default_factory=dict)
    """Skill -> level, 1..5."""
    queues: tuple[str, ...] = ()
    """The queues served; a file that names none means every queue of the pool."""
    capacity: int = 1
    """Units held at most."""
    caps: Mapping[Channel, int] = field(default_factory=dict)
    """Conversations at most, by channel."""
    role: Role = "agent"
    terms: Mapping[str, Terms] = field(default_factory=dict)
    """By queue, where they are not the usual ones."""


@dataclass(frozen=True, slots=True)
class Span:
    """Open from `opens` until before `closes`, minutes after the midnight with which its day begins."""

    opens: int
    """0 .. 1439"""
    closes: int
    """Above `opens` by at most a day; above 1440 it is on the next day, and still of the day on which it opened."""


@dataclass(frozen=True, slots=True)
class OwnDay:
    """A date with hours of its own, whatever the week or the holidays say."""

    date: date
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Holidays:
    """Whose public holidays are closed, and of which kinds, as the package `holidays` names them."""

    country: str
    """ISO 3166, two letters."""
    subdivision: str | None = None
    categories: tuple[str, ...] = ("public",)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which hours count towards a target. For a date its own hours come first, then closed days and holidays, then the week."""

    id: str
    zone: str
    """IANA."""
    week: tuple[tuple[Span, ...], ...] = ((),) * 7
    """Monday first; none means closed."""
    holidays: Holidays | None = None
    closed: tuple[date, ...] = ()
    days: tuple[OwnDay, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Which conversations a policy is for: all that is named must fit, and of each list one member. Nothing named fits all."""

    inbox: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    channel: tuple[Channel, ...] = ()
    priority: tuple[int, ...] = ()
    tag: tuple[str, ...] = ()
    vip: bool | None = None
    """Whether the conversation must, or must not, have the tag `vip`."""


WarnAt = float | timedelta
"""A fraction of the target, or a duration before the deadline, in open time."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """What is done, once for each clock, when it has come so far and what it waits for has not happened."""

    at: Literal["warning", "breach"] | WarnAt
    """`warning` is the first of the policy's."""
    after: timedelta = timedelta(0)
    """Open time past the breach."""
    metrics: tuple[str, ...] = ()
    """Whose clocks; none named means all."""
    raise_priority: int | None = None
    move_to_queue: str | None = None
    notify: tuple[str, ...] = ()
    """Names of people or groups, for whoever tells them."""
    assign_supervisor: str | None = None


PauseReason = Literal["on_hold", "waiting_for_customer"]
PAUSES: Mapping[str, tuple[PauseReason, ...]] = {
    "time_to_assignment": ("on_hold",),
    "periodic_update": ("on_hold",),
    "resolution": ("on_hold",),
}
"""By metric, what pauses its clocks where the policy says nothing; first and next response are owed meanwhile too."""


@dataclass(frozen=True, slots=True)
class SlaPolicy:
    """Targets by metric; None means no clock of that metric, but for priorities that `by_priority` names."""

    id: str
    first_response: timedelta | None = None
    next_response: timedelta | None = None
    resolution: timedelta | None = None
    warn_at: tuple[WarnAt, ...] = (0.8,)
    """When to warn; fractions ascending, then durations descending."""
    calendar: str | None = None
    """Whose hours count; None means all hours."""
    time_to_assignment: timedelta | None = None
    periodic_update: timedelta | None = None
    by_priority: Mapping[str, Mapping[int, timedelta]] = field(default_factory=dict)
    """Metric -> priority -> the target from that priority on."""
    match: Match | None = None
    """None: for the queues whose `sla` names it."""
    pause_on: Mapping[str, tuple[PauseReason, ...]] = field(default_factory=lambda: dict(PAUSES))
    """By metric."""
    human_only: bool = True
    """Only what a person of ours says is an answer; else what a bot says and automatic replies too."""
    escalate: tuple[Escalation, ...] = ()


@dataclass(frozen=True, slots=True)
class Workspace:
    """One organisation's configuration. `version` changes when anything in it does, except the value of a secret."""

    id: str
    version: str = ""
    inboxes: Mapping[str, Inbox] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    sla_policies: Mapping[str, SlaPolicy] = field(default_factory=dict)

    def idle_release(self, queue: Queue) -> timedelta | None:
        """How long a held conversation of the queue may be silent before it takes no units; None: for ever."""
        pool = self.pools.get(queue.pool)
        return queue.idle_release or (pool.idle_release if pool else None)

    def allocation_hook(self, queue: Queue) -> AllocationHook | None:
        """Who is asked about the work of the queue; None: nobody."""
        pool = self.pools.get(queue.pool)
        return queue.allocation_hook or (pool.allocation_hook if pool else None)
