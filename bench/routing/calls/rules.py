"""This file holds the rules that only make sense on the real calls: the bank's own, and agents by the pace learned of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench.routing import rules
from bench.routing.baselines import Maker
from bench.routing.floor import Conversation, Floor
from bench.routing.policy import ConversationKey, Pick, Ranked

HEAD_START = 90.0
"""Seconds by which the bank's switch took a priority caller to have waited longer than they had."""


def bank(floor: Floor) -> ConversationKey:
    return lambda c, agent, now: (c.arrived_at - HEAD_START * c.vip,)


def fastest(floor: Floor) -> Pick:
    """Who took the least time on earlier days against colleagues; then longest idle."""
    agents, touch = floor.staff.agents, floor.last_touch

    def pick(c: Conversation, free: Sequence[int]) -> int:
        return min(free, key=lambda a: (agents[a].pace, touch[a]))

    return pick


def _ranked(order: rules.Order, picks: rules.Picks) -> Maker:
    return lambda _: Ranked(order, picks)


BANK: Mapping[str, Maker] = MappingProxyType(
    {
        "bank": _ranked(bank, rules.longest_idle),
        "fifo": _ranked(rules.oldest, rules.longest_idle),
        "gcmu_lia": _ranked(rules.generalised_cmu, rules.longest_idle),
        "fsf_edf": _ranked(rules.deadline, fastest),
        "fsf_drop": _ranked(rules.slack_drop, fastest),
    }
)
"""By name: the bank's rule, first come first served, and fastest server first with two orders."""
