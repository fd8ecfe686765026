"""This file drives one engine by hand: time, reminders, rows, and a ledger that is kept from the decisions alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain import decisions as made
from services.router.assignment.domain import inputs
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.decisions import AgentChange, Answer, Decision, Forget, Remind
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.learning import Cell
from services.router.assignment.domain.policy import AgentSpec, Policy
from services.router.assignment.domain.work import WorkItem

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BILLING, SALES = "billing", "sales"

D = TypeVar("D", bound=Decision)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def spec(
    agent_id: str,
    capacity: int = 1,
    queues: tuple[str, ...] = (BILLING,),
    caps: Mapping[Channel, int] | None = None,
    **skills: int,
) -> AgentSpec:
    return AgentSpec(agent_id, skills, frozenset(queues), capacity, caps or {})


def policy(*specs: AgentSpec, **changes: Any) -> Policy:
    """Offers stand 30 s, presence 45 s, grace 30 s, declines 300 s; wrap-up of 60 s in billing; `sup` is the supervisor."""
    values: dict[str, Any] = {
        "pool": "main",
        "version": "v1",
        "wrap_up": {BILLING: seconds(60)},
        "supervisors": frozenset({"sup"}),
    }
    return Policy(agents={s.agent_id: s for s in specs}, **(values | changes))


@dataclass
class Held:
    """What the published facts say of one item."""

    version: int = 0
    at: datetime = START
    agent_id: str | None = None
    """Who holds it."""
    offered: dict[str, str] = field(default_factory=dict)
    """Standing reservation -> agent."""
    units: int = 0
    channel: Channel = Channel.UNKNOWN
    released: bool = False

    def claimed_by(self, agent_id: str) -> int:
        """Units that it takes of an agent."""
        held = 0 if self.released or self.agent_id != agent_id else self.units
        return held + self.units * sum(to == agent_id for to in self.offered.values())


@dataclass
class Ledger:
    """Folds decisions as a reader of the topics would, and objects to what a reader could not believe."""

    policy: Policy
    live: dict[str, Held] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def load(self, agent_id: str) -> int:
        return sum(held.claimed_by(agent_id) for held in self.live.values())

    def on(self, agent_id: str, channel: Channel) -> list[Held]:
        """What takes units of the agent, on one channel."""
        return [h for h in self.live.values() if h.channel is channel and h.claimed_by(agent_id)]

    def fold(self, decision: Decision) -> None:
        if isinstance(decision, AgentChange):
            self._fold_agent(decision)
        elif isinstance(decision, made.Fact):
            self._fold_fact(decision)

    def _fold_agent(self, change: AgentChange) -> None:
        agent_id, version = change.agent.agent_id, change.agent.version
        if version == 0:
            assert change.answer is not None
            return
        known = self.versions.get(agent_id)
        rejoined = known is not None and change.agent.presence is Presence.OFFLINE
        assert known is None or version == known + 1 or (rejoined and version > known)
        self.versions[agent_id] = version
        assert change.load == self.load(agent_id)

    def _fold_fact(self, fact: made.Fact) -> None:
        item = fact.item
        held = self.live.setdefault(item.work_item_id, Held(units=item.units, channel=item.channel))
        assert item.version == held.version + 1
        assert item.changed_at >= held.at or held.version == 0
        held.version, held.at = item.version, item.changed_at
        match fact:
            case made.Offered():
                offer = fact.reservation
                assert offer.agent_id not in (held.agent_id, *held.offered.values())
                held.offered[offer.reservation_id] = offer.agent_id
                self._fits(offer.agent_id, held)
            case made.Assigned():
                if fact.reservation_id is not None:
                    assert held.offered == {fact.reservation_id: fact.agent_id}
                    held.offered.clear()
                assert not held.offered
                assert fact.forced_by or fact.reservation_id or held.agent_id is None
                held.agent_id, held.released = fact.agent_id, False
                if fact.forced_by is None and fact.reservation_id is None:
                    self._fits(fact.agent_id, held)
            case made.ReservationEnded():
                assert held.offered[fact.reservation_id] == fact.agent_id
                if fact.ending is not made.Ending.ACCEPTED:
                    del held.offered[fact.reservation_id]
            case made.Queued():
                assert not held.offered
                held.agent_id, held.released = None, False
            case made.Idled():
                assert (held.agent_id, held.released) == (fact.agent_id, False)
                held.released = True
            case made.Woken():
                assert (held.agent_id, held.released) == (fact.agent_id, True)
                held.released = False
            case made.Wrapping():
                assert (held.agent_id, held.offered) == (fact.agent_id, {})
                held.released = item.released
            case made.Completed():
                assert (held.agent_id, held.offered) == (fact.agent_id, {})
                del self.live[item.work_item_id]
            case made.Cancelled():
                assert (held.agent_id, held.offered) == (None, {})
                del self.live[item.work_item_id]

    def _fits(self, agent_id: str, added: Held) -> None:
        """What was just given fits: within the capacity, or beside work that it may interrupt, and within the cap."""
        spec, rules = self.policy.agents[agent_id], self.policy.interruptible
        cap = spec.caps.get(added.channel)
        assert cap is None or len(self.on(agent_id, added.channel)) <= cap, f"{agent_id} over the cap"
        load = self.load(agent_id)
        if load <= spec.capacity:
            return
        aside = sum(
            held.claimed_by(agent_id)
            for held in self.live.values()
            if held is not added and added.channel in rules.get(held.channel, ())
        )
        assert load - added.units <= spec.capacity, f"{agent_id} was over capacity before"
        assert load - aside <= spec.capacity, f"{agent_id} over capacity"


class Pool:
    """One engine with its surroundings. Every call checks the engine's invariants and the ledger."""

    def __init__(self, policy: Policy, learned: Iterable[Cell] = ()) -> None:
        self.now = START
        self.history: list[tuple[inputs.Input | Policy, datetime, datetime, list[Decision]]] = []
        self.reminders: dict[str, Remind] = {}
        self.items: dict[str, WorkItem] = {}
        self.agents: dict[str, AgentState] = {}
        self.cells = {(cell.kind, cell.name): cell for cell in learned}
        self.ledger = Ledger(policy)
        self.asked: set[str] = set()
        self.first_policy = policy
        self.engine = Engine(policy, cells=self.cells.values())
        self._numbers = count(1)

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, what: inputs.Input, at: datetime | None = None) -> list[Decision]:
        decisions = self.engine.apply(what, at=at or self.now, now=self.now)
        self.history.append((what, at or self.now, self.now, decisions))
        self._take(decisions)
        return decisions

    def _take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.ledger.fold(decision)
            match decision:
                case Remind(id=id):
                    self.reminders[id] = decision
                case Forget(id):
                    self.reminders.pop(id, None)
                case _:
                    pass
        changes = self.engine.take_changes()
        self.items |= {item.work_item_id: item for item in changes.items}
        for item in changes.ended:
            self.items.pop(item.work_item_id, None)
        self.agents |= {agent.agent_id: agent for agent in changes.agents}
        self.cells |= {(cell.kind, cell.name): cell for cell in changes.learned}
        assert self.engine.check() == []
        assert set(self.ledger.live) == set(self.engine.book.items)

    def advance(self, by: timedelta) -> list[Decision]:
        """Time passes and every reminder is told at the moment it is due."""
        end, decisions = self.now + by, []
        while (due := self._next_due(end)) is not None:
            self.now = max(self.now, due.due)
            decisions += self._fire(due)
        self.now = end
        return decisions

    def stall(self, by: timedelta) -> list[Decision]:
        """Nothing runs for a while; then all that fell due is told, in order of its due time."""
        self.now, decisions = self.now + by, []
        while (due := self._next_due(self.now)) is not None:
            decisions += self._fire(due)
        return decisions

    def _next_due(self, until: datetime) -> Remind | None:
        first = min(self.reminders.values(), key=lambda r: (r.due, r.id), default=None)
        return first if first is not None and first.due <= until else None

    def _fire(self, reminder: Remind) -> list[Decision]:
        del self.reminders[reminder.id]
        return self.tell(reminder.lapse, at=reminder.due)

    def rebuild(self, policy: Policy | None = None) -> None:
        """A new engine from the written rows, as after a takeover; the workspace may have changed."""
        if policy is not None:
            self.ledger.policy = policy
            self.history.append((policy, self.now, self.now, []))
        self.engine = self.twin(policy or self.engine.book.policy)

    def twin(self, policy: Policy) -> Engine:
        """Another engine from the written rows."""
        items, agents, cells = self.items.values(), self.agents.values(), self.cells.values()
        return Engine(policy, 0, list(items), list(agents), list(cells))

    # -- short forms --------------------------------------------------------------------------------------------------

    def request(self, work_item_id: str, **values: Any) -> list[Decision]:
        defaults: dict[str, Any] = {
            "conversation_id": f"cnv_{work_item_id}",
            "contact_point_id": f"cpt_{work_item_id}",
            "queue": BILLING,
            "channel": Channel.WHATSAPP,
            "requested_at": self.now,
        }
        return self.tell(inputs.Request(work_item_id, **(defaults | values)))

    def withdraw(
        self, work_item_id: str, reason: str = "resolved", *, wrap_up: bool = False
    ) -> list[Decision]:
        return self.tell(inputs.Withdraw(work_item_id, reason, wrap_up))

    def available(self, *agent_ids: str) -> list[Decision]:
        return [d for agent_id in agent_ids for d in self.presence(agent_id, Presence.AVAILABLE)]

    def presence(self, agent_id: str, presence: Presence, reason: str | None = None) -> list[Decision]:
        return self.tell(inputs.SetPresence(agent_id, self._command(), presence, reason))

    def beat(self, *agent_ids: str, at: datetime | None = None) -> list[Decision]:
        return [d for agent_id in agent_ids for d in self.tell(inputs.Heartbeat(agent_id), at)]

    def accept(
        self, agent_id: str, reservation_id: str, at: datetime | None = None, version: int | None = None
    ) -> list[Decision]:
        return self.tell(inputs.Accept(agent_id, self._command(), reservation_id, version), at)

    def decline(
        self, agent_id: str, reservation_id: str, reason: str | None = None, at: datetime | None = None
    ) -> list[Decision]:
        return self.tell(inputs.Decline(agent_id, self._command(), reservation_id, reason), at)

    def complete(self, agent_id: str, work_item_id: str) -> list[Decision]:
        return self.tell(inputs.Complete(agent_id, self._command(), work_item_id))

    def force(self, agent_id: str, work_item_id: str, by: str = "sup") -> list[Decision]:
        return self.tell(inputs.ForceAssign(agent_id, self._command(), work_item_id, by))

    def consult(
        self,
        holder: str,
        work_item_id: str,
        to: str | None = None,
        by: str | None = None,
        **skills: int,
    ) -> list[Decision]:
        """The holder (or `by`) asks another agent, or one with skills, to take the work over."""
        return self.tell(inputs.Consult(holder, self._command(), work_item_id, by or holder, to, skills))

    def next(self, agent_id: str) -> list[Decision]:
        return self.tell(inputs.Next(agent_id, self._command()))

    def pick(self, agent_id: str, work_item_id: str) -> list[Decision]:
        return self.tell(inputs.Take(agent_id, self._command(), work_item_id))

    def silent(self, agent_id: str, work_item_id: str, since: datetime | None = None) -> list[Decision]:
        return self.tell(inputs.FallSilent(work_item_id, agent_id, since or self.now))

    def resume(self, work_item_id: str) -> list[Decision]:
        return self.tell(inputs.Resume(work_item_id))

    def tell_lost(self, agent_id: str) -> list[Decision]:
        """Nothing is heard of the agent until the grace is over; the others go on."""
        others = [a.agent_id for a in self.engine.book.agents.values() if a.connected]
        decisions = []
        for _ in range(5):
            decisions += self.advance(seconds(15))
            self.beat(*(a for a in others if a != agent_id))
        return decisions

    def take(self, agent_id: str) -> list[str]:
        """The agent accepts everything that is offered; returns the items' ids."""
        offers = [(i, r) for i in self.items.values() for r in i.reservations if r.agent_id == agent_id]
        for _, offer in offers:
            self.accept(agent_id, offer.reservation_id)
        return sorted(item.work_item_id for item, _ in offers)

    def reservation(self, work_item_id: str, agent_id: str | None = None) -> str:
        """The standing reservation of an item, the only one or the agent's."""
        [found] = [r for r in self.items[work_item_id].reservations if agent_id in (None, r.agent_id)]
        return found.reservation_id

    def where(self, work_item_id: str) -> tuple[str, str | None]:
        """(state, the holder or else whom it is offered to) of a live item."""
        item = self.items[work_item_id]
        offered = "+".join(r.agent_id for r in item.reservations)
        return (item.state.value, item.agent_id or offered or None)

    def agent(self, agent_id: str) -> AgentState:
        return self.engine.book.agents[agent_id]

    def _command(self) -> str:
        return f"cmd-{next(self._numbers)}"


def only(decisions: list[Decision], kind: type[D]) -> D:
    """The one decision of a kind."""
    found = every(decisions, kind)
    assert len(found) == 1, f"{len(found)} of {kind.__name__} in {decisions}"
    return found[0]


def every(decisions: list[Decision], kind: type[D]) -> list[D]:
    return [d for d in decisions if isinstance(d, kind)]


def answer(decisions: list[Decision]) -> Answer:
    """The answer to the command that led to the decisions."""
    found = [c.answer for c in every(decisions, AgentChange) if c.answer is not None]
    assert len(found) == 1
    return found[0]


def code(decisions: list[Decision]) -> str:
    return answer(decisions).code.value


def facts(decisions: list[Decision]) -> list[str]:
    """The kinds of the facts, in order, each with its agent where it has one: `Offered ayu`."""
    return [" ".join(_words(d)) for d in decisions if isinstance(d, made.Fact)]


def _words(fact: made.Fact) -> Iterator[str]:
    yield fact.ending.value if isinstance(fact, made.ReservationEnded) else type(fact).__name__.lower()
    if isinstance(fact, made.Offered):
        yield fact.reservation.agent_id
        return
    agent_id = getattr(fact, "agent_id", None) or fact.item.agent_id
    if agent_id:
        yield agent_id


def rejections(explanation: made.Explanation) -> dict[str, str | None]:
    return {c.agent_id: c.rejected for c in explanation.candidates}


Build = Callable[..., Pool]
