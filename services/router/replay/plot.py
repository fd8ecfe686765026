"""This file draws runs beside each other: how waits are distributed, and how many customers waited when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libs.service.again import figure
from services.router.replay.measures import Measures


def plot(columns: Mapping[str, Measures], path: Path) -> None:
    """Write a picture; its form is that of the path's ending (.png, .svg). Raises NoPlotter, ValueError, OSError."""
    drawn = figure()
    waits, queue = drawn.subplots(2, 1)
    begins = min((m.queue[0][0] for m in columns.values() if m.queue), default=None)
    for number, (name, measures) in enumerate(columns.items()):
        style: dict[str, Any] = {
            "label": name,
            "where": "post",
            "linestyle": ("-", "--", "-.", ":")[number % 4],
        }
        seconds = [wait.total_seconds() for wait in measures.waits]
        shares = [100 * (n + 1) / len(seconds) for n in range(len(seconds))]
        waits.step([0.0, *seconds], [0.0, *shares], **style)
        if begins is not None:
            times = [(at - begins).total_seconds() for at, _ in measures.queue]
            queue.step([0.0, *times], [0, *(length for _, length in measures.queue)], **style)
    waits.set(xlabel="wait until assigned, seconds", ylabel="answered customers, %", ylim=(0, 100))
    queue.set(xlabel="time since the recording began, seconds", ylabel="customers waiting")
    for axes in (waits, queue):
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    drawn.savefig(path)
