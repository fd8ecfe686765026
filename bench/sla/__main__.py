"""This file is `make bench-sla`: a million open clocks in one process, its restart, its firings beside a bare heap."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.results import keep
from bench.sla.report import report
from bench.sla.run import Plan, measure
from deploy.local.stack import LocalStack

console = Console()


def main(
    clocks: Annotated[int, typer.Option(help="open clocks")] = 1_000_000,
    rate: Annotated[float, typer.Option(help="firings a second")] = 1000,
    seconds: Annotated[float, typer.Option(help="length of a block")] = 20,
    rounds: Annotated[int, typer.Option(help="how often each block is measured")] = 2,
    changed: Annotated[int, typer.Option(help="conversations opened and resolved at the end")] = 5_000,
    lead: Annotated[float, typer.Option(help="seconds that the start may take")] = 30,
) -> None:
    """Measure the SLA service; writes bench/results/sla-<time>.json."""
    folder = Path(tempfile.mkdtemp(prefix="sambung-bench-"))
    folder.chmod(0o755)
    plan = Plan(clocks, rate, seconds, rounds, changed, lead)
    try:
        with LocalStack(progress=console) as stack:
            values = report(asyncio.run(measure(stack, folder, plan, console)), console)
    except (RuntimeError, TimeoutError) as fault:
        console.print(f"{fault!r}\nlogs are in {folder}", style="red")
        sys.exit(1)
    shutil.rmtree(folder)
    console.print(f"written to {keep(values, 'sla')}")


if __name__ == "__main__":
    typer.run(main)
