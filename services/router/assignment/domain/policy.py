"""This file holds what the workspace says about one pool, in the form in which decisions need it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from libs.contracts.vocabulary import Channel
from libs.workspace import Relaxation, Terms


class Mode(StrEnum):
    """How the work of a queue finds its agent."""

    PUSH = "push"
    """Offered by itself."""
    PULL = "pull"
    """An agent asks for the next, and gets the first that they can take."""
    MANUAL = "manual"
    """An agent takes what they choose, or a supervisor assigns it."""


AT_ONCE = Terms()


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent as the workspace describes them."""

    agent_id: str
    skills: Mapping[str, int]
    queues: frozenset[str]
    capacity: int
    caps: Mapping[Channel, int] = field(default_factory=dict)
    """Conversations at most, by channel."""
    terms: Mapping[str, Terms] = field(default_factory=dict)
    """By queue, where they are not AT_ONCE."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one pool at one version of the workspace. A pool that the workspace no longer has has no agents."""

    pool: str
    version: str
    order: str = "priority"
    """Which waiting item comes first: a name in strategies.ORDERS."""
    pick: str = "longest_idle"
    """Which free agent comes first: a name in strategies.PICKS."""
    head_start: timedelta | None = None
    """What a level of priority is worth in waiting time; None takes the order's own."""
    vip_priority: int = 0
    """By how many levels a VIP's work is raised above its queue's priority."""
    late_behind: float = 0.0
    """How much later an item counts once its deadline is missed, in targets, so that those who can still be in time go
    before it. From strategies.GUARD times its target on it is back where it was."""
    hold: bool = True
    """With pick `best_fit`: slow agents are held back for a while, where the measured gap in handle time is real."""
    relaxations: Mapping[str, tuple[Relaxation, ...]] = field(default_factory=dict)
    """By queue, the shortest wait first."""
    reservation_lease: timedelta = timedelta(seconds=30)
    presence_lease: timedelta = timedelta(seconds=45)
    grace: timedelta = timedelta(seconds=30)
    decline_memory: timedelta = timedelta(minutes=5)
    auto_accept: bool = False
    offers_at_once: int = 1
    """To how many agents one item is offered; the first to accept has it."""
    missed_becomes_busy: bool = True
    """An agent who lets an offer expire is set to busy, so that the work does not come back to an empty chair."""
    channel_cost: Mapping[Channel, int] = field(default_factory=dict)
    wrap_up: Mapping[str, timedelta] = field(default_factory=dict)
    """By queue, also of other pools that lend their work; none where a queue is missing."""
    wrap_up_releases: frozenset[str] = frozenset()
    """Queues whose wrap-up takes no units."""
    modes: Mapping[str, Mode] = field(default_factory=dict)
    """By queue; a queue that is missing offers its work by itself."""
    interruptible: Mapping[Channel, frozenset[Channel]] = field(default_factory=dict)
    """Channel -> the channels whose conversations may interrupt one on it."""
    agents: Mapping[str, AgentSpec] = field(default_factory=dict)
    hooks: Mapping[str, timedelta] = field(default_factory=dict)
    """Queues whose work somebody's own system is asked about first -> how long that may take."""
    supervisors: frozenset[str] = frozenset()
    """Who may force an assignment; supervisors of any pool."""

    @property
    def lends(self) -> bool:
        """Whether some step joins another pool."""
        return any(step.pools for steps in self.relaxations.values() for step in steps)

    @property
    def strategy(self) -> str:
        """Both orders, as decisions name them."""
        return f"{self.order}/{self.pick}"

    @property
    def notice(self) -> timedelta:
        """How late a lapse may be seen and still count against the agent.

        Desktops send a heartbeat each third of the lease. A lapse that is seen later than that was missed by this
        system, not by the agent: with the whole installation down nobody could be heard and nobody could answer.
        """
        return self.presence_lease / 3

    def mode(self, queue: str) -> Mode:
        return self.modes.get(queue, Mode.PUSH)

    def units(self, channel: Channel) -> int:
        """What a conversation on this channel takes of an agent's capacity; at least one unit."""
        return max(1, self.channel_cost.get(channel, 1))
