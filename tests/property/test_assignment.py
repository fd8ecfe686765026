"""For any history of requests, agents, lapses, stalls, takeovers and changed workspaces: never over capacity, nobody idle
beside work, nothing lost, and the same decisions each time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain import inputs
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.policy import AgentSpec, Mode, Policy
from tests.unit.router.assignment.pool import BILLING, SALES, Pool

AGENTS = ("ayu", "budi", "citra", "dimas")
PRESENCES = st.sampled_from(
    [Presence.AVAILABLE, Presence.AVAILABLE, Presence.BUSY, Presence.BREAK, Presence.OFFLINE]
)
STEPS = st.sampled_from([1, 7, 15, 29, 30, 31, 45, 60, 200, 301]).map(lambda s: timedelta(seconds=s))
SKEW = st.integers(-40, 40).map(lambda s: timedelta(seconds=s))


@st.composite
def policies(draw: st.DrawFn, version: str = "v1") -> Policy:
    present = draw(st.lists(st.sampled_from(AGENTS), min_size=1, max_size=4, unique=True))
    specs = {
        agent_id: AgentSpec(
            agent_id,
            draw(st.fixed_dictionaries({}, optional={"refund": st.integers(1, 3)})),
            frozenset(draw(st.lists(st.sampled_from([BILLING, SALES]), min_size=1, unique=True))),
            draw(st.integers(0, 3)),
            draw(st.fixed_dictionaries({}, optional={Channel.WHATSAPP: st.integers(0, 2)})),
        )
        for agent_id in present
    }
    return Policy(
        pool="main",
        version=version,
        auto_accept=draw(st.booleans()),
        missed_becomes_busy=draw(st.booleans()),
        offers_at_once=draw(st.sampled_from([1, 1, 2, 4])),
        modes={SALES: draw(st.sampled_from(list(Mode)))},
        interruptible=draw(st.sampled_from([{}, {}, {Channel.WHATSAPP: frozenset({Channel.WEBCHAT})}])),
        wrap_up_releases=frozenset(draw(st.sampled_from([(), (BILLING,)]))),
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
        "free": [[key[-1] for key in group.free] for group in book.roster.groups],
        "loads": {agent_id: book.load(agent_id) for agent_id in book.agents},
        "pending": book.pending,
        "over": book.over,
    }


class Matching(RuleBasedStateMachine):
    """`Pool` checks the engine's invariants and folds every decision after every step."""

    @initialize(policy=policies())
    def begin(self, policy: Policy) -> None:
        self.pool = Pool(policy)
        self.requested = 0
        self.versions = 1
        self.reservations: list[str] = []

    @rule(
        queue=st.sampled_from([BILLING, BILLING, SALES, "closed"]),
        channel=st.sampled_from([Channel.WHATSAPP, Channel.WEBCHAT]),
        skills=st.fixed_dictionaries({}, optional={"refund": st.integers(1, 3)}),
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

    @rule(number=st.integers(1, 30), wrap_up=st.booleans(), skew=SKEW)
    def withdraw(self, number: int, wrap_up: bool, skew: timedelta) -> None:
        what = inputs.Withdraw(f"wki_{number}", "resolved", wrap_up)
        self.pool.tell(what, self.pool.now + skew)

    @rule(number=st.integers(1, 30), priority=st.none() | st.integers(0, 3), due=st.none() | STEPS)
    def reprioritise(self, number: int, priority: int | None, due: timedelta | None) -> None:
        due_at = self.pool.now + due if due else None
        self.pool.tell(inputs.Reprioritise(f"wki_{number}", priority, due_at))

    @rule(agent_id=st.sampled_from(AGENTS), presence=PRESENCES)
    def presence(self, agent_id: str, presence: Presence) -> None:
        self.pool.presence(agent_id, presence)
        self._note()

    @rule(agents=st.lists(st.sampled_from(AGENTS), unique=True), skew=SKEW)
    def heartbeats(self, agents: list[str], skew: timedelta) -> None:
        self.pool.beat(*agents, at=self.pool.now + skew)
        self._note()

    @rule(data=st.data(), skew=SKEW)
    def accept_what_is_offered(self, data: st.DataObject, skew: timedelta) -> None:
        standing = sorted(self.pool.engine.book.pending.items())
        if standing:
            reservation, item = data.draw(st.sampled_from(standing))
            [agent_id] = [
                r.agent_id for r in self.pool.items[item].reservations if r.reservation_id == reservation
            ]
            self.pool.accept(agent_id, reservation, self.pool.now + skew)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), agent_id=st.sampled_from(AGENTS), declines=st.booleans())
    def answer_any_reservation(self, data: st.DataObject, agent_id: str, declines: bool) -> None:
        reservation = data.draw(st.sampled_from(self.reservations))
        (self.pool.decline if declines else self.pool.accept)(agent_id, reservation)
        self._note()

    @rule(agent_id=st.sampled_from(AGENTS), number=st.integers(1, 30))
    def complete(self, agent_id: str, number: int) -> None:
        self.pool.complete(agent_id, f"wki_{number}")
        self._note()

    @rule(agent_id=st.sampled_from(AGENTS), number=st.integers(1, 30))
    def force(self, agent_id: str, number: int) -> None:
        self.pool.force(agent_id, f"wki_{number}")
        self._note()

    @rule(agent_id=st.sampled_from(AGENTS), number=st.integers(1, 30), named=st.booleans())
    def ask_for_work(self, agent_id: str, number: int, named: bool) -> None:
        if named:
            self.pool.pick(agent_id, f"wki_{number}")
        else:
            self.pool.next(agent_id)
        self._note()

    @rule(data=st.data(), to=st.none() | st.sampled_from(AGENTS), by=st.sampled_from([None, "sup", "ayu"]))
    def consult(self, data: st.DataObject, to: str | None, by: str | None) -> None:
        held = [i for i in self.pool.items.values() if i.agent_id is not None]
        if held:
            item = data.draw(st.sampled_from(sorted(held, key=lambda i: i.work_item_id)))
            skills = {} if to else {"refund": 1}
            self.pool.consult(item.agent_id or "", item.work_item_id, to, by, **skills)
            self._note()

    @rule(number=st.integers(1, 30), resumes=st.booleans())
    def fall_silent_or_resume(self, number: int, resumes: bool) -> None:
        item = self.pool.items.get(f"wki_{number}")
        if resumes:
            self.pool.resume(f"wki_{number}")
        elif item is not None and item.agent_id is not None:
            self.pool.silent(item.agent_id, item.work_item_id)
        self._note()

    @rule(by=STEPS)
    def advance(self, by: timedelta) -> None:
        self.pool.advance(by)
        self._note()

    @rule(by=STEPS)
    def stall(self, by: timedelta) -> None:
        self.pool.stall(by)
        self._note()

    @rule(data=st.data())
    def change_workspace(self, data: st.DataObject) -> None:
        self.versions += 1
        self._write_heartbeats()
        self.pool.rebuild(data.draw(policies(f"v{self.versions}")))
        self.pool.beat("nobody")
        self._note()

    @rule()
    def take_over(self) -> None:
        """The rows alone make an engine that knows all that the lost one knew, heartbeats apart."""
        before = seen(self.pool.engine.book)
        for agent_id, saved in self.pool.agents.items():
            beat = self.pool.agent(agent_id).heartbeat_at
            assert (saved.heartbeat_at is None) == (beat is None)
            if beat is not None and saved.heartbeat_at is not None:
                assert beat - saved.heartbeat_at < timedelta(seconds=22.5)
        self._write_heartbeats()
        self.pool.rebuild()
        assert seen(self.pool.engine.book) == before
        decisions = self.pool.beat("nobody")
        assert [type(d).__name__ for d in decisions] == ["Ignored"]

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
        """The whole history again, in another engine: the same decisions, one by one."""
        if not hasattr(self, "pool"):
            return
        engine = Engine(self.pool.first_policy)
        for what, at, now, decisions in self.pool.history:
            if isinstance(what, Policy):
                book = engine.book
                engine = Engine(
                    what, 0, list(book.items.values()), [a for a in book.agents.values() if a.version]
                )
            else:
                assert engine.apply(what, at=at, now=now) == decisions

    def _write_heartbeats(self) -> None:
        self.pool.agents = {agent_id: self.pool.agent(agent_id) for agent_id in self.pool.agents}

    def _note(self) -> None:
        fresh = (r for r in self.pool.engine.book.pending if r not in self.reservations)
        self.reservations.extend(fresh)


TestMatching = Matching.TestCase
TestMatching.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
