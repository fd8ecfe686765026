"""This file is an outage: broker or database away for a while under load, nobody does anything, then the promises counted.

`python -m tests.chaos.outage broker --seconds 30`
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.demo.display import show_findings
from deploy.demo.reconcile import Finding
from deploy.demo.run import Plan, world
from deploy.local.stack import LocalStack
from tests.chaos.campaign import DRAIN, settled

console = Console()
READY_WITHIN = 60.0


async def run(
    stack: LocalStack, folder: Path, what: str, seconds: float, rate: float
) -> tuple[list[Finding], dict[str, int]]:
    """Raises ServiceDied, ServiceNotReady where the system does not come back by itself."""
    server = stack.kafka if what == "broker" else stack.postgres
    assert server is not None, "an outage needs embedded servers"
    async with world(stack.servers, folder, Plan(rate=rate)) as running:
        running.team.begin()
        over = asyncio.Event()
        traffic = asyncio.create_task(running.traffic.run(rate, over.is_set))
        await asyncio.sleep(8)
        server.kill()
        taken = sum(1 for _ in running.ledger.acknowledged())
        await asyncio.sleep(seconds)
        during = sum(1 for _ in running.ledger.acknowledged()) - taken
        pids = {service.name: service.pid for service in running.services.all}
        await asyncio.to_thread(server.start)
        await asyncio.gather(
            *(running.services.until_ready(s.name, within=READY_WITHIN) for s in running.services.all)
        )
        await asyncio.sleep(8)
        over.set()
        await traffic
        await running.drain(DRAIN)
        counted = await settled(running)
        same = Finding("every process is the one that was there before", len(pids))
        same.offenders = [name for name, pid in pids.items() if running.services[name].pid != pid]
        return [*counted, same], {"acknowledged during the outage": during}


def command(
    what: Annotated[str, typer.Argument(help="broker or database")],
    seconds: Annotated[float, typer.Option(help="length of the outage")] = 30,
    rate: Annotated[float, typer.Option(help="messages a second")] = 10,
) -> None:
    """Take the broker or the database away under load. Exit status 1 where a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix="sambung-outage-"))
    folder.chmod(0o755)
    console.print(f"logs in {folder}")
    with LocalStack(progress=console) as stack:
        counted, figures = asyncio.run(run(stack, folder, what, seconds, rate))
    if what == "broker":
        refused = Finding("ingest took nothing while the broker was away", 1)
        refused.expect(figures["acknowledged during the outage"] <= 1, f"{figures}")
        counted.append(refused)
    kept = show_findings(console, counted)
    console.print(str(figures))
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    typer.run(command)
