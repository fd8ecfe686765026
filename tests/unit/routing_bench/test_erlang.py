"""This file shows the closed forms against known values, each other, and the simulation."""

import pytest

from bench.routing import queueing
from bench.routing.erlang import birth_death, erlang_a, erlang_b, erlang_c, mean_wait, shared_agent
from bench.routing.paired import Interval


@pytest.mark.parametrize(("servers", "load", "blocked"), [(1, 1.0, 0.5), (2, 1.0, 0.2), (10, 5.0, 0.018385)])
def test_erlang_b_has_its_tabled_values(servers: int, load: float, blocked: float) -> None:
    assert erlang_b(servers, load) == pytest.approx(blocked, abs=1e-6)


def test_with_one_server_the_share_who_wait_is_the_load_and_the_wait_that_of_one_queue() -> None:
    assert erlang_c(1, 0.8) == pytest.approx(0.8)
    assert mean_wait(1, 0.8, 1.0) == pytest.approx(0.8 / (1 - 0.8))


def test_the_figures_of_the_benchmarks_text_come_out() -> None:
    assert erlang_c(50, 45) == pytest.approx(0.364, abs=5e-4)
    assert mean_wait(50, 45 / 300, 1 / 300) == pytest.approx(21.83, abs=5e-3)
    assert erlang_a(50, 45 / 300, 1 / 300, 1 / 300).p_abandon == pytest.approx(0.0204, abs=5e-5)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.3), (5, 4.0), (50, 45.0)])
def test_the_chain_without_impatience_is_erlang_c(servers: int, load: float) -> None:
    steady = birth_death(load, float, servers, 0.0)
    assert steady.p_wait == pytest.approx(erlang_c(servers, load))
    assert steady.mean_wait == pytest.approx(mean_wait(servers, load, 1.0))
    assert steady.p_abandon == 0


def test_where_patience_is_like_service_the_chain_is_that_of_endless_servers() -> None:
    """With theta = mu the death rate is n mu throughout: Poisson, so P(abandon) = E[(n - N)+] / load."""
    load, servers = 3.0, 2
    weights = [1.0]
    for n in range(1, 80):
        weights.append(weights[-1] * load / n)
    excess = sum((n - servers) * w for n, w in enumerate(weights) if n > servers) / sum(weights)
    assert erlang_a(servers, load, 1.0, 1.0).p_abandon == pytest.approx(excess / load)


def test_a_shared_agent_who_is_not_slowed_is_so_many_servers() -> None:
    assert shared_agent(3, 2.0, 1.0, 0.0).p_wait == pytest.approx(erlang_c(3, 2.0))


def test_a_load_that_grows_for_ever_has_no_steady_state() -> None:
    with pytest.raises(ValueError, match="too much"):
        erlang_c(2, 2.0)
    with pytest.raises(ValueError, match="more arrives"):
        shared_agent(3, 3 / 1.4, 1.0, 0.2)


@pytest.mark.parametrize("name", queueing.LINES)
def test_the_simulation_differs_from_the_closed_form_by_no_more_than_chance(name: str) -> None:
    """A short run of `python -m bench.routing check`, which is long enough to hold all of them within 2 %.

    Held to the interval of 99.9 % that the replications' own spread gives.
    """
    replications = [queueing.live(queueing.LINES[name], 6000, seed) for seed in range(12)]
    found = list(queueing.findings(name, replications, confidence=0.999))
    assert len(found) == (3 if queueing.LINES[name].patience else 2)
    for finding in found:
        assert finding.found.has(finding.exact), finding
        assert finding.found.half_width < finding.exact


@pytest.mark.parametrize(
    ("mean", "half_width", "verdict"),
    [
        (101.9, 0.1, "within 2 %"),
        (98.1, 9.0, "within 2 %"),
        (103.0, 4.0, "unsure"),
        (103.0, 2.5, "OFF"),
        (110.0, 4.0, "OFF"),
    ],
)
def test_a_difference_that_is_not_chance_is_off_and_one_that_may_be_is_not_called_right(
    mean: float, half_width: float, verdict: str
) -> None:
    assert queueing.Finding("", "", 100.0, Interval(mean, half_width)).verdict == verdict
