"""This file holds the closed forms of one queue before equal agents, by which the simulation is checked."""

from collections.abc import Callable
from dataclasses import dataclass

NEGLIGIBLE = 1e-16
"""Share of the total weight at which the tail of the chain is cut."""


@dataclass(frozen=True, slots=True)
class Steady:
    """The steady state: share who wait, mean wait in seconds of all who come (gone or answered), share who give up."""

    p_wait: float
    mean_wait: float
    p_abandon: float


def erlang_b(servers: int, load: float) -> float:
    """Share blocked with no waiting room, by the recursion B(n) = aB(n-1) / (n + aB(n-1)); `load` in erlangs."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Share who wait where nobody gives up: B / (1 - rho (1 - B)). Raises ValueError for a load that grows for ever."""
    rho = load / servers
    if rho >= 1:
        raise ValueError(f"{load:g} erlangs are too much for {servers} agents")
    blocked = erlang_b(servers, load)
    return blocked / (1 - rho * (1 - blocked))


def mean_wait(servers: int, arrival_rate: float, service_rate: float) -> float:
    """Seconds, where nobody gives up: P(wait) / (N mu - lambda). Raises ValueError as `erlang_c`."""
    return erlang_c(servers, arrival_rate / service_rate) / (servers * service_rate - arrival_rate)


def erlang_a(servers: int, arrival_rate: float, service_rate: float, abandon_rate: float) -> Steady:
    """Exponential patience: the birth-death chain with death rate min(n, N) mu + max(n - N, 0) theta."""
    return birth_death(arrival_rate, lambda n: n * service_rate, servers, abandon_rate)


def shared_agent(slots: int, arrival_rate: float, service_rate: float, slow_down: float) -> Steady:
    """One agent with several open, each slowed by the others; nobody gives up.

    With exponential work the number open and waiting is a chain with death rate n mu / (1 + alpha (n - 1)), the same
    whichever conversation is served faster.
    """
    return birth_death(arrival_rate, lambda n: n * service_rate / (1 + slow_down * (n - 1)), slots, 0.0)


def birth_death(
    arrival_rate: float, service_rate: Callable[[int], float], slots: int, abandon_rate: float
) -> Steady:
    """The steady state of a queue before `slots`; `service_rate(n)` is of n conversations together, rates per second.

    Raises ValueError where the queue grows for ever.
    """
    full = service_rate(slots)
    if abandon_rate == 0 and arrival_rate >= full:
        raise ValueError("more arrives than can be served")
    weight = total = 1.0
    for n in range(1, slots):
        weight *= arrival_rate / service_rate(n)
        total += weight
    waiting = queued = 0.0
    behind = 0
    weight *= arrival_rate / full  # all slots taken, nobody behind
    while weight > NEGLIGIBLE * total:
        total += weight
        waiting += weight
        queued += behind * weight
        behind += 1
        weight *= arrival_rate / (full + behind * abandon_rate)
    length = queued / total
    return Steady(waiting / total, length / arrival_rate, abandon_rate * length / arrival_rate)
