"""This file keeps all state of one pool: work items, agents, and the indexes that are functions of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import Channel, Presence, WorkState
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.capacity import Limits
from services.router.assignment.domain.ledger import Ledger
from services.router.assignment.domain.policy import Mode, Policy
from services.router.assignment.domain.roster import Roster
from services.router.assignment.domain.strategies import STRATEGIES, Standing
from services.router.assignment.domain.waiting import Line, Requirement, Waiting
from services.router.assignment.domain.work import ENDED, WorkItem


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows to write: `ended` items are to be deleted."""

    items: tuple[WorkItem, ...]
    ended: tuple[WorkItem, ...]
    agents: tuple[AgentState, ...]


class Book:
    """Items and agents change through `put_item` and `put_agent` alone, which keep the indexes true and note what to write.

    Everything else here is derived: a book built from the rows of another is equal to it.
    """

    def __init__(
        self, policy: Policy, lane: int, items: Iterable[WorkItem] = (), agents: Iterable[AgentState] = ()
    ) -> None:
        self.policy, self.lane = policy, lane
        self.items: dict[str, WorkItem] = {}
        self.agents: dict[str, AgentState] = {
            spec.agent_id: self.newcomer(spec.agent_id) for spec in policy.agents.values()
        }
        self.pending: dict[str, str] = {}
        """Reservation that stands -> work item."""
        self.roster = Roster(list(policy.agents.values()))
        self.by_request: list[Line] = []
        """Lines of queues that do not offer their work by themselves: no freed agent looks at them."""
        self.waiting = Waiting(self._open)
        self.over: dict[str, int] = {}
        """Agent -> units above capacity, left by force, a lowered capacity, a woken conversation or an interruption."""
        self.turn = 0
        self._order = STRATEGIES[policy.strategy]
        self.ledger = Ledger()
        self._limits: dict[str, Limits] = {}
        self._saved_heartbeat: dict[str, datetime | None] = {}
        self._changed_items: dict[str, WorkItem] = {}
        self._changed_agents: dict[str, AgentState] = {}
        for agent in agents:
            self.agents[agent.agent_id] = agent
            self._saved_heartbeat[agent.agent_id] = agent.heartbeat_at
        for item in items:
            self.items[item.work_item_id] = item
            self._index(item)
        for known in self.ledger.agents():
            self.agents.setdefault(known, self.newcomer(known))
        turns = (
            *(max(a.touched, a.offered_turn) for a in self.agents.values()),
            *map(self.ledger.latest_offer, self.ledger.agents()),
        )
        self.turn = max(turns, default=0)
        for agent_id in self.agents:
            self.settle_over(agent_id, raised=True)
            self._place(agent_id)

    def newcomer(self, agent_id: str) -> AgentState:
        """An agent of whom nothing is recorded."""
        spec = self.policy.agents.get(agent_id)
        return AgentState(self.policy.pool, agent_id, self.lane, capacity=spec.capacity if spec else 0)

    def offers_itself(self, needs: Requirement) -> bool:
        """Whether such work looks for an agent by itself; work for one agent alone always does: a person chose."""
        return needs.only_agent_id is not None or self.policy.mode(needs.queue) is Mode.PUSH

    def next_turn(self) -> int:
        self.turn += 1
        return self.turn

    # -- reading ------------------------------------------------------------------------------------------------------

    def load(self, agent_id: str) -> int:
        """Units taken by what is offered to the agent, held, or wrapped up."""
        return self.ledger.load(agent_id).units

    def limits(self, agent_id: str) -> Limits:
        """What the agent may hold now."""
        known = self._limits.get(agent_id)
        if known is None:
            spec = self.policy.agents.get(agent_id)
            caps = spec.caps if spec else {}
            capacity = self.agents[agent_id].capacity
            known = self._limits[agent_id] = Limits(capacity, caps, self.policy.interruptible)
        return known

    def fits(self, agent_id: str, channel: Channel, units: int, *, interrupting: bool = True) -> bool:
        """Whether the agent has room for one more conversation; with `interrupting` also by putting other work aside."""
        load, limits = self.ledger.load(agent_id), self.limits(agent_id)
        return limits.fits(load, channel, units, interrupting=interrupting)

    def shortage(self, agent_id: str, channel: Channel, units: int) -> str | None:
        """Why the agent has no room for it, in words; None where they have."""
        return self.limits(agent_id).shortage(self.ledger.load(agent_id), channel, units)

    def is_free(self, agent_id: str) -> bool:
        """Available, of this pool, and with room for something."""
        return self.roster.key(agent_id) is not None

    # -- changing -----------------------------------------------------------------------------------------------------

    def put_item(self, item: WorkItem) -> None:
        """Insert, replace, or (an ended one) drop."""
        old = self.items.get(item.work_item_id)
        if old is not None:
            self._unindex(old)
        if item.state in ENDED:
            self.items.pop(item.work_item_id, None)
        else:
            self.items[item.work_item_id] = item
            self._index(item)
        self._changed_items[item.work_item_id] = item
        concerned = dict.fromkeys(
            agent_id for it in (old, item) if it is not None for agent_id, _ in it.claims()
        )
        for agent_id in concerned:
            self.settle_over(agent_id)
            self._place(agent_id)

    def put_agent(self, agent: AgentState) -> None:
        before = self.agents.get(agent.agent_id)
        if before is None or before.capacity != agent.capacity:
            self._limits.pop(agent.agent_id, None)
        self.agents[agent.agent_id] = agent
        self._changed_agents[agent.agent_id] = agent
        self._saved_heartbeat[agent.agent_id] = agent.heartbeat_at
        self._place(agent.agent_id)

    def beat(self, agent: AgentState) -> None:
        """Keep a later heartbeat. The row is written once half a lease has passed, not at each beat."""
        saved = self._saved_heartbeat.get(agent.agent_id)
        if (
            saved is None
            or agent.heartbeat_at is None
            or agent.heartbeat_at - saved >= self.policy.presence_lease / 2
        ):
            self.put_agent(agent)
        else:
            self.agents[agent.agent_id] = agent
            if agent.agent_id in self._changed_agents:
                self._changed_agents[agent.agent_id] = agent

    def settle_over(self, agent_id: str, *, raised: bool = False) -> None:
        """What is above capacity is let stand where a rule allowed it (`raised`), and never grows by itself."""
        above = max(0, self.load(agent_id) - self.agents[agent_id].capacity)
        allowed = above if raised else min(above, self.over.get(agent_id, 0))
        if allowed:
            self.over[agent_id] = allowed
        else:
            self.over.pop(agent_id, None)

    def take_changes(self) -> Changes:
        """What was put since the last call."""
        items = tuple(i for i in self._changed_items.values() if i.state not in ENDED)
        ended = tuple(i for i in self._changed_items.values() if i.state in ENDED)
        changes = Changes(items, ended, tuple(self._changed_agents.values()))
        self._changed_items.clear()
        self._changed_agents.clear()
        return changes

    def _open(self, line: Line) -> None:
        if self.offers_itself(line.needs):
            self.roster.open(line)
        else:
            self.by_request.append(line)

    def _index(self, item: WorkItem) -> None:
        if item.state is WorkState.QUEUED:
            self.waiting.add(item)
        self.ledger.add(item)
        for reservation in item.reservations:
            self.pending[reservation.reservation_id] = item.work_item_id

    def _unindex(self, item: WorkItem) -> None:
        if item.state is WorkState.QUEUED:
            self.waiting.remove(item)
        self.ledger.remove(item)
        for reservation in item.reservations:
            del self.pending[reservation.reservation_id]

    def _place(self, agent_id: str) -> None:
        agent = self.agents[agent_id]
        free = agent.listed and agent.presence is Presence.AVAILABLE
        if not free or not self.limits(agent_id).may_fit_more(self.ledger.load(agent_id)):
            self.roster.place(agent_id, None)
            return
        touched = max(agent.touched, self.ledger.latest_offer(agent_id))
        standing = Standing(agent_id, touched, self.load(agent_id), agent.capacity)
        self.roster.place(agent_id, self._order(standing))
