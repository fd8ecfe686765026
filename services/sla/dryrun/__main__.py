"""This file is `make dryrun`: the clocks of a recording made again, or what other policies would have promised and kept."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from libs.flow.recording import WORKSPACE, RecordingError
from libs.service.again import keep
from libs.workspace import Workspace, WorkspaceError, load
from libs.workspace.durations import parse_duration
from services.sla.dryrun.comparison import compare
from services.sla.dryrun.plot import plot
from services.sla.dryrun.report import table, tell, values
from services.sla.dryrun.traffic import Traffic, from_log, recorded
from services.sla.dryrun.trying import tallied, tried

OUT = Path(".sambung/dryrun")
WIDTH = 120
"""Columns of the table, also where the terminal has fewer."""

console = Console()


def main(
    topics: Annotated[Path | None, typer.Argument(help="folder that `make record` wrote")] = None,
    policy: Annotated[Path | None, typer.Option(help="another workspace file: a what-if")] = None,
    ruled: Annotated[
        Path | None,
        typer.Option("--recorded", help="workspace file of that time; default: workspace.yaml beside it"),
    ] = None,
    since: Annotated[
        str, typer.Option(help="in place of a folder: the last so long of the log, e.g. 24h")
    ] = "",
    out: Annotated[Path, typer.Option(help="where a what-if writes its figures and plot")] = OUT,
    form: Annotated[str, typer.Option("--plot", help="png, svg or none")] = "png",
) -> None:
    """Without a policy: exit status 0 where every clock comes out as it was told, 1 where one does not.

    With --since, SAMBUNG_KAFKA names the broker and SAMBUNG_WORKSPACE the workspace of that time.
    """
    try:
        traffic, beside = _traffic(topics, since)
        before = load(ruled or beside, secrets=False)
        if policy is None:
            found = compare(traffic, before)
            tell(found, console)
            same = found.same
        else:
            same = True
            _what_if(traffic, before, load(policy, secrets=False), out, form)
    except (RecordingError, WorkspaceError) as fault:
        console.print(str(fault), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if same else 1)


def _traffic(topics: Path | None, since: str) -> tuple[Traffic, Path]:
    """With the workspace file that is taken where none is named."""
    if topics is not None and not since:
        return recorded(topics), (topics if topics.is_dir() else topics.parent) / WORKSPACE
    if topics is not None or not since:
        raise RecordingError("expected a folder that `make record` wrote, or --since 24h for the running log")
    kafka, workspace = (os.environ.get(name, "") for name in ("SAMBUNG_KAFKA", "SAMBUNG_WORKSPACE"))
    if not kafka or not workspace:
        raise RecordingError(
            "SAMBUNG_KAFKA and SAMBUNG_WORKSPACE are not set: the broker of the running log, and its workspace file"
        )
    try:
        return asyncio.run(from_log(kafka, parse_duration(since))), Path(workspace)
    except ValueError as fault:
        raise RecordingError(str(fault)) from None


def _what_if(traffic: Traffic, before: Workspace, after: Workspace, out: Path, form: str) -> None:
    runs = {
        name: tuple(tried(traffic, workspace).values())
        for name, workspace in (("before", before), ("after", after))
    }
    tallies = {name: tallied(courses) for name, courses in runs.items()}
    console.width = max(console.width, WIDTH)
    console.print(table(tallies["before"], tallies["after"]))
    keep(console, out, values(tallies), form, partial(plot, runs))


if __name__ == "__main__":
    typer.run(main)
