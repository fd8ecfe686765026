"""This file is `make replay`: the decisions of a recording made again, or what would have happened under another workspace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from libs.flow.recording import WORKSPACE, Recording, RecordingError
from libs.service.again import keep
from libs.workspace import Workspace, WorkspaceError, load
from services.router.replay.comparison import compare
from services.router.replay.handling import Handling
from services.router.replay.history import history
from services.router.replay.measures import Measures, measure
from services.router.replay.plot import plot
from services.router.replay.recording import lanes, read
from services.router.replay.report import table, tell, values
from services.router.replay.rows import ROWS, LaneRows, from_json
from services.router.replay.what_if import WhatIf

OUT = Path(".sambung/replay")

console = Console()


def main(
    topics: Annotated[Path, typer.Argument(help="folder that `make record` wrote")],
    policy: Annotated[Path | None, typer.Option(help="another workspace file: a what-if")] = None,
    recorded: Annotated[
        Path | None, typer.Option(help="workspace file of the recording; default: workspace.yaml beside it")
    ] = None,
    out: Annotated[Path, typer.Option(help="where a what-if writes its table and plot")] = OUT,
    form: Annotated[str, typer.Option("--plot", help="png, svg or none")] = "png",
    seed: Annotated[int, typer.Option(help="of what the recording does not say and is drawn")] = 1,
) -> None:
    """Without a policy: exit status 0 where every decision comes out as it was recorded, 1 where one does not."""
    folder = topics if topics.is_dir() else topics.parent
    try:
        recording = read(topics)
        if not lanes(recording):
            raise RecordingError(f"{folder} holds no request and no command: record while work comes in")
        before = load(recorded or folder / WORKSPACE, secrets=False)
        if policy is None:
            same = _again(recording, before, _rows(folder / ROWS))
        else:
            same = True
            _what_if(recording, before, load(policy, secrets=False), out, form, seed)
    except (RecordingError, WorkspaceError) as fault:
        console.print(str(fault), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if same else 1)


def _rows(path: Path) -> tuple[LaneRows, ...]:
    try:
        return from_json(path.read_bytes()) if path.is_file() else ()
    except ValueError as fault:
        raise RecordingError(f"{path} does not fit this build: {fault}; record again") from fault


def _again(recording: Recording, workspace: Workspace, begin: tuple[LaneRows, ...]) -> bool:
    with _progress("decisions") as advance:
        found = compare(recording, workspace, advance, begin)
    tell(found, console)
    return found.same


def _what_if(
    recording: Recording, before: Workspace, after: Workspace, out: Path, form: str, seed: int
) -> None:
    columns = runs(recording, before, after, seed)
    console.print(table(columns))
    keep(console, out, values(columns), form, partial(plot, columns))


def runs(recording: Recording, before: Workspace, after: Workspace, seed: int) -> dict[str, Measures]:
    """What was recorded, the same policy lived again (so that what the model does is seen), and the other policy."""
    past = history(recording)
    handling = Handling(past, before, seed)
    emitted = [event.data for event in past.outputs]
    found = {"recorded": measure(past, emitted)}
    for name, workspace in (("same policy", before), ("other policy", after)):
        with _progress(name) as advance:
            made = WhatIf(past, handling, workspace).run(advance)
        found[name] = measure(past, [one.payload for one in made])
    return found


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], object]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


if __name__ == "__main__":
    typer.run(main)
