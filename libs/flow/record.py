"""This file records the topics of a running system: `make record OUT=folder`, for `make replay` and `make dryrun`.

It reads the topics from where the log begins to where it ends, or goes on for a while; it owns nothing and disturbs nobody.
What people said, and how they are called, is left out: a recording holds ids, queues, skills, tags and times.
"""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from libs.flow.copying import copy
from libs.flow.recording import WORKSPACE, RecordingError, Writer
from libs.flow.wire import Incoming
from libs.flow.wordless import without_words
from libs.timesource import SystemTime
from libs.workspace.durations import parse_duration

TOPICS = ("work", "agent-commands", "lending", "assignments", "agents", "conversations", "sla")
WITH_WORDS = "conversations"

console = Console()


def main(
    out: Annotated[Path, typer.Option(help="folder to write; it must not hold a recording")],
    for_: Annotated[
        str, typer.Option("--for", help="go on for so long, e.g. 10m; default: what is there")
    ] = "0s",
    kafka: Annotated[str, typer.Option(envvar="SAMBUNG_KAFKA", help="bootstrap servers")] = "",
    workspace: Annotated[Path | None, typer.Option(envvar="SAMBUNG_WORKSPACE", help="copied beside")] = None,
) -> None:
    """Write what matching and SLA clocks read and said into a folder, with the workspace by which it was decided."""
    if not kafka:
        raise typer.BadParameter("SAMBUNG_KAFKA is not set: it names the broker, e.g. 127.0.0.1:9092")
    if workspace is None or not workspace.is_file():
        raise typer.BadParameter("SAMBUNG_WORKSPACE is not set to the workspace file by which was decided")
    try:
        seconds = parse_duration(for_).total_seconds()
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    try:
        with Writer(out, TOPICS) as writer:
            asyncio.run(record(kafka, writer, seconds))
    except RecordingError as fault:
        console.print(str(fault), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as fault:
        console.print(f"{fault}\nIs the broker up, and {kafka} where it answers?", style="red", markup=False)
        raise typer.Exit(1) from None
    shutil.copyfile(workspace, out / WORKSPACE)
    told = ", ".join(f"{count} of {topic}" for topic, count in writer.counts.items())
    console.print(f"{told}: {os.fspath(out)}", highlight=False, markup=False, soft_wrap=True)


async def record(kafka: str, writer: Writer, seconds: float) -> None:
    """Raises OSError where the broker is away."""
    time = SystemTime()
    until = time.monotonic() + seconds

    def take(record: Incoming) -> None:
        writer.take(without_words(record) if record.topic == WITH_WORDS else record)

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("records", total=None)
        await copy(
            kafka,
            TOPICS,
            take,
            ending=lambda: time.monotonic() >= until,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
            time=time,
        )


if __name__ == "__main__":
    typer.run(main)
