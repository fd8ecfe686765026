"""This file is `make demo`: `python -m deploy.demo [--for 30s] [--rate 10] [--keep]`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from deploy.demo.processes import ServiceDied, ServiceNotReady
from deploy.demo.run import Plan, demo
from libs.workspace.durations import parse_duration


def seconds_of(text: str) -> float:
    """A duration such as 30s, 5m, 1h; a bare number is seconds."""
    try:
        return float(text) if text.isdecimal() else parse_duration(text).total_seconds()
    except ValueError as fault:
        raise typer.BadParameter(str(fault)) from None


def main(
    for_: Annotated[
        str | None, typer.Option("--for", help="How long customers write, e.g. 30s; default: until Ctrl-C.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Customers' messages per second.")] = 10.0,
    agents: Annotated[
        int | None, typer.Option(min=1, help="Simulated agents; default: enough for the rate.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same customers.")] = 1,
    keep: Annotated[bool, typer.Option(help="Keep broker and database for the next run.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where data and logs go; default: .sambung here.")] = None,
) -> None:
    """Run everything on this machine, with simulated providers, customers and agents, then reconcile."""
    plan = Plan(rate, seconds_of(for_) if for_ else None, agents, seed, keep, data)
    console = Console()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            kept = runner.run(_interruptible(plan, console))
    except (ServiceDied, ServiceNotReady) as fault:
        console.print(str(fault), style="red", highlight=False, markup=False, soft_wrap=True)
        kept = False
    except asyncio.CancelledError:
        console.print("interrupted")
        kept = False
    sys.exit(0 if kept else 1)


async def _interruptible(plan: Plan, console: Console) -> bool:
    """The first Ctrl-C ends the traffic and reconciles, the second one ends everything."""
    interrupted, task = asyncio.Event(), asyncio.current_task()

    def interrupt() -> None:
        if interrupted.is_set() and task is not None:
            task.cancel()
        interrupted.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return await demo(plan, console, interrupted)


if __name__ == "__main__":
    typer.run(main)
