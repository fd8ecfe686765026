"""This file records what matching read and decided: `python -m services.router.record --out FOLDER [--for 10m]`.

It reads the topics from where the log begins to where it ends, or goes on for a while; it owns nothing and disturbs nobody.
`python -m services.router.replay FOLDER` makes the decisions again. No message is in these topics: ids, queues, skills, times.
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
from libs.flow.database import Database, DatabaseAway
from libs.timesource import SystemTime
from libs.workspace.durations import parse_duration
from services.router.replay.recording import TOPICS, WORKSPACE, Writer
from services.router.replay.rows import ROWS, LaneRows, read_rows, to_json

console = Console()


def main(
    out: Annotated[Path, typer.Option(help="folder to write")],
    for_: Annotated[
        str, typer.Option("--for", help="go on for so long, e.g. 10m; default: what is there")
    ] = "0s",
    kafka: Annotated[str, typer.Option(envvar="SAMBUNG_KAFKA", help="bootstrap servers")] = "",
    workspace: Annotated[Path | None, typer.Option(envvar="SAMBUNG_WORKSPACE", help="copied beside")] = None,
    rows: Annotated[
        bool, typer.Option(help="also what the tables hold now: what comes later can be replayed")
    ] = False,
    postgres: Annotated[
        str, typer.Option(envvar="SAMBUNG_POSTGRES", help="the router's database, for --rows")
    ] = "",
) -> None:
    """Write `work`, `agent-commands`, `lending`, `assignments` and `agents` into a folder, with the workspace that decided.

    With --rows everything that is decided from now on can be made again, also where the topics begin in the middle.
    """
    if rows and not postgres:
        raise typer.BadParameter("SAMBUNG_POSTGRES is not set: --rows reads the router's tables there")
    if not kafka:
        raise typer.BadParameter("SAMBUNG_KAFKA is not set: it names the broker, e.g. 127.0.0.1:9092")
    if workspace is None or not workspace.is_file():
        raise typer.BadParameter("SAMBUNG_WORKSPACE is not set to the workspace file by which was decided")
    try:
        seconds = parse_duration(for_).total_seconds()
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None
    try:
        with Writer(out) as writer:
            (out / ROWS).unlink(missing_ok=True)
            if rows:
                (out / ROWS).write_bytes(to_json(asyncio.run(_rows(postgres))))
            asyncio.run(_record(kafka, writer, seconds))
    except (OSError, DatabaseAway) as fault:
        console.print(f"{fault}\nIs the broker up, and {kafka} where it answers?", style="red", markup=False)
        raise typer.Exit(1) from None
    shutil.copyfile(workspace, out / WORKSPACE)
    told = ", ".join(f"{count} of {topic}" for topic, count in writer.counts.items())
    console.print(f"{told}: {os.fspath(out)}", highlight=False, markup=False, soft_wrap=True)


async def _rows(postgres: str) -> tuple[LaneRows, ...]:
    database = Database(postgres, "router", application="record", size=1)
    await database.start()
    try:
        async with database.connection() as db, db.transaction(isolation="repeatable_read", readonly=True):
            return await read_rows(db)
    finally:
        await database.stop()


async def _record(kafka: str, writer: Writer, seconds: float) -> None:
    time = SystemTime()
    until = time.monotonic() + seconds
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("records", total=None)
        await copy(
            kafka,
            TOPICS,
            writer.take,
            ending=lambda: time.monotonic() >= until,
            advance=lambda done, total: progress.update(task, completed=done, total=total),
            time=time,
        )


if __name__ == "__main__":
    typer.run(main)
