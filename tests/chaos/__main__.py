"""This file is `make chaos KILLS=n`."""

import secrets
import sys
from typing import Annotated

import typer
from rich.console import Console

from deploy.demo.processes import ServiceDied, ServiceNotReady
from tests.chaos.campaign import Campaign, main
from tests.chaos.faults import MIX

console = Console()


def command(
    kills: Annotated[int, typer.Option(help="how many faults")] = 100,
    seed: Annotated[int, typer.Option(help="draws the faults; 0 takes a new one")] = 0,
    rate: Annotated[float, typer.Option(help="messages a second")] = 20,
    unsafe: Annotated[
        str, typer.Option(help="switch checks off: epoch, watermark or both with a comma")
    ] = "",
    only: Annotated[str, typer.Option(help="only these faults, with commas: " + ", ".join(MIX))] = "",
) -> None:
    """Kill processes, broker and database under load, then count the promises. Exit status 1 where one was broken."""
    mix = {kind: MIX[kind] for kind in only.split(",")} if only else MIX
    campaign = Campaign(kills, seed or secrets.randbelow(1_000_000) + 1, rate, unsafe, mix)
    try:
        kept = main(campaign, console)
    except (ServiceDied, ServiceNotReady) as fault:
        console.print(str(fault), style="red", markup=False)
        kept = False
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    typer.run(command)
