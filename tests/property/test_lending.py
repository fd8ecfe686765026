"""This file proves lending over random histories: pools hear each other late, restart, and agents and customers do what they like."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.contracts.payloads.assignments import ReservationOffered
from libs.contracts.vocabulary import Presence, WorkState
from tests.unit.router.assignment.pools import HOME, OTHER, THIRD, Pools

AGENTS = ("ayu", "budi", "citra", "dewi", "eka")
POOLS = (HOME, OTHER, THIRD)
PICKS = st.integers(0, 1_000)


class LendingPools(RuleBasedStateMachine):
    """Never two who decide, never two holders, never over capacity, nothing lost; at rest everything eligible is given."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = Pools()
        self.count = 0
        self.homes: dict[str, str] = {}

        for agent in ("citra", "dewi", "eka"):
            self.pools.presence(agent)

    @rule(
        queue=st.sampled_from(["invoices", "invoices", "orders"]),
        level=st.sampled_from([0, 0, 2, 4]),
        waited=st.sampled_from([0, 61, 121]),
    )
    def request(self, queue: str, level: int, waited: int) -> None:
        self.count += 1
        name = f"wki_{self.count}"
        self.homes[name] = self.pools.workspace.queues[queue].pool
        skills = {"refund": level} if level else {}
        self.pools.request(
            name, queue, skills=skills, requested_at=self.pools.now - timedelta(seconds=waited)
        )

    @rule(pick=PICKS, wrap_up=st.booleans())
    def withdraw(self, pick: int, wrap_up: bool) -> None:
        if self.homes:
            name = sorted(self.homes)[pick % len(self.homes)]
            self.pools.withdraw(name, self.homes[name], wrap_up=wrap_up)

    @rule(pick=PICKS, priority=st.integers(0, 2))
    def reprioritise(self, pick: int, priority: int) -> None:
        if self.homes:
            name = sorted(self.homes)[pick % len(self.homes)]
            self.pools.reprioritise(name, priority, self.homes[name])

    @rule(pick=PICKS, agent=st.sampled_from(["hendra", "ayu", "dewi"]), by_policy=st.booleans())
    def force(self, pick: int, agent: str, by_policy: bool) -> None:
        if self.homes:
            name = sorted(self.homes)[pick % len(self.homes)]
            (self.pools.escalate if by_policy else self.pools.force)(name, agent, self.homes[name])

    @rule(pick=PICKS, silent=st.booleans())
    def go_silent_or_write(self, pick: int, silent: bool) -> None:
        held = [
            (item.work_item_id, item.agent_id)
            for pool in POOLS
            for item in self.pools.engine(pool).book.items.values()
            if item.state is WorkState.ASSIGNED and item.agent_id
        ]
        if held:
            name, agent_id = held[pick % len(held)]
            if silent:
                self.pools.silent(name, agent_id, self.homes[name])
            else:
                self.pools.resume(name, self.homes[name])

    @rule(agent=st.sampled_from([*AGENTS, "hendra"]), there=st.sampled_from([True, True, False]))
    def presence(self, agent: str, there: bool) -> None:
        self.pools.presence(agent, Presence.AVAILABLE if there else Presence.OFFLINE)

    @rule(pick=PICKS, decline=st.sampled_from([False, False, False, True]))
    def answer(self, pick: int, decline: bool) -> None:
        """Of offers that stand."""
        standing = {
            r.reservation_id
            for pool in POOLS
            for item in self.pools.engine(pool).book.items.values()
            for r in item.reservations
        }
        offers = [
            f for f in self.pools.facts if isinstance(f, ReservationOffered) and f.reservation_id in standing
        ]
        if offers:
            offer = offers[pick % len(offers)]
            (self.pools.decline if decline else self.pools.accept)(offer)

    @rule(pick=PICKS, decline=st.booleans())
    def answer_late(self, pick: int, decline: bool) -> None:
        """Also of offers that have ended."""
        offers = [fact for fact in self.pools.facts if isinstance(fact, ReservationOffered)][-4:]
        if offers:
            offer = offers[pick % len(offers)]
            (self.pools.decline if decline else self.pools.accept)(offer)

    @rule(by=st.sampled_from([1, 20, 31, 61, 301]))
    def advance(self, by: int) -> None:
        self.pools.advance(timedelta(seconds=by))

    @precondition(lambda self: any(self.pools.mail.values()))
    @rule(pick=PICKS, count=st.integers(1, 3))
    def deliver(self, pick: int, count: int) -> None:
        ways = sorted(way for way, letters in self.pools.mail.items() if letters)
        way = ways[pick % len(ways)]
        self.pools.deliver(*way, count=min(count, len(self.pools.mail[way])))

    @rule()
    def deliver_all(self) -> None:
        self.pools.deliver_all()
        assert self.pools.at_rest() == []

    @rule(pool=st.sampled_from(POOLS))
    def restart(self, pool: str) -> None:
        self.pools.restart(pool)

    @invariant()
    def nothing_is_held_twice_or_lost(self) -> None:
        assert self.pools.violations() == []

    def teardown(self) -> None:
        self.pools.deliver_all()
        assert self.pools.at_rest() == []
        assert self.pools.violations() == []


LendingPools.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestLending = LendingPools.TestCase
