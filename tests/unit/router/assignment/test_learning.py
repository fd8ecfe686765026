"""This file shows what is learned of handle times, and what matching makes of it."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from services.router.assignment.domain.decisions import Queued
from services.router.assignment.domain.learning import PERIOD, Learning
from services.router.assignment.domain.policy import Policy
from tests.unit.router.assignment.pool import BILLING, Pool, only, policy, seconds, spec

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GRADED = frozenset({"refund", "loans"})


def learned(gap: float, seen: int, seed: int = 1) -> Learning:
    """Lognormal handle times, sd of the logarithm .9: level 4 takes 1, level 1 takes `gap`; loans take thrice as long."""
    dice, learning = random.Random(seed), Learning("main", 0, GRADED)
    learning.roll(NOON)
    for number in range(seen):
        level, skill = (4, 1)[number % 4 == 0], ("refund", "loans")[number % 2]
        mean = 300 * (3 if skill == "loans" else 1) * (gap if level == 1 else 1)
        taken = timedelta(seconds=mean * dice.lognormvariate(0, 0.9))
        learning.handled([skill, "english"], {skill: level, "english": 1}, taken)
    learning.roll(NOON + PERIOD)
    return learning


@pytest.mark.parametrize("gap", [1.0, 1.4])
def test_a_gap_in_handle_time_is_found_and_none_is_invented(gap: float) -> None:
    effects = learned(gap, 20_000).figures.effects
    assert set(effects) == {1, 4}
    assert 2.71828 ** (effects[1] - effects[4]) == pytest.approx(gap, rel=0.05)


def test_little_is_learned_from_little() -> None:
    assert all(abs(effect) < 0.1 for effect in learned(1.4, 20).figures.effects.values())


def test_figures_stand_still_within_a_period() -> None:
    learning = learned(1.4, 1000)
    before = learning.figures
    learning.handled(["refund"], {"refund": 1}, timedelta(hours=5))
    assert not learning.roll(NOON + PERIOD + timedelta(seconds=1))
    assert learning.figures is before
    assert learning.roll(NOON + 2 * PERIOD)
    assert learning.figures is not before


def test_what_was_observed_survives_the_process() -> None:
    learning = learned(1.4, 1000)
    learning.asked((BILLING, (("refund", 1),)))
    again = Learning("main", 0, GRADED, learning.take_changes())
    for of in (learning, again):
        of.roll(NOON + 3 * PERIOD)
    assert again.figures == learning.figures
    assert again.figures.demand == {(BILLING, (("refund", 1),)): pytest.approx(1, rel=0.02)}


def busy_pool(gap: float, **changes: object) -> Pool:
    """Two fast agents and a slow one who have been at it; handle times as `gap` says."""
    rules: dict[str, object] = {"order": "slack", "pick": "best_fit", "auto_accept": True, "wrap_up": {}}
    agents = spec("ayu", refund=4), spec("budi", refund=4), spec("citra", refund=1)
    pool = Pool(policy(*agents, presence_lease=seconds(10**7), **(rules | changes)))
    pool.available("ayu", "budi", "citra")
    for number in range(900):
        agent = ("ayu", "budi", "citra")[number % 3]
        pool.request(f"wki_{number}", skills={"refund": 1}, only_agent_id=agent)
        pool.now += seconds(100 * (gap if agent == "citra" else 1))
        pool.withdraw(f"wki_{number}")
    pool.now += PERIOD
    return pool


def held_back(policy: Policy | None = None, gap: float = 1.5) -> Pool:
    """Both fast ones are taken when somebody asks who must be answered within 60 s."""
    pool = busy_pool(gap) if policy is None else busy_pool(gap, hold=policy.hold)
    for agent in ("ayu", "budi"):
        pool.request(f"wki_of_{agent}", only_agent_id=agent)
    told = pool.request("wki_x", skills={"refund": 1}, due_at=pool.now + seconds(60))
    if pool.where("wki_x") == ("queued", None):
        reasons = {c.agent_id: c.rejected for c in only(told, Queued).explanation.candidates}
        assert reasons["citra"] == "held for a better fit, 30 s more"
    return pool


def test_a_slow_agent_is_held_back_for_half_the_target_where_the_gap_is_real() -> None:
    pool = held_back()
    assert pool.where("wki_x") == ("queued", None)
    pool.advance(seconds(29))
    assert pool.where("wki_x") == ("queued", None)
    pool.advance(seconds(1))
    assert pool.where("wki_x") == ("assigned", "citra")


def test_nobody_is_held_back_without_a_gap_or_where_the_pool_says_so() -> None:
    assert held_back(gap=1.05).where("wki_x") == ("assigned", "citra")
    assert held_back(policy(hold=False)).where("wki_x") == ("assigned", "citra")


def test_a_fast_agent_who_is_free_meanwhile_has_it_at_once() -> None:
    pool = held_back()
    pool.advance(seconds(5))
    pool.withdraw("wki_of_budi")
    assert pool.where("wki_x") == ("assigned", "budi")


def test_nobody_is_held_back_for_agents_who_have_left() -> None:
    pool = held_back()
    pool.rebuild(
        policy(spec("citra", refund=1), order="slack", pick="best_fit", auto_accept=True, wrap_up={})
    )
    pool.beat("citra")
    assert pool.where("wki_x") == ("assigned", "citra")


def test_the_last_agent_is_not_held_back() -> None:
    pool = busy_pool(1.5)
    for agent in ("ayu", "budi"):
        pool.request(f"wki_of_{agent}", only_agent_id=agent)
    pool.request("wki_x", skills={"refund": 1}, due_at=pool.now + seconds(60), last_agent_id="citra")
    assert pool.where("wki_x") == ("assigned", "citra")


def test_the_best_fit_is_who_takes_least_time() -> None:
    pool = busy_pool(1.5)
    pool.request("wki_x", skills={"refund": 1})
    pool.request("wki_y", skills={"refund": 1})
    pool.request("wki_z", skills={"refund": 1}, requested_at=pool.now - seconds(7200))
    assert {pool.where("wki_x")[1], pool.where("wki_y")[1]} == {"ayu", "budi"}
    assert pool.where("wki_z")[1] == "citra"
