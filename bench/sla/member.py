"""This file is the SLA service as a process, with a stopwatch: `python -m bench.sla.member FILE` runs it until it is told to stop.

Then FILE gets, as JSON, when it came to each step of its start, and (due, handled, committed) of each firing, in seconds of
the epoch.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import psutil

from libs.flow.flow import Fired, Flow, Turn
from libs.flow.store import Session, Store
from libs.service.process import App, Runtime, run
from services.sla.flow import build
from services.sla.settings import Settings
from services.sla.store import SlaStore


class Stopwatch:
    """Wraps a flow; `steps` are moments of the start."""

    def __init__(self) -> None:
        self.steps = {"process": psutil.Process().create_time(), "imported": time()}
        self.firings: list[tuple[float, float, float]] = []

    def build(self, runtime: Runtime[Settings]) -> App:
        app = build(runtime)
        self.steps["built"] = time()
        return replace(app, flows=[self._timed(flow) for flow in app.flows])

    def _timed(self, flow: Flow) -> Flow:
        timers = {kind: self._handler(handler) for kind, handler in flow.timers.items()}
        return replace(flow, timers=timers, store=partial(self._store, flow.store))

    def _handler(self, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def handle(turn: Turn[SlaStore], fired: Fired[Any]) -> Any:
            outcome, handled = handler(turn, fired), time()
            self.steps.setdefault("first firing handled", handled)
            turn.store.count(partial(self._committed, fired.due_at.timestamp(), handled))
            return outcome

        return handle

    def _committed(self, due: float, handled: float) -> None:
        self.firings.append((due, handled, time()))

    def _store(self, make: Callable[[int], Store], lane: int) -> Store:
        store = make(lane)
        opening = store.open

        async def opened(db: Session) -> None:
            # The kernel opens the store when it has read the lane's own rows.
            await opening(db)
            if "first firing handled" not in self.steps:
                self.steps.setdefault("first lane read", time())
                self.steps["lanes read before the first firing"] = time()

        store.open = opened  # type: ignore[method-assign]
        return store


def main(path: Path) -> int:
    stopwatch = Stopwatch()
    status = run("sla", Settings, stopwatch.build)
    path.write_text(json.dumps({"steps": stopwatch.steps, "firings": stopwatch.firings}))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
