"""This file keeps all state of one pool: work items, agents, and the indexes that are functions of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.vocabulary import Channel, Presence, WorkState
from services.router.assignment.domain import fit as fitting
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.capacity import Limits
from services.router.assignment.domain.fit import Fit
from services.router.assignment.domain.learning import Cell, Figures, Learning
from services.router.assignment.domain.ledger import Ledger
from services.router.assignment.domain.policy import Mode, Policy
from services.router.assignment.domain.roster import Group, Roster
from services.router.assignment.domain.strategies import ORDERS, PICKS, Standing
from services.router.assignment.domain.waiting import Line, Waiting
from services.router.assignment.domain.work import ENDED, WorkItem

NOTHING = Figures()


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows to write: `ended` items are to be deleted."""

    items: tuple[WorkItem, ...]
    ended: tuple[WorkItem, ...]
    agents: tuple[AgentState, ...]
    learned: tuple[Cell, ...] = ()


class Book:
    """Items and agents change through `put_item` and `put_agent` alone, which keep the indexes true and note what to write.

    Everything else here is derived: a book built from the rows of another is equal to it.
    """

    def __init__(
        self,
        policy: Policy,
        lane: int,
        items: Iterable[WorkItem] = (),
        agents: Iterable[AgentState] = (),
        cells: Iterable[Cell] = (),
    ) -> None:
        self.policy, self.lane = policy, lane
        self.items: dict[str, WorkItem] = {}
        self.agents: dict[str, AgentState] = {
            spec.agent_id: self.newcomer(spec.agent_id) for spec in policy.agents.values()
        }
        self.pending: dict[str, str] = {}
        """Reservation that stands -> work item."""
        self.roster = Roster(policy.agents.values())
        self.by_request: list[Line] = []
        """Lines of queues that do not offer their work by themselves: no freed agent looks at them."""
        self.waiting = Waiting(policy, self._open)
        self.asked: dict[str, None] = {}
        """Waiting items whose allocation hooks are asked: not in the lines, so that nobody is matched with them."""
        self.pick, order = PICKS[policy.pick], ORDERS[policy.order]
        learns = self.pick.by_fit or order.fits or order.by_target
        self.learning = Learning(policy.pool, lane, self.roster.graded, cells) if learns else None
        on_terms = any(agent.terms for agent in policy.agents.values())
        self._uneven = on_terms or self.pick.by_level
        self.admits = (self.pick.by_fit and policy.hold) or on_terms
        """Whether some agents may have to wait before an item may go to them."""
        self.wakes = self.admits or bool(policy.relaxations)
        """Whether waiting items may have to be looked at again though nothing else happens."""
        self._price()
        self._shares: dict[str, tuple[int, int]] = {}
        """Available agent -> units free, capacity."""
        self._free_units = self._all_units = 0
        self.over: dict[str, int] = {}
        """Agent -> units above capacity, left by force, a lowered capacity, a woken conversation or an interruption."""
        self.turn = 0
        self.ledger = Ledger()
        self._limits: dict[str, Limits] = {}
        self._shortages: dict[str, dict[tuple[Channel, int], str | None]] = {}
        """What was said of agents' room since it last changed: explanations ask it of dozens of agents."""
        self._saved_heartbeat: dict[str, datetime | None] = {}
        self._changed_items: dict[str, WorkItem] = {}
        self.lends = policy.lends
        """Whether other pools may have to be told of what waits here."""
        self._touched: dict[str, WorkItem | None] = {}
        """Items put since the last `take_touched`, as they were before."""
        self._changed_agents: dict[str, AgentState] = {}
        for agent in agents:
            self.agents[agent.agent_id] = agent
            self._saved_heartbeat[agent.agent_id] = agent.heartbeat_at
            if agent.connected and agent.listed:
                self._connect(agent.agent_id, connected=True)
        waiting = []
        for item in items:
            self.items[item.work_item_id] = item
            self.lends = self.lends or bool(item.lent)
            if item.state is WorkState.QUEUED and item.hook_until is None:
                waiting.append(item)
            else:
                self._index(item)
        self.waiting.fill(waiting)
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
        self.was_roomy = self.roomy
        """At the end of the latest step."""

    def newcomer(self, agent_id: str) -> AgentState:
        """An agent of whom nothing is recorded."""
        spec = self.policy.agents.get(agent_id)
        return AgentState(self.policy.pool, agent_id, self.lane, capacity=spec.capacity if spec else 0)

    def offers_itself(self, queue: str, only_agent_id: str | None) -> bool:
        """Whether such work looks for an agent by itself; work for one agent alone always does: a person chose."""
        return only_agent_id is not None or self.policy.mode(queue) is Mode.PUSH

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
        known, needs = self._shortages.setdefault(agent_id, {}), (channel, units)
        if needs not in known:
            known[needs] = self.limits(agent_id).shortage(self.ledger.load(agent_id), channel, units)
        return known[needs]

    def is_free(self, agent_id: str) -> bool:
        """Available, of this pool, and with room for something."""
        return self.roster.key(agent_id) is not None

    @property
    def roomy(self) -> bool:
        """Whether so much of the capacity on duty is free that nobody need be held back."""
        return self._free_units > fitting.RESERVE * self._all_units

    @property
    def figures(self) -> Figures:
        return self.learning.figures if self.learning is not None else NOTHING

    @property
    def uneven(self) -> bool:
        """Whether groups may differ in what they are for any line."""
        return self._uneven or bool(self.figures.effects)

    def tells_apart(self, line: Line) -> bool:
        """Whether groups that can serve the line's items may differ in what they are for it."""
        return self.uneven or bool(line.needs.preferred)

    def fit(self, line: Line, group: Group) -> Fit:
        found = line.fits.get(group)
        if found is None:
            matters = fitting.what_matters(line.needs, group)
            found = line.alike.get(matters)
            if found is None:
                found = fitting.fit(self.policy, self.figures, self.roster.graded, line, group)
                line.alike[matters] = found
            line.fits[group] = found
        return found

    def terms(self, line: Line) -> Iterable[Fit]:
        """The different terms on which groups must wait for the line's items."""
        if line.terms is None:
            fits = [self.fit(line, group) for group in line.groups] if self.tells_apart(line) else []
            line.terms = list({(f.hold, f.delay): f for f in fits if f.hold or f.delay}.values())
        return line.terms

    # -- changing -----------------------------------------------------------------------------------------------------

    def put_item(self, item: WorkItem) -> None:
        """Insert, replace, or (an ended one) drop."""
        old = self.items.get(item.work_item_id)
        if self.lends:
            self._touched.setdefault(item.work_item_id, old)
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
        was, now = before is not None and before.connected and before.listed, agent.connected and agent.listed
        if was != now:
            self._connect(agent.agent_id, connected=now)
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
        learned = self.learning.take_changes() if self.learning is not None else ()
        changes = Changes(items, ended, tuple(self._changed_agents.values()), learned)
        self._changed_items.clear()
        self._changed_agents.clear()
        return changes

    def take_touched(self) -> dict[str, WorkItem | None]:
        """Items put since the last call, each as it was before (None for a new one); nothing where no pool is joined."""
        touched, self._touched = self._touched, {}
        return touched

    def _open(self, line: Line) -> None:
        if not line.needs.queues or self.offers_itself(line.needs.queues[0], line.needs.only_agent_id):
            self.roster.open(line)
        else:
            self.by_request.append(line)

    def _index(self, item: WorkItem) -> None:
        if item.hook_until is not None:
            self.asked[item.work_item_id] = None
        elif item.state is WorkState.QUEUED:
            self.waiting.add(item)
        self.ledger.add(item)
        for reservation in item.reservations:
            self.pending[reservation.reservation_id] = item.work_item_id

    def _unindex(self, item: WorkItem) -> None:
        if item.hook_until is not None:
            del self.asked[item.work_item_id]
        elif item.state is WorkState.QUEUED:
            self.waiting.remove(item)
        self.ledger.remove(item)
        for reservation in item.reservations:
            del self.pending[reservation.reservation_id]

    def learn(self, now: datetime) -> list[Line]:
        """Let new figures count when their period has come: the lines for which somebody may now be free."""
        if self.learning is None or not self.learning.roll(now):
            return []
        self._price()
        self.waiting.forget_fits()
        return self.waiting.open_lines()

    def _price(self) -> None:
        if self.learning is not None and self.pick.by_fit:
            fitting.price_groups(self.roster, self.learning.figures)

    def _connect(self, agent_id: str, *, connected: bool) -> None:
        """Who is there decides who is held back for whom."""
        group = self.roster.group(agent_id)
        if group is None:
            return
        group.connected += 1 if connected else -1
        if self.learning is not None:
            for line in group.lines:
                line.forget_fits()

    def _place(self, agent_id: str) -> None:
        self._shortages.pop(agent_id, None)
        agent, load = self.agents[agent_id], self.ledger.load(agent_id)
        available = agent.listed and agent.presence is Presence.AVAILABLE
        room = max(0, agent.capacity - load.units)
        self._count(agent_id, room if available else 0, agent.capacity if available else 0)
        if not available or not self.limits(agent_id).may_fit_more(load):
            self.roster.place(agent_id, None)
            return
        offered = self.ledger.latest_offer(agent_id)
        touched, given = max(agent.touched, offered), max(agent.given, offered)
        self.roster.place(
            agent_id, self.pick.key(Standing(agent_id, touched, given, load.units, agent.capacity))
        )

    def _count(self, agent_id: str, free: int, capacity: int) -> None:
        was_free, was_capacity = self._shares.get(agent_id, (0, 0))
        self._free_units += free - was_free
        self._all_units += capacity - was_capacity
        self._shares[agent_id] = free, capacity
