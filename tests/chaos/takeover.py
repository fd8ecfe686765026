"""This file measures a takeover: how long the lanes of a lost router stand still, and whether the others notice.

`python -m tests.chaos.takeover --reps 20`: two routers under load published straight to `inbound`; one is killed, told to
end, or stopped for longer than its lease. The positions of the flow `conversations` are sampled every few milliseconds; a
lane's stall is the longest time in which its position did not move, although records for it came all the time.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.chain import INBOX, chain
from bench.load import percentile
from deploy.demo.processes import ServiceDied, ServiceNotReady, Services
from deploy.local.stack import LocalStack
from libs.flow.topics import create
from tests.chaos.load import Load

BOUND, BOUND_OF_OTHERS = 1.0, 0.5
"""Seconds within which a killed process's lanes must be served again, and the others must move on, at p99."""
SAMPLE, WARM_UP, QUIET = 0.008, 3.0, 2.0
ROUTERS = ("router", "router.2")
POSITIONS = """
select lane, next_offset from router."position" where flow = 'conversations' and topic = 'inbound'
"""
OWNERS = """
select lane, substring(owner from '[.]([0-9]+)[.][0-9a-f]+$')::int as pid from router.lane where flow = 'conversations'
"""


class Loss(StrEnum):
    KILL = "kill"
    TERM = "term"
    STOP = "stop"


WATCH = {Loss.KILL: 4.0, Loss.TERM: 4.0, Loss.STOP: 6.0}
"""Seconds."""
STOPPED = 3.5


@dataclass
class Stalls:
    """Longest stalls (seconds), one of each repetition; `quiet` are those of all lanes while nothing happened."""

    victims: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)


async def stalls_of(c: asyncpg.Connection, seconds: float) -> dict[int, float]:
    """Watch for so long: each lane's longest stall."""
    began = time.monotonic()
    last: dict[int, int] = {lane: offset for lane, offset in await c.fetch(POSITIONS)}  # noqa: C416  rows are no pairs
    moved, longest = dict.fromkeys(last, began), dict.fromkeys(last, 0.0)
    while (now := time.monotonic()) - began < seconds:
        for lane, offset in await c.fetch(POSITIONS):
            if last[lane] != offset:
                longest[lane] = max(longest[lane], now - moved[lane])
                last[lane], moved[lane] = offset, now
        await asyncio.sleep(SAMPLE)
    return {lane: max(stall, now - moved[lane]) for lane, stall in longest.items()}


async def repetition(
    c: asyncpg.Connection, services: Services, victim: str, loss: Loss, stalls: Stalls
) -> None:
    """Lose one router, watch, have it back, wait until the lanes are shared once more."""
    stalls.quiet.append(max((await stalls_of(c, QUIET)).values()))
    pid = services[victim].pid
    lost = {row["lane"] for row in await c.fetch(OWNERS) if row["pid"] == pid}
    watching = asyncio.create_task(stalls_of(c, WATCH[loss]))
    await asyncio.sleep(0)
    await lose(services, victim, loss)
    found = await watching
    stalls.victims.append(max(stall for lane, stall in found.items() if lane in lost))
    stalls.others.append(max(stall for lane, stall in found.items() if lane not in lost))
    if not services[victim].running:
        await services.start(victim)
    await shared(c, services)


def lose(services: Services, victim: str, loss: Loss) -> Coroutine[Any, Any, None]:
    async def kill() -> None:
        services.kill(victim)

    async def stop_and_go() -> None:
        services.suspend(victim)
        await asyncio.sleep(STOPPED)
        services.resume(victim)

    match loss:
        case Loss.KILL:
            return kill()
        case Loss.TERM:
            return services.stop(victim)
        case Loss.STOP:
            return stop_and_go()


async def shared(c: asyncpg.Connection, services: Services, within: float = 30.0) -> None:
    """Wait until both routers own the lanes in equal parts, and a little longer, until they have settled."""
    pids = {services[name].pid for name in ROUTERS}
    async with asyncio.timeout(within):
        while True:
            owners = [row["pid"] for row in await c.fetch(OWNERS)]
            if set(owners) == pids and abs(2 * owners.count(owners[0]) - len(owners)) <= 1:
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)


async def measure(
    stack: LocalStack, folder: Path, reps: int, rate: float, losses: Sequence[Loss], progress: Progress
) -> dict[Loss, Stalls]:
    """Raises ServiceDied, ServiceNotReady."""
    await create(stack.servers.kafka)
    services = chain(stack.servers, folder).services
    services.add(ROUTERS[1])
    load, found = Load(stack.servers.kafka, INBOX, rate), {loss: Stalls() for loss in losses}
    c: asyncpg.Connection | None = None
    try:
        await services.start(*ROUTERS)
        c = await asyncpg.connect(stack.servers.postgres)
        load.start()
        await shared(c, services)
        await asyncio.sleep(WARM_UP)
        for loss, stalls in found.items():
            task = progress.add_task(loss, total=reps)
            for number in range(reps):
                await repetition(c, services, ROUTERS[number % 2], loss, stalls)
                progress.advance(task)
    finally:
        await load.stop()
        if c is not None:
            await c.close()
        await services.stop()
    return found


def table(found: dict[Loss, Stalls]) -> Table:
    shown = Table("longest stall, seconds", "p50", "p99", "max", "times", title_justify="left")
    for loss, stalls in found.items():
        for what, values in (
            (f"{loss}: lanes of the lost process", stalls.victims),
            (f"{loss}: lanes of the other process", stalls.others),
            (f"{loss}: all lanes, just before", stalls.quiet),
        ):
            figures = (percentile(values, 0.5), percentile(values, 0.99), max(values))
            shown.add_row(what, *(f"{figure:.2f}" for figure in figures), str(len(values)))
    return shown


def command(
    reps: Annotated[int, typer.Option(min=1, help="How often each loss is repeated.")] = 20,
    rate: Annotated[float, typer.Option(min=12, help="Messages a second.")] = 600,
    losses: Annotated[str, typer.Option(help="Which, with commas: kill, term, stop.")] = "kill,term,stop",
) -> None:
    """Lose one of two routers again and again. Exit status 1 where, after a kill, its lanes stood still for more than a
    second at p99, or the other's lanes for more than half a second."""
    console, folder = Console(), Path(tempfile.mkdtemp(prefix="sambung-takeover-"))
    folder.chmod(0o755)
    wanted = [Loss(word) for word in losses.split(",")]
    console.print(f"{reps} of {losses} at {rate:g} messages/s; logs in {folder}")
    try:
        with LocalStack(progress=console) as stack, Progress(console=console, transient=True) as progress:
            found = asyncio.run(measure(stack, folder, reps, rate, wanted, progress))
    except (ServiceDied, ServiceNotReady) as fault:
        console.print(str(fault), style="red", markup=False)
        sys.exit(1)
    console.print(table(found))
    kept = True
    if Loss.KILL in found:
        kills = found[Loss.KILL]
        kept = percentile(kills.victims, 0.99) <= BOUND and percentile(kills.others, 0.99) <= BOUND_OF_OTHERS
        bounds = f"{BOUND:g} s for the lanes of a killed process, {BOUND_OF_OTHERS:g} s for the others"
        console.print(f"{'within' if kept else 'NOT within'} the bounds at p99: {bounds}")
    if kept:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    typer.run(command)
