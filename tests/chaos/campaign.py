"""This file is a campaign: the whole system under load, faults, recovery, and then the promises counted."""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from deploy.demo.display import show_findings
from deploy.demo.reconcile import Finding
from deploy.demo.run import Plan, World, world
from deploy.local.stack import LocalStack
from tests.chaos.faults import MIX, Killer, start_second
from tests.chaos.promises import findings, read_log

DRAIN, SETTLE = 60.0, 40.0
REPLIES = "every reply is delivered exactly once"


@dataclass(frozen=True)
class Campaign:
    """What to do. `unsafe` switches checks of the kernel off (`epoch`, `watermark`), to show that the count can fail."""

    kills: int
    seed: int = 1
    rate: float = 20.0
    unsafe: str = ""
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)


@dataclass
class Outcome:
    findings: list[Finding]
    done: Mapping[str, int]
    by_themselves: list[str]
    seconds: float
    refusals: Mapping[str, int]
    """Commands that agents were refused."""
    resent: list[str]
    """Replies that a provider without idempotency keys got more than once, after a sender was killed."""

    @property
    def kept(self) -> bool:
        return not any(finding.offenders for finding in self.findings)


async def run(campaign: Campaign, stack: LocalStack, folder: Path, look: Callable[[int], None]) -> Outcome:
    """Raises ServiceDied, ServiceNotReady where the system does not come back."""
    began = time.monotonic()
    plan = Plan(rate=campaign.rate, seed=campaign.seed)
    async with world(stack.servers, folder, plan, environ={"SAMBUNG_UNSAFE": campaign.unsafe}) as running:
        await start_second(running.services)
        running.team.begin()
        over = asyncio.Event()
        traffic = asyncio.create_task(running.traffic.run(campaign.rate, over.is_set))
        killer = Killer(stack, running.services, random.Random(campaign.seed), campaign.mix)
        try:
            await killer.run(campaign.kills, look)
        finally:
            over.set()
            await traffic
        await killer.heal()
        await running.drain(DRAIN)
        counted, resent = apart(await settled(running))
        return Outcome(
            counted,
            killer.done,
            killer.by_themselves,
            time.monotonic() - began,
            running.team.refusals,
            resent,
        )


async def settled(running: World) -> list[Finding]:
    """The count, once it no longer changes for the better."""
    deadline = time.monotonic() + SETTLE
    while True:
        counted = [*await running.findings(), *findings(await read_log(running.servers.kafka))]
        if not any(finding.offenders for finding in counted) or time.monotonic() > deadline:
            return counted
        await asyncio.sleep(1)


def apart(counted: list[Finding]) -> tuple[list[Finding], list[str]]:
    """A reply under way when its sender is killed is sent again; WhatsApp and Telegram have no key by which to drop it."""
    resent: list[str] = []
    for finding in counted:
        if finding.promise == REPLIES:
            again = [o for o in finding.offenders if o.endswith(" times") and ("whatsapp" in o or "telegram" in o) and " reached " in o
                     and not o.endswith(" 0 times")]  # fmt: skip
            resent += again
            finding.offenders = [o for o in finding.offenders if o not in again]
    return counted, resent


def main(campaign: Campaign, console: Console) -> bool:
    """Run it with progress; print the table; returns whether every promise was kept."""
    folder = Path(tempfile.mkdtemp(prefix="sambung-chaos-"))
    folder.chmod(0o755)
    off = f", checks switched off: {campaign.unsafe}" if campaign.unsafe else ""
    console.print(
        f"seed {campaign.seed}, {campaign.kills} faults at {campaign.rate:g} messages/s{off}; logs in {folder}"
    )
    with LocalStack(progress=console) as stack, Progress(console=console, transient=True) as progress:
        task = progress.add_task("faults", total=campaign.kills)
        outcome = asyncio.run(
            run(campaign, stack, folder, lambda done: progress.update(task, completed=done))
        )
    kept = show_findings(console, outcome.findings)
    console.print(f"done: {dict(outcome.done)} in {outcome.seconds:.0f} s")
    if outcome.by_themselves:
        console.print(f"ended by themselves and were started again: {outcome.by_themselves}")
    if outcome.refusals:
        console.print(f"commands refused: {dict(outcome.refusals)}")
    if outcome.resent:
        console.print(f"sent again after a kill (no key to drop them by): {len(outcome.resent)}")
    return kept
