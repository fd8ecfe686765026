"""This file makes a policy by its name: a baseline, or the router's own engine under a setting."""

from bench.routing.baselines import BASELINES
from bench.routing.calls.rules import BANK
from bench.routing.policy import Policy
from bench.routing.product import SETTINGS, Product
from bench.routing.world import World

RULES = {**BASELINES, **BANK}
NAMES = (*RULES, *SETTINGS)


def make_policy(name: str, world: World, *, clairvoyant: bool = False) -> Policy:
    """A policy for one day. Raises KeyError for an unknown name.

    `clairvoyant` lets the index price agents by the work that will really come. No router can; it is there because
    the reference's published figures were made so, and for nothing else.
    """
    if name in SETTINGS:
        return Product(SETTINGS[name])
    return RULES[name](realised_load(world) if clairvoyant else None)


def realised_load(world: World) -> list[float]:
    """Seconds of work that will come to each pool."""
    load = [0.0] * len(world.staff.forecast)
    for conversation, work in zip(world.conversations, world.truth.work, strict=True):
        load[conversation.pool] += work
    return load
