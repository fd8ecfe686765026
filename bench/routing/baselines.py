"""This file holds the baselines of CCR-1: what routers in use do, and the theory's rules, as tables of three rules each."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from bench.routing import rules
from bench.routing.policy import Policy, Ranked

Prices = Sequence[float] | None
"""What the price of flexibility is computed from, by pool; None is the planner's forecast."""
Maker = Callable[[Prices], Policy]


def _ranked(
    order: rules.Order, picks: rules.Picks, admission: Callable[[], rules.Admission] = rules.Everybody
) -> Maker:
    return lambda _: Ranked(order, picks, admission())


def _indexed(order: rules.Order, *, hold: bool = False) -> Maker:
    return lambda load: Ranked(order, rules.index(load), rules.Hold() if hold else rules.Everybody())


BASELINES: Mapping[str, Maker] = MappingProxyType(
    {
        # what peers do
        "rr": _ranked(rules.oldest, rules.round_robin),
        "lia": _ranked(rules.vip_first, rules.longest_idle),
        "lia_tuned": _ranked(rules.chat_first, rules.longest_idle),
        "ll": _ranked(rules.vip_first, rules.least_loaded),
        "ll_tuned": _ranked(rules.chat_first, rules.least_loaded),
        "bestfit": _ranked(rules.vip_first, rules.best_fit),
        "bestfit_tuned": _ranked(rules.chat_first, rules.best_fit),
        "connect": _ranked(rules.own_topic_first(rules.vip_first), rules.longest_idle, rules.OwnTopic),
        "connect_tuned": _ranked(rules.own_topic_first(rules.chat_first), rules.longest_idle, rules.OwnTopic),
        "bullseye": _ranked(rules.minutes_waited(chat=0), rules.best_fit, rules.Rings),
        "bullseye_tuned": _ranked(rules.minutes_waited(chat=30), rules.best_fit, rules.Rings),
        # what theory says
        "edf": _ranked(rules.deadline, rules.best_fit),
        "edf_ll": _ranked(rules.deadline, rules.least_loaded),
        "gcmu": _indexed(rules.generalised_cmu),
        "gcmu_hold": _indexed(rules.generalised_cmu, hold=True),
        "slack0": _indexed(rules.slack),
        "slack": _indexed(rules.slack, hold=True),
        "slack0_drop": _indexed(rules.slack_drop),
        "slack_drop": _indexed(rules.slack_drop, hold=True),
    }
)
"""By name. `_tuned` puts chat before e-mail; `docs/routing-benchmark.md` has them as a table."""

TUNED = ("lia_tuned", "ll_tuned", "bestfit_tuned", "connect_tuned", "bullseye_tuned")
"""The peer shapes at their best: what a claim has to be measured against."""
