"""This file is `make bench`: our chain and the floor in alternating blocks of one run, and what it costs."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench.measure import run
from bench.report import report
from bench.results import keep
from deploy.demo.processes import ServiceDied, ServiceNotReady
from deploy.local.stack import LocalStack

console = Console()


def main(
    rates: Annotated[str, typer.Option(help="messages a second, with commas")] = "50,200,500,1000",
    seconds: Annotated[float, typer.Option(help="length of a block")] = 6,
    rounds: Annotated[int, typer.Option(help="how often each block is measured")] = 3,
) -> None:
    """Measure the chain beside the floor; writes bench/results/<time>.json."""
    folder = Path(tempfile.mkdtemp(prefix="sambung-bench-"))
    folder.chmod(0o755)
    try:
        with LocalStack(progress=console) as stack, Progress(console=console, transient=True) as progress:
            result = asyncio.run(
                run(stack, folder, [float(r) for r in rates.split(",")], seconds, rounds, progress)
            )
    except (RuntimeError, ServiceDied, ServiceNotReady) as fault:
        console.print(f"{fault}\nlogs are in {folder}", style="red")
        sys.exit(1)
    shutil.rmtree(folder)
    values = report(result, console)
    console.print(f"written to {keep(values)}")


if __name__ == "__main__":
    typer.run(main)
