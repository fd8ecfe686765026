"""This file tells what a replay found: differences in words, and measures side by side as a table and as JSON."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from libs.contracts.payloads.assignments import WorkEvent
from libs.contracts.payloads.base import Payload
from libs.service import again
from services.router.replay.comparison import Comparison, Difference
from services.router.replay.measures import Measures

Row = tuple[str, Callable[[Measures], str]]


def tell(found: Comparison, console: Console) -> None:
    """The verdict, and the first differences."""
    left = f"; {found.left} inputs after the last decision were not handled again" if found.left else ""
    if found.answers:
        left += f"; {found.answers} by recorded answers of allocation hooks, which were not asked again"
    count = f"{found.decisions} decisions ({found.events} events)"
    again.tell(
        console,
        what="The recording was decided",
        versions=found.versions,
        workspace=found.workspace,
        differences=[lines_of(difference) for difference in found.differences],
        verdict=f"{count} made again: {len(found.differences)} differences{left}",
        same=found.same,
    )


def lines_of(difference: Difference) -> list[str]:
    """One line where it happened, one for each side, and one for the fields that are not equal."""
    recorded, again = difference.recorded, difference.again
    lines = [
        f"lane {difference.lane}, {difference.at.isoformat()}",
        f"  recorded: {_named(recorded)}",
        f"  again:    {_named(again)}",
    ]
    if recorded is not None and type(recorded) is type(again):
        ours, theirs = recorded.model_dump(), again.model_dump() if again is not None else {}
        unlike = [name for name, value in ours.items() if theirs.get(name) != value]
        lines.append("  not equal: " + (", ".join(unlike) or "key or time"))
    return lines


def _named(payload: Payload | None) -> str:
    if payload is None:
        return "nothing"
    who = getattr(payload, "agent_id", None)
    what = f"{payload.work_item_id} " if isinstance(payload, WorkEvent) else ""
    return f"{payload.type} {what}{f'({who})' if who else ''}".rstrip()


def rows() -> list[Row]:
    """Name and text of each measure."""
    return [
        ("requests", lambda m: str(m.requests)),
        ("answered", lambda m: str(m.answered)),
        ("abandoned", lambda m: str(m.abandoned)),
        ("still waiting", lambda m: str(m.open)),
        ("wait p50 s", lambda m: _seconds(m.wait(0.5))),
        ("wait p90 s", lambda m: _seconds(m.wait(0.9))),
        ("wait p99 s", lambda m: _seconds(m.wait(0.99))),
        ("breaches", lambda m: _of(m.late, m.due)),
        ("utilisation %", lambda m: "–" if m.utilisation is None else f"{100 * m.utilisation:.1f}"),
        ("Jain index", lambda m: "–" if m.jain is None else f"{m.jain:.3f}"),
        ("affinity hits", lambda m: _of(m.affinity, m.known)),
    ]


def table(columns: Mapping[str, Measures]) -> Table:
    """Measures down, runs across."""
    made = Table("", *columns, title="what if")
    for name, text in rows():
        made.add_row(name, *(text(measures) for measures in columns.values()))
    return made


def values(columns: Mapping[str, Measures]) -> dict[str, Any]:
    """The same for a machine; durations in seconds."""
    return {
        name: {
            "requests": m.requests,
            "answered": m.answered,
            "abandoned": m.abandoned,
            "open": m.open,
            "wait_seconds": {f"p{int(100 * s)}": _number(m.wait(s)) for s in (0.5, 0.9, 0.99)},
            "breaches": m.late,
            "with_deadline": m.due,
            "utilisation": m.utilisation,
            "jain": m.jain,
            "affinity_hits": m.affinity,
            "affinity_possible": m.known,
        }
        for name, m in columns.items()
    }


def _seconds(wait: timedelta | None) -> str:
    return "–" if wait is None else f"{wait.total_seconds():.1f}"


def _number(wait: timedelta | None) -> float | None:
    return None if wait is None else wait.total_seconds()


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "– of 0"
