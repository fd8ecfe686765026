"""For any history of requests, agents, lapses, stalls, crashes, takeovers and changed workspaces: never over capacity, never
two holders, nobody idle beside work, nothing lost, declines remembered, and the same decisions each time."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain import inputs
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import Decision
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.policy import AgentSpec, Policy
from services.router.assignment.domain.strategies import STRATEGIES
from tests.property.witness import Witness, idle_beside_work, published, strays
from tests.unit.router.assignment.pool import BILLING, SALES, Pool

AGENTS = ("ayu", "budi", "citra", "dimas")
PRESENCES = st.sampled_from(
    [Presence.AVAILABLE, Presence.AVAILABLE, Presence.BUSY, Presence.BREAK, Presence.OFFLINE]
)
STEPS = st.sampled_from([1, 7, 15, 29, 30, 31, 45, 60, 200, 301]).map(lambda s: timedelta(seconds=s))
SKILLS = st.sampled_from([{}, {}, {"refund": 1}, {"refund": 2}, {"refund": 3}])
ITEMS = st.integers(0, 29)
"""One of the live items, counted round; any name where none is alive."""
SKEW = st.integers(-40, 40).map(lambda s: timedelta(seconds=s))


@st.composite
def policies(draw: st.DrawFn, version: str = "v1") -> Policy:
    present = draw(st.lists(st.sampled_from(AGENTS), min_size=1, max_size=4, unique=True))
    specs = {
        agent_id: AgentSpec(
            agent_id,
            draw(SKILLS),
            frozenset(draw(st.sampled_from([(BILLING,), (SALES,), (BILLING, SALES)]))),
            draw(st.sampled_from([0, 1, 1, 2, 3])),
        )
        for agent_id in present
    }
    return Policy(
        pool="main",
        version=version,
        strategy=draw(st.sampled_from(sorted(STRATEGIES))),
        auto_accept=draw(st.booleans()),
        missed_becomes_busy=draw(st.booleans()),
        channel_cost={Channel.WEBCHAT: 2},
        wrap_up={BILLING: timedelta(seconds=60)},
        agents=specs,
        supervisors=frozenset({"sup"}),
    )


def seen(book: Book) -> dict[str, Any]:
    """All that decides what happens next; heartbeats apart, which rows keep with a delay."""
    return {
        "items": book.items,
        "agents": {a: replace(s, heartbeat_at=None) for a, s in book.agents.items()},
        "waiting": list(book.waiting.in_order()),
        "free": [[key[-1] for key in group.free] for group in book.roster.groups.values()],
        "loads": {agent_id: book.load(agent_id) for agent_id in book.agents},
        "pending": book.pending,
        "over": book.over,
    }


class Twins(Pool):
    """Beside the engine that goes on, one that is built anew from the rows before every input: they decide the same."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.witness = Witness()

    def tell(self, what: inputs.Input, at: datetime | None = None) -> list[Decision]:
        book, at = self.engine.book, at or self.now
        agents = [book.agents[agent_id] for agent_id in self.agents]
        twin = Engine(book.policy, 0, list(self.items.values()), agents)
        expected = published(twin.apply(what, at=at, now=self.now))
        told = super().tell(what, at)
        assert published(told) == expected
        assert list(self.witness.watch(what, at, self.now, told, book.policy)) == []
        assert list(strays(self)) == []
        assert list(idle_beside_work(self)) == []
        return told


class Matching(RuleBasedStateMachine):
    """`Pool` checks the engine's own invariants and folds every decision, `Twins` judges them from outside, after every step."""

    @initialize(policy=policies())
    def begin(self, policy: Policy) -> None:
        self.pool = Twins(policy)
        self.requested = 0
        self.versions = 1
        self.reservations: list[str] = []
        self.pool.available(*policy.agents)

    @rule(
        queue=st.sampled_from([BILLING, BILLING, SALES, "closed"]),
        channel=st.sampled_from([Channel.WHATSAPP, Channel.WEBCHAT]),
        skills=SKILLS,
        priority=st.integers(0, 2),
        due=st.none() | STEPS,
        age=STEPS,
        last=st.none() | st.sampled_from(AGENTS),
        one=st.none() | st.none() | st.sampled_from(AGENTS),
        excluded=st.lists(st.sampled_from(AGENTS), max_size=1),
    )
    def request(self, **drawn: Any) -> None:
        self.requested += 1
        self.pool.request(
            f"wki_{self.requested}",
            queue=drawn["queue"],
            channel=drawn["channel"],
            skills=drawn["skills"],
            priority=drawn["priority"],
            due_at=self.pool.now + drawn["due"] if drawn["due"] else None,
            requested_at=self.pool.now - drawn["age"],
            last_agent_id=drawn["last"],
            only_agent_id=drawn["one"],
            excluded_agent_ids=tuple(drawn["excluded"]),
        )
        self._note()

    @rule(number=ITEMS, wrap_up=st.booleans(), skew=SKEW)
    def withdraw(self, number: int, wrap_up: bool, skew: timedelta) -> None:
        what = inputs.Withdraw(self._item(number), "resolved", wrap_up)
        self.pool.tell(what, self.pool.now + skew)

    @rule(number=ITEMS, priority=st.none() | st.integers(0, 3), due=st.none() | STEPS)
    def reprioritise(self, number: int, priority: int | None, due: timedelta | None) -> None:
        due_at = self.pool.now + due if due else None
        self.pool.tell(inputs.Reprioritise(self._item(number), priority, due_at))

    @rule(agent_id=st.sampled_from(AGENTS), presence=PRESENCES)
    def presence(self, agent_id: str, presence: Presence) -> None:
        self.pool.presence(agent_id, presence)
        self._note()

    @rule(agents=st.lists(st.sampled_from(AGENTS), unique=True), skew=SKEW)
    def heartbeats(self, agents: list[str], skew: timedelta) -> None:
        self.pool.beat(*agents, at=self.pool.now + skew)
        self._note()

    @rule(number=ITEMS, skew=SKEW, declines=st.booleans())
    def answer_what_is_offered(self, number: int, skew: timedelta, declines: bool) -> None:
        standing = sorted(self.pool.engine.book.pending.items())
        if standing:
            reservation, item = standing[number % len(standing)]
            agent_id = self.pool.items[item].agent_id
            assert agent_id is not None
            answer = self.pool.decline if declines else self.pool.accept
            answer(agent_id, reservation, at=self.pool.now + skew)
            self._note()

    @rule()
    def take_all_that_is_offered(self) -> None:
        for agent_id in self.pool.engine.book.policy.agents:
            self.pool.take(agent_id)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), agent_id=st.sampled_from(AGENTS), declines=st.booleans())
    def answer_any_reservation(self, data: st.DataObject, agent_id: str, declines: bool) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        (self.pool.decline if declines else self.pool.accept)(agent_id, reservation)
        self._note()

    @rule(agent_id=st.sampled_from(AGENTS), number=ITEMS)
    def complete(self, agent_id: str, number: int) -> None:
        self.pool.complete(agent_id, self._item(number))
        self._note()

    @rule(agent_id=st.sampled_from(AGENTS), number=ITEMS)
    def force(self, agent_id: str, number: int) -> None:
        self.pool.force(agent_id, self._item(number))
        self._note()

    @rule(by=STEPS)
    def advance(self, by: timedelta) -> None:
        self.pool.advance(by)
        self._note()

    @rule(by=STEPS, silent=st.sets(st.sampled_from(AGENTS)))
    def work_on(self, by: timedelta, silent: set[str]) -> None:
        """Time passes; the desktops of all but the silent agents send their heartbeats."""
        end = self.pool.now + by
        while self.pool.now < end:
            self.pool.advance(min(timedelta(seconds=15), end - self.pool.now))
            self.pool.beat(*sorted(self.pool.engine.book.policy.agents.keys() - silent))
        self._note()

    @rule(by=STEPS)
    def stall(self, by: timedelta) -> None:
        self.pool.stall(by)
        self._note()

    @rule(data=st.data())
    def change_workspace(self, data: st.DataObject) -> None:
        self.versions += 1
        self._begin_again(data.draw(policies(f"v{self.versions}")))

    @rule()
    def crash(self) -> None:
        """What goes on has the rows as they were written last, with heartbeats up to half a lease old."""
        for agent_id, saved in self.pool.agents.items():
            beat = self.pool.agent(agent_id).heartbeat_at
            assert (saved.heartbeat_at is None) == (beat is None)
            if beat is not None and saved.heartbeat_at is not None:
                assert beat - saved.heartbeat_at < timedelta(seconds=22.5)
        before = seen(self.pool.engine.book)
        self._begin_again(self.pool.engine.book.policy)
        assert seen(self.pool.engine.book) == before

    def _begin_again(self, policy: Policy) -> None:
        self.pool.rebuild(policy)
        self.pool.beat("nobody")
        self._note()

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "pool"):
            return
        book = self.pool.engine.book
        ended = self.requested - len(book.items)
        told = sum(
            1
            for *_, decisions in self.pool.history
            for d in decisions
            if type(d).__name__ in ("Completed", "Cancelled")
        )
        assert ended == told

    def teardown(self) -> None:
        """The whole history again, in another pool: the same decisions, one by one."""
        if not hasattr(self, "pool"):
            return
        again = Pool(self.pool.first_policy)
        for what, at, now, decisions in self.pool.history:
            again.now = now
            if isinstance(what, Policy):
                again.rebuild(what)
            else:
                assert again.tell(what, at) == decisions

    def _item(self, number: int) -> str:
        live = sorted(self.pool.items)
        return live[number % len(live)] if live else f"wki_{number}"

    def _note(self) -> None:
        fresh = (r for r in self.pool.engine.book.pending if r not in self.reservations)
        self.reservations.extend(fresh)


TestMatching = Matching.TestCase
TestMatching.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
