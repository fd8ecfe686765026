"""This file is `make chaos KILLS=n`: `python -m tests.chaos --kills n [--seed s] [--rate r] [--unsafe epoch]`."""

import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.demo.display import show_findings
from deploy.demo.processes import ServiceDied, ServiceNotReady
from deploy.local.stack import LocalStack
from tests.chaos.campaign import Campaign, Outcome, run
from tests.chaos.faults import BETWEEN, MIX

CHECKS = ("epoch", "watermark")
COLUMNS = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


def command(
    kills: Annotated[int, typer.Option(min=0, help="How many faults.")] = 100,
    seed: Annotated[int, typer.Option(help="Draws the faults; 0 takes a new one.")] = 0,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages a second.")] = 20,
    seconds_between: Annotated[float, typer.Option(min=0, help="Between two faults, on average.")] = BETWEEN,
    unsafe: Annotated[
        str, typer.Option(help="Switch checks off: epoch, watermark, or both with a comma.")
    ] = "",
    only: Annotated[str, typer.Option(help="Only these faults, with commas: " + ", ".join(MIX))] = "",
) -> None:
    """Kill processes, broker and database under load, then count the promises. Exit status 1 where one was broken."""
    off = ",".join(chosen(unsafe, CHECKS, "checks"))
    mix = {kind: MIX[kind] for kind in chosen(only, tuple(MIX), "faults")} or MIX
    campaign = Campaign(kills, seed or secrets.randbelow(1_000_000) + 1, rate, off, mix, seconds_between)
    console, folder = Console(), Path(tempfile.mkdtemp(prefix="sambung-chaos-"))
    folder.chmod(0o755)
    without = f", without checking the {off.replace(',', ' and the ')}" if off else ""
    console.print(f"seed {campaign.seed}: {kills} faults at {rate:g} messages/s{without}; logs in {folder}")
    kept = False
    try:
        outcome = with_progress(campaign, console, folder)
        show(console, outcome)
        kept = outcome.kept
    except (ServiceDied, ServiceNotReady) as fault:
        console.print(str(fault), style="red", markup=False)
    if kept:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        console.print(f"broken; the services' logs are in {folder / 'logs'}", style="red")
    sys.exit(0 if kept else 1)


def chosen(text: str, known: tuple[str, ...], what: str) -> list[str]:
    words = [word for word in text.split(",") if word]
    if strange := [word for word in words if word not in known]:
        raise typer.BadParameter(f"{', '.join(strange)}: {what} are {', '.join(known)}")
    return words


def with_progress(campaign: Campaign, console: Console, folder: Path) -> Outcome:
    """Raises ServiceDied, ServiceNotReady where the system does not come back."""
    with (
        LocalStack(progress=console) as stack,
        Progress(*COLUMNS, console=console, transient=True) as progress,
    ):
        task = progress.add_task("starting", total=campaign.kills)

        def look(phase: str, done: int) -> None:
            progress.update(task, description=phase, completed=done)

        return asyncio.run(run(campaign, stack, folder, look))


def show(console: Console, outcome: Outcome) -> None:
    """The promises, then what was done and what is worth knowing besides."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    show_findings(console, outcome.findings)
    done = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.done.items()))
    say(f"faults: {done}; {outcome.seconds:.0f} s in all")
    if outcome.repeated:
        say(f"replies that a provider without idempotency keys got again: {len(outcome.repeated)}")
        for reply in outcome.repeated:
            say(f"  {reply}")
    if outcome.refusals:
        refused = ", ".join(f"{count} {what}" for what, count in sorted(outcome.refusals.items()))
        say(f"commands that agents were refused: {refused}")


if __name__ == "__main__":
    typer.run(command)
