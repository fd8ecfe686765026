"""This file is an outage: broker or database away for a while under load, nobody does anything, then the promises counted.

`python -m tests.chaos.outage --seconds 30 broker`
"""

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.demo.display import show_findings
from deploy.demo.processes import ServiceDied, ServiceNotReady
from deploy.demo.reconcile import Finding
from deploy.demo.run import Plan, World, world
from deploy.local.stack import LocalStack
from tests.chaos.campaign import DRAIN
from tests.chaos.promises import count

BEFORE, AFTER = 8.0, 8.0
"""Seconds of traffic around the outage."""
UNDER_WAY = 1.0
"""Seconds in which answers of before the outage may still arrive."""
READY_WITHIN = 60.0


class Server(StrEnum):
    BROKER = "broker"
    DATABASE = "database"


@dataclass(frozen=True)
class Meanwhile:
    """What ingest answered while the server was away: messages taken, and HTTP answers by status."""

    taken: int
    answers: Counter[str]


async def run(
    stack: LocalStack, folder: Path, which: Server, seconds: float, rate: float
) -> tuple[list[Finding], Meanwhile]:
    """Raises ServiceDied, ServiceNotReady where the system does not come back by itself."""
    server = stack.kafka if which is Server.BROKER else stack.postgres
    if server is None:
        raise RuntimeError("an outage needs embedded servers")
    async with world(stack.servers, folder, Plan(rate=rate)) as running:
        running.team.begin()
        over = asyncio.Event()
        traffic = asyncio.create_task(running.traffic.run(rate, over.is_set))
        try:
            await asyncio.sleep(BEFORE)
            pids = {service.name: service.pid for service in running.services.all}
            server.kill()
            meanwhile = await watched(running, seconds)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*(running.services.until_ready(name, within=READY_WITHIN) for name in pids))
            await asyncio.sleep(AFTER)
        finally:
            over.set()
            await traffic
        await running.drain(DRAIN)
        await running.team.end()  # what is counted must hold still
        findings, _ = await count(running)
        same = Finding("every process lived through it", len(pids))
        same.offenders = [name for name, pid in pids.items() if running.services[name].pid != pid]
        return [*findings, same, at_the_door(which, meanwhile)], meanwhile


async def watched(running: World, seconds: float) -> Meanwhile:
    """The time of the outage."""
    ledger = running.ledger
    await asyncio.sleep(UNDER_WAY)
    taken, answers = sum(1 for _ in ledger.acknowledged()), Counter(ledger.answers)
    await asyncio.sleep(seconds - UNDER_WAY)
    return Meanwhile(sum(1 for _ in ledger.acknowledged()) - taken, Counter(ledger.answers) - answers)


def at_the_door(which: Server, meanwhile: Meanwhile) -> Finding:
    """P1: without a broker every webhook is turned down with 503; without a database all are taken."""
    told = f"{meanwhile.taken} messages taken, answers {dict(meanwhile.answers)}"
    if which is Server.BROKER:
        finding = Finding("P1: ingest answered 503 and took nothing while the broker was away")
        finding.expect(meanwhile.taken == 0 and meanwhile.answers.keys() == {"503"}, told)
    else:
        finding = Finding("P1: ingest took everything while the database was away")
        finding.expect(meanwhile.taken > 0 and meanwhile.answers.keys() == {"200"}, told)
    return finding


def command(
    which: Annotated[Server, typer.Argument(help="What is away.")],
    seconds: Annotated[float, typer.Option(min=2, help="For how long.")] = 30,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages a second.")] = 15,
) -> None:
    """Take the broker or the database away under load. Exit status 1 where a promise was broken."""
    console, folder = Console(), Path(tempfile.mkdtemp(prefix="sambung-outage-"))
    folder.chmod(0o755)
    console.print(f"{which} away for {seconds:g} s at {rate:g} messages/s; logs in {folder}")
    try:
        with LocalStack(progress=console) as stack:
            findings, meanwhile = asyncio.run(run(stack, folder, which, seconds, rate))
    except (ServiceDied, ServiceNotReady) as fault:
        console.print(str(fault), style="red", markup=False)
        sys.exit(1)
    kept = show_findings(console, findings)
    console.print(f"meanwhile {meanwhile.taken} messages taken, answers {dict(meanwhile.answers)}")
    if kept:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    typer.run(command)
