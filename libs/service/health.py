"""This file answers "are you well?" from progress: alive means a restart would not help, ready means work is being done."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from libs.service import metrics
from libs.timesource import TimeSource

TICK = 0.5
LAGS_KEPT = 20
"""Ticks over which the worst lag is told: 10 s."""
PROBE_EVERY = 2.0
STUCK_FOR = 60.0
"""Lanes that are stuck are given up by the kernel after 12 s; when that has not helped in this time, it is the process."""


class Phase(StrEnum):
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class FlowHealth(Protocol):
    """What libs.flow.runner tells of its lanes."""

    @property
    def ready(self) -> bool: ...
    @property
    def alive(self) -> bool: ...
    @property
    def details(self) -> dict[str, Any]: ...


class Probe(Protocol):
    """What libs.flow.probe does."""

    async def answers(self) -> bool: ...
    def close(self) -> None: ...


@dataclass
class Health:
    """The state of one process. Its owner moves `phase`; the answers are for /healthz, /readyz and the supervisor."""

    service: str
    phase: Phase = Phase.STARTING
    waiting_for: str = ""
    """What a start is waiting for, in words."""
    flows: Callable[[], FlowHealth] | None = None
    broker: bool | None = None
    """Set by `probe`. Flows alone would not tell: without new records, a silent broker looks like a quiet day."""
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=LAGS_KEPT))

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """That this is answered at all proves that the event loop turns; lanes must not be stuck either."""
        flows = self.flows() if self.flows is not None else None
        alive = flows is None or flows.alive
        details: dict[str, Any] = {"alive": alive, "service": self.service, "phase": self.phase.value}
        if flows is not None and not flows.alive:
            details["flows"] = flows.details
        return alive, details

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Serving, broker and database there, every lane of ours at work."""
        flows = self.flows() if self.flows is not None else None
        ready = self.phase is Phase.SERVING and (flows is None or flows.ready) and self.broker is not False
        details: dict[str, Any] = {"ready": ready, "service": self.service, "phase": self.phase.value}
        if self.waiting_for:
            details["waiting_for"] = self.waiting_for
        if self.broker is not None:
            details["broker"] = self.broker
        if flows is not None:
            details["flows"] = flows.details
        details["loop_lag_seconds"] = round(max(self.lags, default=0.0), 4)
        metrics.READY.set(ready)
        return ready, details


class Stuck(Exception):
    """This process does not recover by itself; another one in its place may."""


async def measure(health: Health, time: TimeSource) -> None:
    """Keep the event loop's lag and the gauges. Raises Stuck when nothing but a restart helps."""
    # Counted in looks, not in time: a process that was suspended must be allowed to find its feet.
    bad_looks = 0
    while bad_looks * TICK < STUCK_FOR:
        before = time.monotonic()
        await time.sleep(TICK)
        health.lags.append(max(0.0, time.monotonic() - before - TICK))
        metrics.LOOP_LAG.set(max(health.lags))
        health.ready()
        bad_looks = 0 if health.alive()[0] else bad_looks + 1
    raise Stuck(f"not alive for {STUCK_FOR:.0f} s")


async def probe(health: Health, broker: Probe, time: TimeSource) -> None:
    """Ask now and then whether the broker is there."""
    try:
        while True:
            health.broker = await broker.answers()
            await time.sleep(PROBE_EVERY)
    finally:
        broker.close()
