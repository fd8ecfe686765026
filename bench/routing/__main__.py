"""This file is `make bench-routing`: policies over worlds and seeds, and the check of the simulation itself."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.results import keep
from bench.routing import queueing, reference
from bench.routing.baselines import BASELINES
from bench.routing.campaign import Day, Run, campaign, days, parse_world, spread
from bench.routing.catalogue import NAMES
from bench.routing.report import report, report_lines

WORLDS = "S1,S1-flat,S2,S2-flat"
CORES = os.cpu_count() or 1

app = typer.Typer(add_completion=False, help="CCR-1: the routing benchmark.")
console = Console()
Processes = Annotated[int, typer.Option(help="processes")]
Seeds = Annotated[str, typer.Option(help="such as 1-30 or 101,103-105")]


@app.callback(invoke_without_command=True)
def compare(
    context: typer.Context,
    seeds: Seeds = "1-30",
    worlds: Annotated[str, typer.Option(help="S1|S2[-flat|-pooled][@.90] or calls, with commas")] = WORLDS,
    policies: Annotated[str, typer.Option(help="names with commas, or all baselines")] = "all",
    baseline: Annotated[str, typer.Option(help="names that the others are compared with")] = "lia_tuned",
    processes: Processes = CORES,
) -> None:
    """Score policies on the same days; prints a table for each world and writes bench/results/routing-<time>.json."""
    if context.invoked_subcommand is not None:
        return
    baselines = baseline.split(",")
    names = list(BASELINES) if policies == "all" else policies.split(",")
    names = list(dict.fromkeys([*(b for b in baselines if b not in names), *names]))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise typer.BadParameter(f"no policy {', '.join(unknown)}; there are {', '.join(NAMES)}")
    try:
        wanted = days(
            [parse_world(w) for w in worlds.split(",")], parse_seeds(seeds), [Run(n) for n in names]
        )
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from fault
    with _progress("days", len(wanted)) as advance:
        scores = campaign(wanted, processes, advance)
    values = report(scores, baselines, console)
    console.print(f"written to {keep(values, 'routing')}")


@app.command()
def check(
    seeds: Seeds = "1-30",
    replications: Annotated[int, typer.Option(help="of each queue with a closed form")] = 480,
    conversations: Annotated[int, typer.Option(help="of a replication")] = 20_000,
    processes: Processes = CORES,
    expected: Annotated[Path, typer.Option(help="folder of the published figures")] = reference.FOLDER,
) -> None:
    """Compare worlds and scores with the published ones, and queues with closed forms; fails where one differs."""
    wanted = parse_seeds(seeds)
    wrong = _check_worlds(wanted, expected) + _check_scores(wanted, processes, expected)
    for line in wrong:
        console.print(line, style="red")
    lines = [(name, conversations, seed) for name in queueing.LINES for seed in range(replications)]
    with _progress("queues", len(lines)) as advance:
        found = dict[str, list[queueing.Replication]]()
        for (name, _, _), replication in spread(_live_line, lines, processes, advance):
            found.setdefault(name, []).append(replication)
    findings = [f for name, of in found.items() for f in queueing.findings(name, of)]
    if (findings and not report_lines(findings, console)) or wrong:
        raise typer.Exit(1)


def _check_worlds(seeds: list[int], folder: Path) -> list[str]:
    wanted = [w for w in reference.published_worlds(folder) if w.seed in seeds]
    wrong = [text for w in wanted for text in reference.wrong_sums(w, w.world.make(w.seed))]
    console.print(f"{len(wanted)} worlds: {len(wrong)} check sums differ")
    return wrong


def _check_scores(seeds: list[int], processes: int, folder: Path) -> list[str]:
    rows = reference.published(folder)
    of = [
        Day(world, seed, tuple(row.run for row in rows if row.world == world))
        for world in dict.fromkeys(row.world for row in rows)
        for seed in seeds
        if seed in reference.SEEDS
    ]
    with _progress("days", len(of)) as advance:
        scores = campaign(of, processes, advance)
    wrong = [
        text for row in rows for text in reference.differences(row, scores.get((row.world, row.run), {}))
    ]
    compared = sum(len(by_seed) for by_seed in scores.values())
    console.print(f"{compared} days of {len(rows)} rows: {len(wrong)} figures differ")
    return wrong


def _live_line(of: tuple[str, int, int]) -> queueing.Replication:
    name, conversations, seed = of
    return queueing.live(queueing.LINES[name], conversations, seed)


def parse_seeds(text: str) -> list[int]:
    """`1-3,7` is 1, 2, 3 and 7. Raises typer.BadParameter."""
    found: list[int] = []
    for part in text.split(","):
        span = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        seeds = range(int(span[1]), int(span[2] or span[1]) + 1) if span else ()
        if not seeds:
            raise typer.BadParameter(f"{part!r} is no seed and no range of seeds")
        found += seeds
    return found


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


if __name__ == "__main__":
    app()
