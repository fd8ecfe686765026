"""This file shows the rules of the simulation on days that are worked out by hand."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.routing.catalogue import NAMES, make_policy
from bench.routing.engine import Engine, Illegal, Outcome, Stranded
from bench.routing.floor import Conversation, Finished, Floor
from bench.routing.policy import Assignment
from bench.routing.world import World
from tests.unit.routing_bench.days import Contact, Silent, agent, day


def lived(world: World, policy: str = "lia") -> Outcome:
    return Engine(world, make_policy(policy, world)).run()


class Told(Silent):
    """Longest idle that also keeps what it is told."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._lia = make_policy("lia", world)

    def start(self, floor: Floor) -> None:
        super().start(floor)
        self._lia.start(floor)

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        super().on_arrival(conversation, now)
        return self._lia.on_arrival(conversation, now)

    def on_finish(self, agent: int, done: Sequence[Finished], now: float) -> Iterable[Assignment]:
        super().on_finish(agent, done, now)
        return self._lia.on_finish(agent, done, now)


def finishes(world: World) -> list[float]:
    told = Told(world)
    Engine(world, told).run()
    return [at for what, _, at in told.told if what == "finish"]


def test_the_next_is_served_when_the_one_before_is_done() -> None:
    world = day([agent(0)], [Contact(0.0, 100), Contact(10.0, 50), Contact(20.0, 30)])
    out = lived(world)
    assert out.started_at == pytest.approx([0, 100, 150])
    assert out.busy == pytest.approx([180])
    assert finishes(world) == pytest.approx([100, 150, 180])


def test_two_at_once_are_each_slowed_and_lose_no_progress() -> None:
    """60 s alone do 60; then both proceed at 1/1.2: 40 left take 48 s, until 108; the second did 40 then, 10 left."""
    world = day([agent(0)], [Contact(0.0, 100), Contact(60.0, 50)], capacity=2, slow_down=0.20)
    assert finishes(world) == pytest.approx([108, 118])


def test_three_at_once_proceed_at_one_over_one_and_two_slow_downs() -> None:
    world = day([agent(0)], [Contact(0.0, 100)] * 3, capacity=3, slow_down=0.20)
    assert finishes(world) == pytest.approx([140])


def test_level_speed_and_the_last_agent_multiply_the_work() -> None:
    world = day([agent(0, {0: 5})], [Contact(0.0, 100), Contact(500.0, 100, last_agent=0)], speed=[1.5])
    assert finishes(world) == pytest.approx([100 * 0.8 * 1.5, 500 + 100 * 0.8 * 1.5 * 0.9])


def test_whose_patience_ends_while_waiting_is_gone_and_whose_ends_in_service_is_not() -> None:
    world = day([agent(0)], [Contact(0.0, 100, patience=5), Contact(1.0, 100, patience=20)])
    out = lived(world)
    assert out.started_at[0] == 0
    assert out.abandoned_at[1] == pytest.approx(21)
    assert out.agent == [0, -1]
    assert out.assignments == [1]


def test_busy_seconds_end_with_the_day() -> None:
    assert lived(day([agent(0)], [Contact(950.0, 100)], horizon=1000.0)).busy == pytest.approx([50])


def test_at_the_start_the_highest_number_counts_as_longest_idle() -> None:
    out = lived(day([agent(0), agent(1), agent(2)], [Contact(0.0)] * 3))
    assert out.agent == [2, 1, 0]


def test_an_agent_is_idle_since_their_latest_assignment_or_finish() -> None:
    """Both had one; agent 1 was done at 10, agent 0 at 30: the third goes to agent 1."""
    out = lived(day([agent(0), agent(1)], [Contact(0.0, 10), Contact(1.0, 29), Contact(40.0)]))
    assert out.agent == [1, 0, 1]


def test_a_policy_that_forgets_a_customer_is_told_so() -> None:
    with pytest.raises(Stranded):
        Engine(day([agent(0)], [Contact(0.0)]), Silent()).run()


class Rash(Silent):
    """Gives everything to one agent, whatever they have."""

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        return ((conversation, 0),)


class Twice(Silent):
    """Gives the same conversation to two agents."""

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        return ((conversation, 0), (conversation, 1))


@pytest.mark.parametrize(
    ("policy", "contacts"),
    [(Rash(), [Contact(0.0), Contact(1.0)]), (Rash(), [Contact(0.0, topic=1)]), (Twice(), [Contact(0.0)])],
    ids=["over capacity", "without the skill", "two holders"],
)
def test_an_assignment_that_cannot_be_is_refused(policy: Silent, contacts: list[Contact]) -> None:
    with pytest.raises(Illegal):
        Engine(day([agent(0), agent(1)], contacts), policy).run()


def test_a_floor_that_a_policy_has_altered_does_not_raise_capacity() -> None:
    class Forger(Rash):
        def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
            self.floor.open[0] = 0
            return super().on_arrival(conversation, now)

    with pytest.raises(Illegal):
        Engine(day([agent(0)], [Contact(0.0), Contact(1.0)]), Forger()).run()


def test_a_wake_comes_at_the_second_that_was_asked_for() -> None:
    class Sleeper(Silent):
        def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
            self.floor.wake(now + 7, 42)
            return ()

        def on_wake(self, token: int, now: float) -> Iterable[Assignment]:
            super().on_wake(token, now)
            return [(c, 0) for c in self.floor.waiting.values()]

    policy = Sleeper()
    out = Engine(day([agent(0)], [Contact(3.0)]), policy).run()
    assert policy.told[0] == ("wake", 42, 10.0)
    assert out.started_at == [10.0]


contact = st.builds(
    Contact,
    at=st.floats(0, 500),
    work=st.floats(1, 200),
    patience=st.one_of(st.just(1e12), st.floats(1, 200)),
    topic=st.integers(0, 1),
    vip=st.booleans(),
    sla=st.sampled_from([20.0, 60.0]),
    last_agent=st.integers(-1, 0),
    channel=st.integers(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(
    contacts=st.lists(contact, max_size=25).map(lambda found: sorted(found, key=lambda c: c.at)),
    skills=st.lists(st.sampled_from([{0: 5}, {1: 4, 0: 1}, {0: 4, 1: 2}]), max_size=3),
    capacity=st.integers(1, 3),
    policy=st.sampled_from(NAMES),
)
def test_under_every_policy_each_customer_is_answered_once_or_gone_and_nobody_who_could_be_waits(
    contacts: list[Contact], skills: list[dict[int, int]], capacity: int, policy: str
) -> None:
    agents = [agent(n, levels) for n, levels in enumerate([{0: 4, 1: 4}, *skills])]
    out = lived(day(agents, contacts, capacity, 0.2), policy)
    for i, c in enumerate(contacts):
        answered, gone = out.agent[i] >= 0, out.abandoned_at[i] >= 0
        assert answered != gone
        if gone:
            assert out.abandoned_at[i] == pytest.approx(c.at + c.patience)
        else:
            assert c.at <= out.started_at[i] <= c.at + c.patience
            assert c.topic in agents[out.agent[i]].levels
    assert sum(out.assignments) == sum(a >= 0 for a in out.agent)
