"""This file draws runs beside each other: which share of the promises was kept, and how breaches mount up."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from libs.service.again import figure
from services.sla.dryrun.courses import Course
from services.sla.dryrun.trying import Tally, tallied

BAR = 0.8
"""Of the room of a metric, for all its bars."""


def plot(runs: Mapping[str, Sequence[Course]], path: Path) -> None:
    """Write a picture; its form is that of the path's ending (.png, .svg). Raises NoPlotter, ValueError, OSError."""
    drawn = figure()
    kept, mounting = drawn.subplots(2, 1)
    metrics = sorted({course.metric for courses in runs.values() for course in courses})
    begins = min((course.started_at for courses in runs.values() for course in courses), default=None)
    for number, (name, courses) in enumerate(runs.items()):
        width = BAR / len(runs)
        places = [place + (number - (len(runs) - 1) / 2) * width for place in range(len(metrics))]
        kept.bar(places, [100 * share for share in _kept(courses, metrics)], width, label=name)
        if begins is not None:
            late = sorted((c.breached_at - begins).total_seconds() for c in courses if c.breached_at)
            style = ("-", "--", "-.", ":")[number % 4]
            mounting.step(
                [0.0, *late],
                range(len(late) + 1),
                where="post",
                linestyle=style,
                label=f"{name}: {len(late)}",
            )
    kept.set(ylabel="promises kept, %", ylim=(0, 100))
    kept.set_xticks(range(len(metrics)), metrics)
    mounting.set(xlabel="time since the first promise, seconds", ylabel="breaches so far")
    for axes in (kept, mounting):
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    drawn.savefig(path)


def _kept(courses: Sequence[Course], metrics: Sequence[str]) -> list[float]:
    """By metric, under whatever policy; 0 where none was judged."""
    found = {metric: Tally() for metric in metrics}
    for (metric, _), tally in tallied(courses).items():
        found[metric].in_time += tally.in_time
        found[metric].late += tally.breached
    return [tally.kept or 0.0 for tally in found.values()]
