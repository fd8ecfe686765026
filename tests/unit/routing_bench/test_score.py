"""This file shows the measures on outcomes that are counted by hand."""

import math

import numpy as np
import pytest

from bench.routing.engine import Outcome
from bench.routing.score import gini, jain, score
from tests.unit.routing_bench.days import Contact, agent, day

NEVER = math.nan


def test_each_measure_counts_what_its_definition_says() -> None:
    contacts = [
        Contact(0.0),  # before the warm-up: not scored
        Contact(100.0, sla=60, last_agent=0),  # answered in time, by the last agent
        Contact(100.0, sla=60, vip=True, last_agent=1),  # answered 30 s late, by another than the last
        Contact(100.0, sla=60),  # gone in time: leaves the base
        Contact(100.0, sla=60, channel=1),  # gone 40 s late
        Contact(100.0, sla=60),  # answered exactly at the target: in time
    ]
    world = day([agent(0, {0: 4}), agent(1, {0: 3})], contacts)
    out = Outcome(
        world,
        started_at=[900.0, 110.0, 190.0, NEVER, NEVER, 160.0],
        abandoned_at=[NEVER, NEVER, NEVER, 130.0, 200.0, NEVER],
        agent=[0, 0, 0, -1, -1, 1],
        level=[4, 4, 4, 0, 0, 3],
        assignments=[3, 1],
        busy=[500.0, 250.0],
    )
    found = score(out, warm_up=50.0)
    assert found.n == 5
    assert found.breach == pytest.approx(2 / 4)
    assert found.breach_vip == 1
    assert found.breach_ch0 == pytest.approx(1 / 3)
    assert found.worst_pool == 0  # no pool has fifty
    assert found.tardiness == pytest.approx((30 + 40) / 4)
    assert found.abandoned == pytest.approx(2 / 5)
    assert found.asa == pytest.approx((10 + 90 + 60) / 3)
    assert found.asa_ch0 == found.asa
    assert found.p95 == pytest.approx(87)
    assert found.good_match == pytest.approx(2 / 3)
    assert found.affinity == pytest.approx(1 / 2)
    assert found.utilisation == pytest.approx(0.375)
    assert found.jain == pytest.approx(0.75**2 / (2 * (0.5**2 + 0.25**2)))
    assert found.gini == pytest.approx(0.25)
    assert found.longest_wait == 100


def test_the_worst_pool_is_the_worst_of_those_with_fifty_in_the_base() -> None:
    contacts = [Contact(1.0, topic=0)] * 50 + [Contact(1.0, topic=1)] * 49
    world = day([agent(0, {0: 4, 1: 4})], contacts, capacity=99)
    started = [1.0] * 40 + [101.0] * 10 + [101.0] * 49
    out = Outcome(world, started, [NEVER] * 99, [0] * 99, [4] * 99, [99], [1.0])
    assert score(out, warm_up=0.0).worst_pool == pytest.approx(10 / 50)


def test_jain_and_gini_of_equal_shares_and_of_one_who_has_all() -> None:
    assert jain(np.ones(4)) == pytest.approx(1)
    assert jain(np.array([0.0, 0, 0, 8])) == pytest.approx(1 / 4)
    assert gini(np.ones(4)) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 8])) == pytest.approx(3 / 4)
