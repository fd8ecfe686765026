"""For any history of requests, agents, lapses, stalls, crashes, takeovers and changed workspaces: never over capacity, never
two holders, nobody idle beside work, nothing lost, declines remembered, and the same decisions each time."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from math import log
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.contracts.vocabulary import Channel, Presence
from libs.workspace import Relaxation, Terms
from services.router.assignment.domain import inputs
from services.router.assignment.domain.asking import contenders
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import Decision
from services.router.assignment.domain.learning import HANDLING, Cell
from services.router.assignment.domain.policy import AgentSpec, Mode, Policy
from services.router.assignment.domain.strategies import ORDERS, PICKS
from tests.property.witness import Witness, idle_beside_work, news, strays
from tests.unit.router.assignment.pool import BILLING, SALES, Pool

AGENTS = ("ayu", "budi", "citra", "dimas")
PRESENCES = st.sampled_from(
    [Presence.AVAILABLE, Presence.AVAILABLE, Presence.BUSY, Presence.BREAK, Presence.OFFLINE]
)
STEPS = st.sampled_from([1, 7, 15, 29, 30, 31, 45, 60, 200, 301]).map(lambda s: timedelta(seconds=s))
SKILLS = st.sampled_from([{}, {}, {"refund": 1}, {"refund": 2}, {"refund": 3}])
RELAXATIONS = (
    Relaxation(timedelta(seconds=30), {"refund": 1}, skip_if_nobody=True),
    Relaxation(timedelta(seconds=60), {"refund": 0}, (SALES,)),
)
LEARNED = tuple(
    Cell("main", HANDLING, f"refund:{level}", 0, 0, past_n=1000.0, past_total=1000.0 * log(taken))
    for level, taken in ((0, 900.0), (1, 600.0), (2, 300.0), (3, 200.0))
)
"""Handle times with a gap between levels, so that the slow are held back."""
ITEMS = st.integers(0, 29)
"""One of the live ones, counted round."""
SKEW = st.integers(-40, 40).map(lambda s: timedelta(seconds=s))


@st.composite
def policies(draw: st.DrawFn, version: str = "v1") -> Policy:
    present = draw(st.sampled_from([AGENTS, AGENTS[:1], AGENTS[:2], AGENTS[2:], AGENTS[1:]]))
    specs = {
        agent_id: AgentSpec(
            agent_id,
            draw(SKILLS),
            frozenset(draw(st.sampled_from([(BILLING, SALES), (BILLING,), (SALES,)]))),
            draw(st.sampled_from([2, 1, 3, 0])),
            draw(st.sampled_from([{}, {}, {Channel.WHATSAPP: 1}])),
            draw(st.sampled_from([{}, {}, {BILLING: Terms(1, timedelta(seconds=30))}])),
        )
        for agent_id in present
    }
    return Policy(
        pool="main",
        version=version,
        order=draw(st.sampled_from(sorted(ORDERS))),
        pick=draw(st.sampled_from(sorted(PICKS))),
        late_behind=draw(st.sampled_from([0.0, 0.25])),
        hold=draw(st.booleans()),
        relaxations={BILLING: draw(st.sampled_from([(), RELAXATIONS, RELAXATIONS[1:]]))},
        reservation_lease=draw(st.sampled_from([timedelta(minutes=10), timedelta(seconds=30)])),
        decline_memory=timedelta(seconds=20),
        auto_accept=draw(st.sampled_from([False, False, True])),
        missed_becomes_busy=draw(st.booleans()),
        offers_at_once=draw(st.sampled_from([1, 1, 2, 4])),
        modes={SALES: draw(st.sampled_from(list(Mode)))},
        interruptible=draw(st.sampled_from([{}, {}, {Channel.WHATSAPP: frozenset({Channel.WEBCHAT})}])),
        wrap_up_releases=frozenset(draw(st.sampled_from([(), (BILLING,)]))),
        channel_cost={Channel.WEBCHAT: 2},
        wrap_up={BILLING: timedelta(seconds=60)},
        hooks=draw(st.sampled_from([{}, {}, {BILLING: timedelta(seconds=2)}])),
        agents=specs,
        supervisors=frozenset({"sup"}),
    )


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """What a request may say besides who it is; `due` and `age` count from now."""
    return {
        "queue": draw(st.sampled_from([BILLING, BILLING, SALES, "closed"])),
        "channel": draw(st.sampled_from([Channel.WHATSAPP, Channel.WHATSAPP, Channel.WEBCHAT])),
        "skills": draw(SKILLS),
        "priority": draw(st.integers(0, 2)),
        "due": draw(st.none() | STEPS),
        "age": draw(STEPS),
        "last_agent_id": draw(st.none() | st.sampled_from(AGENTS)),
        "only_agent_id": draw(st.none() | st.none() | st.sampled_from(AGENTS)),
        "excluded_agent_ids": tuple(draw(st.lists(st.sampled_from(AGENTS), max_size=1))),
    }


def some_live(machine: "Matching") -> bool:
    return bool(machine.pool.items)


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


class Twins(Pool):
    """Beside the engine that goes on, one that is built anew from the rows before every input: they decide the same."""

    def __init__(self, policy: Policy, learned: Iterable[Cell]) -> None:
        super().__init__(policy, learned)
        self.witness = Witness()

    def tell(self, what: inputs.Input, at: datetime | None = None) -> list[Decision]:
        book, at = self.engine.book, at or self.now
        # Rows have heartbeats with a delay.
        rows, self.agents = self.agents, {agent_id: book.agents[agent_id] for agent_id in self.agents}
        twin, self.agents = self.twin(book.policy), rows
        standing = dict(self.reminders)
        expected = news(twin.apply(what, at=at, now=self.now), standing)
        told = super().tell(what, at)
        # A new engine looks at all that waits, also at what it will be reminded of at this very moment.
        due = any(name.startswith("wait/") and r.due <= self.now for name, r in standing.items())
        assert due or isinstance(what, inputs.WaitLapsed) or news(told, standing) == expected
        broken = self.witness.watch(what, at, self.now, told, book.policy)
        assert [*broken, *strays(self), *idle_beside_work(self)] == []
        return told


class Matching(RuleBasedStateMachine):
    """`Pool` checks the engine's own invariants and folds every decision, `Twins` judges them from outside, after every step."""

    @initialize(
        policy=policies(),
        learned=st.sampled_from([LEARNED, ()]),
        asked=st.lists(wishes(), min_size=2, max_size=6),
    )
    def begin(self, policy: Policy, learned: tuple[Cell, ...], asked: list[dict[str, Any]]) -> None:
        self.learned = learned
        self.pool = Twins(policy, learned)
        self.requested = 0
        self.versions = 1
        self.reservations: list[str] = []
        self.pool.available(*policy.agents)
        self.request(asked)

    @rule(asked=st.lists(wishes(), min_size=1, max_size=3))
    def request(self, asked: list[dict[str, Any]]) -> None:
        for wish in asked:
            self.requested += 1
            due, age = wish["due"], wish["age"]
            times = {
                "due_at": self.pool.now + due if due else None,
                "requested_at": self.pool.now - age,
            }
            rest = {name: value for name, value in wish.items() if name not in ("due", "age")}
            self.pool.request(f"wki_{self.requested}", **times, **rest)
        self._note()

    @precondition(some_live)
    @rule(number=ITEMS, wrap_up=st.booleans(), skew=SKEW)
    def withdraw(self, number: int, wrap_up: bool, skew: timedelta) -> None:
        what = inputs.Withdraw(self._item(number), "resolved", wrap_up)
        self.pool.tell(what, self.pool.now + skew)
        self._note()

    @precondition(some_live)
    @rule(number=ITEMS, priority=st.none() | st.integers(0, 3), due=st.none() | STEPS)
    def reprioritise(self, number: int, priority: int | None, due: timedelta | None) -> None:
        due_at = self.pool.now + due if due else None
        self.pool.tell(inputs.Reprioritise(self._item(number), priority, due_at))

    @rule()
    def what_has_ended_is_over(self) -> None:
        """Commands about what no longer is, or never was, change nothing and are answered."""
        self.pool.tell(inputs.Withdraw("wki_0", "resolved"))
        self.pool.complete("ayu", "wki_0")
        self.pool.force("ayu", "wki_0")

    @rule(agent_id=st.sampled_from(AGENTS), presence=PRESENCES)
    def presence(self, agent_id: str, presence: Presence) -> None:
        self.pool.presence(agent_id, presence)
        self._note()

    @precondition(lambda self: self.pool.engine.book.pending)
    @rule(number=ITEMS, skew=SKEW, declines=st.booleans())
    def answer_an_offer(self, number: int, skew: timedelta, declines: bool) -> None:
        standing = self._standing()
        answer = self.pool.decline if declines else self.pool.accept
        answer(*standing[number % len(standing)], at=self.pool.now + skew)
        self._note()

    @precondition(lambda self: self.pool.engine.book.pending)
    @rule()
    def take_all_that_is_offered(self) -> None:
        for agent_id in self.pool.engine.book.policy.agents:
            self.pool.take(agent_id)

    @precondition(lambda self: self.pool.engine.book.pending)
    @rule(then=st.sampled_from([7, 11, 19, 20, 45]).map(lambda s: timedelta(seconds=s)))
    def decline_all_that_is_offered(self, then: timedelta) -> None:
        """And look on, around the end of the memory."""
        for agent_id, reservation in self._standing():
            self.pool.decline(agent_id, reservation)
        self.work_on(then, silent=(), skew=timedelta(0))

    @precondition(lambda self: self.reservations)
    @rule(number=ITEMS, agent_id=st.sampled_from(AGENTS), declines=st.booleans())
    def answer_any_reservation(self, number: int, agent_id: str, declines: bool) -> None:
        reservation = self.reservations[-1 - number % len(self.reservations)]
        (self.pool.decline if declines else self.pool.accept)(agent_id, reservation)
        self._note()

    @precondition(some_live)
    @rule(number=ITEMS, agent_id=st.none() | st.sampled_from(AGENTS))
    def complete(self, number: int, agent_id: str | None) -> None:
        """By the holder, or by somebody else."""
        item = self.pool.items[self._item(number)]
        self.pool.complete(agent_id or item.agent_id or "ayu", item.work_item_id)
        self._note()

    @precondition(lambda self: self.pool.engine.book.asked)
    @rule(
        number=ITEMS,
        named=st.lists(st.sampled_from([*AGENTS, "zaki"]), max_size=3),
        fault=st.none() | st.none() | st.just("answered 503"),
        earlier=st.integers(0, 3).map(lambda n: n == 3),
        able=st.booleans(),
    )
    def answer_for_a_hook(
        self, number: int, named: list[str], fault: str | None, earlier: bool, able: bool
    ) -> None:
        """By an earlier ask, with a fault, or naming anybody; the `able` are the last of those it was told of."""
        asked = sorted(self.pool.engine.book.asked)
        item = self.pool.items[asked[number % len(asked)]]
        ask = item.hook_asks - 1 if earlier else item.hook_asks
        told = [c.agent_id for c in contenders(self.pool.engine.book, item)] if able else []
        agents = () if fault else (*named[:1], *told[-1:], *named[1:])
        self.pool.tell(inputs.HookAnswered(item.work_item_id, ask, agents, None, fault))
        self._note()

    @precondition(some_live)
    @rule(agent_id=st.sampled_from(AGENTS), number=ITEMS)
    def force(self, agent_id: str, number: int) -> None:
        self.pool.force(agent_id, self._item(number))
        self._note()

    @precondition(some_live)
    @rule(agent_id=st.sampled_from(AGENTS), number=ITEMS, named=st.booleans())
    def ask_for_work(self, agent_id: str, number: int, named: bool) -> None:
        if named:
            self.pool.pick(agent_id, self._item(number))
        else:
            self.pool.next(agent_id)
        self._note()

    @precondition(lambda self: any(item.agent_id for item in self.pool.items.values()))
    @rule(number=ITEMS, to=st.none() | st.sampled_from(AGENTS), by=st.sampled_from([None, "sup", "ayu"]))
    def consult(self, number: int, to: str | None, by: str | None) -> None:
        held = sorted(item.work_item_id for item in self.pool.items.values() if item.agent_id)
        item = self.pool.items[held[number % len(held)]]
        skills = {} if to else {"refund": 1}
        self.pool.consult(item.agent_id or "", item.work_item_id, to, by, **skills)
        self._note()

    @precondition(some_live)
    @rule(number=ITEMS, resumes=st.booleans())
    def fall_silent_or_resume(self, number: int, resumes: bool) -> None:
        item = self.pool.items[self._item(number)]
        if resumes:
            self.pool.resume(item.work_item_id)
        elif item.agent_id is not None:
            self.pool.silent(item.agent_id, item.work_item_id)
        self._note()

    @rule(by=STEPS, silent=st.just(()) | st.just(AGENTS) | st.sets(st.sampled_from(AGENTS)), skew=SKEW)
    def work_on(self, by: timedelta, silent: Collection[str], skew: timedelta) -> None:
        """Time passes; the desktops of all but the silent agents send their heartbeats."""
        end = self.pool.now + by
        while self.pool.now < end:
            self.pool.advance(min(timedelta(seconds=15), end - self.pool.now))
            present = [a for a in self.pool.engine.book.policy.agents if a not in silent]
            self.pool.beat(*present, at=self.pool.now + skew / 4)
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
        again = Pool(self.pool.first_policy, self.learned)
        for what, at, now, decisions in self.pool.history:
            again.now = now
            if isinstance(what, Policy):
                again.rebuild(what)
            else:
                assert again.tell(what, at) == decisions

    def _standing(self) -> list[tuple[str, str]]:
        """(agent, reservation)"""
        return sorted(
            (r.agent_id, r.reservation_id) for i in self.pool.items.values() for r in i.reservations
        )

    def _item(self, number: int) -> str:
        live = sorted(self.pool.items)
        return live[number % len(live)]

    def _note(self) -> None:
        fresh = (r for r in self.pool.engine.book.pending if r not in self.reservations)
        self.reservations.extend(fresh)


TestMatching = Matching.TestCase
TestMatching.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
