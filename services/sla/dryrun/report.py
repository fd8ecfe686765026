"""This file tells what a dry run found: differences in words, and policies side by side as a table and as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from libs.service import again
from services.sla.dryrun.comparison import Comparison, Difference
from services.sla.dryrun.courses import Course
from services.sla.dryrun.trying import Tally

Tallies = Mapping[tuple[str, str], Tally]
"""By metric and policy."""

COLUMNS: dict[str, Callable[[Tally], str]] = {
    "clocks": lambda t: str(t.clocks),
    "met": lambda t: str(t.in_time),
    "breached": lambda t: str(t.breached),
    "open": lambda t: str(t.open),
    "moot": lambda t: str(t.cancelled),
    "kept": lambda t: "–" if t.kept is None else f"{t.kept:.1%}",
    "warned": lambda t: str(t.warned),
    "steps": lambda t: ", ".join(f"#{number} {count}" for number, count in sorted(t.steps.items())) or "–",
}


def tell(found: Comparison, console: Console) -> None:
    """The verdict, and the first differences."""
    notes = []
    if found.edge:
        notes.append(f"Not compared, by what happened just before the end: {found.edge}")
    if found.begun_before:
        notes.append(
            f"Not compared, since the conversation was opened before the recording: {found.begun_before}"
        )
    again.tell(
        console,
        what="The clocks were told",
        versions=found.versions,
        workspace=found.workspace,
        differences=[lines_of(difference) for difference in found.differences],
        verdict=f"{found.clocks} clocks made again: {len(found.differences)} differences",
        same=found.same,
        notes=notes,
    )


def lines_of(difference: Difference) -> list[str]:
    """One line naming the clock, one for each side."""
    unlike = f"; not equal: {', '.join(difference.unlike)}" if difference.unlike else ""
    return [
        f"{difference.clock_id}{unlike}",
        f"  told:  {_named(difference.told)}",
        f"  again: {_named(difference.again)}",
    ]


def _named(course: Course | None) -> str:
    if course is None:
        return "nothing"
    end = "open" if course.end is None else f"{course.end[0]} {course.end[1].isoformat()}"
    breach = "" if course.breached_at is None else f", breached {course.breached_at.isoformat()}"
    begun = f"{course.metric} {course.policy} of {course.conversation_id} {course.started_at.isoformat()}"
    return f"{begun}, due {course.due_at.isoformat()}{breach}, {end}"


def table(before: Tallies, after: Tallies) -> Table:
    """Metrics and policies down; each figure before and after, or once where they are equal."""
    names = (Column(name, no_wrap=True) for name in ("metric", "policy"))
    shown = Table(
        *names, *(Column(name, justify="right") for name in COLUMNS), title="what if: before → after"
    )
    for key in sorted({*before, *after}):
        was, now = before.get(key, Tally()), after.get(key, Tally())
        pairs = ((text(was), text(now)) for text in COLUMNS.values())
        shown.add_row(*key, *(one if one == other else f"{one} → {other}" for one, other in pairs))
    return shown


def values(runs: Mapping[str, Tallies]) -> dict[str, Any]:
    """The same for a machine: run, metric and policy, figures."""
    return {
        name: {
            f"{metric}/{policy}": {
                "clocks": tally.clocks,
                "met": tally.in_time,
                "late": tally.late,
                "overdue": tally.overdue,
                "breached": tally.breached,
                "open": tally.open,
                "moot": tally.cancelled,
                "kept": tally.kept,
                "warned": tally.warned,
                "steps": dict(sorted(tally.steps.items())),
            }
            for (metric, policy), tally in sorted(tallies.items())
        }
        for name, tallies in runs.items()
    }
