"""This file is `make bench-matching`: decisions in a vast pool, beside a floor, and how long its rebuilding takes."""

import asyncio
import statistics
from typing import Annotated

import psutil
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench.matching.deciding import Microseconds, built, choices, floor, pulls, steps
from bench.matching.pool import Drawn, Size
from bench.matching.rebuilding import fill, rebuild
from bench.results import keep
from deploy.local.stack import LocalStack

SETTINGS = (("priority", "longest_idle"), ("slack", "best_fit"))
BOUND_CHOICE, BOUND_PULL, BOUND_REBUILD = 50.0, 100.0, 5.0
BLOCKS = 5
"""Ours and the floor take turns."""

console = Console()


def main(
    agents: Annotated[int, typer.Option(help="agents of the pool")] = 10_000,
    waiting: Annotated[int, typer.Option(help="work items that wait")] = 100_000,
    times: Annotated[int, typer.Option(help="decisions of each kind")] = 10_000,
) -> None:
    """Time decisions; exits with 1 where a bound is missed. Writes bench/results/matching-<time>.json."""
    size = Size(agents=agents, waiting=waiting)
    values = {f"{order}/{pick}": _decisions(size, order, pick, times) for order, pick in SETTINGS}
    with LocalStack(progress=console) as stack:
        drawn = Drawn(size, *SETTINGS[-1])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the services have it
            runner.run(fill(stack.servers.postgres, drawn))
            seconds = [runner.run(rebuild(stack.servers.postgres, drawn)) for _ in range(3)]
    engine, first = max(s[0] for s in seconds), max(s[1] for s in seconds)
    console.print(f"rebuilt from Postgres, slowest of 3: {engine:.2f} s; first decision after {first:.2f} s")
    reached = first <= BOUND_REBUILD and all(v["reached"] for v in values.values())
    path = keep({"decisions": values, "rebuild_s": [engine, first]}, "matching")
    console.print(
        f"bounds (p99 {BOUND_CHOICE:g} and {BOUND_PULL:g} us, {BOUND_REBUILD:g} s): "
        f"{'reached' if reached else 'NOT reached'}; written to {path}"
    )
    raise typer.Exit(0 if reached else 1)


def _decisions(size: Size, order: str, pick: str, times: int) -> dict[str, object]:
    before = psutil.Process().memory_info().rss
    drawn = Drawn(size, order, pick)
    engine = built(drawn)
    memory = (psutil.Process().memory_info().rss - before) / 2**20
    found: dict[str, Microseconds] = {}
    for _ in range(BLOCKS):
        part = max(1, times // BLOCKS)
        bare_choice, bare_pull = floor(drawn, part)
        for name, of in (
            ("floor: first idle agent of a skill", bare_choice),
            ("an agent for new work", choices(drawn, engine, part)),
            ("floor: first item of some heaps", bare_pull),
            ("an item for a freed agent", pulls(drawn, engine, part)),
        ):
            found.setdefault(name, []).extend(of)
    found["whole step: a request"], found["whole step: an end"] = steps(drawn, engine, min(times, 2000))
    table = Table(
        title=f"{order}/{pick}: {size.agents} agents, {size.skills} skills, {size.waiting} waiting; {memory:.0f} MB",
        title_justify="left",
    )
    table.add_column("us")
    for name in ("mean", "p50", "p99", "max"):
        table.add_column(name, justify="right")
    figures = {name: _figures(values) for name, values in found.items()}
    for name, row in figures.items():
        table.add_row(name, *(f"{value:.1f}" for value in row.values()))
    console.print(table)
    reached = (
        figures["an agent for new work"]["p99"] <= BOUND_CHOICE
        and figures["an item for a freed agent"]["p99"] <= BOUND_PULL
    )
    return {"us": figures, "memory_mb": memory, "reached": reached}


def _figures(values: Microseconds) -> dict[str, float]:
    cut = statistics.quantiles(values, n=100)
    return {"mean": statistics.fmean(values), "p50": cut[49], "p99": cut[98], "max": max(values)}


if __name__ == "__main__":
    typer.run(main)
