"""This file tells people what came out when a recording was gone through again, and keeps the figures and picture of a what-if."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

SHOWN = 10
"""Differences told in words, at most: each further one may only follow from these."""
WIDTH, HEIGHT, DPI = 9.0, 7.0, 120


class NoPlotter(ImportError):
    """matplotlib is not installed; nothing else needs it."""


def tell(
    console: Console,
    *,
    what: str,
    versions: Iterable[str],
    workspace: str,
    differences: Sequence[Sequence[str]],
    verdict: str,
    same: bool,
    notes: Sequence[str] = (),
) -> None:
    """The first differences, then the verdict. `what` was done, under the policies of `versions`: `The clocks were told`."""

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    others = [version for version in versions if version != workspace]
    if others:
        say(
            f"{what} under policy version {', '.join(others)}, this workspace is version {workspace}: this build knows "
            "other settings, or the file is another. Where there are differences, name the workspace file of that time "
            "with --recorded.",
            "yellow",
        )
    for lines in differences[:SHOWN]:
        for line in lines:
            say(line)
    if len(differences) > SHOWN:
        say(f"… and {len(differences) - SHOWN} more")
    for note in notes:
        say(note)
    say(verdict, "green" if same else "red")


def keep(
    console: Console, out: Path, values: dict[str, Any], form: str, draw: Callable[[Path], None]
) -> None:
    """Write the figures as JSON, and the picture where it can be drawn. `form` is png, svg or none."""
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "what-if.json"]
    written[0].write_text(json.dumps(values, indent=1) + "\n")
    if form != "none":
        try:
            draw(out / f"what-if.{form}")
            written.append(out / f"what-if.{form}")
        except (NoPlotter, ValueError) as fault:
            console.print(str(fault), style="yellow", markup=False)
    console.print(
        f"written to {' and '.join(map(str, written))}", highlight=False, markup=False, soft_wrap=True
    )


def figure() -> Any:
    """An empty figure of matplotlib. Raises NoPlotter."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (development only)
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as fault:
        raise NoPlotter("no plot: install matplotlib (requirements/dev.txt)") from fault
    made = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
    FigureCanvasAgg(made)
    return made
