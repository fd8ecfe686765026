"""This file is a campaign: the whole system under load, faults, recovery, and then the promises counted."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.reconcile import Finding
from deploy.demo.run import Plan, world
from deploy.local.stack import LocalStack
from tests.chaos.faults import BETWEEN, MIX, Killer, start_second
from tests.chaos.promises import count

DRAIN = 60.0
"""Seconds for conversations under way to come to their end when the faults have ended."""

Look = Callable[[str, int], None]
"""Is told the phase and the faults so far."""


@dataclass(frozen=True)
class Campaign:
    """What to do. `unsafe` switches checks of the kernel off (`epoch`, `watermark`), to show that the count can fail."""

    kills: int
    seed: int = 1
    rate: float = 20.0
    unsafe: str = ""
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)
    between: float = BETWEEN


@dataclass
class Outcome:
    findings: list[Finding]
    done: Mapping[str, int]
    seconds: float
    refusals: Mapping[str, int]
    """Commands that agents were refused."""
    repeated: list[str]
    """Replies that a provider without idempotency keys got more than once."""

    @property
    def kept(self) -> bool:
        return not any(finding.offenders for finding in self.findings)


async def run(campaign: Campaign, stack: LocalStack, folder: Path, look: Look) -> Outcome:
    """Raises ServiceDied, ServiceNotReady where the system does not come back."""
    began = time.monotonic()
    plan = Plan(rate=campaign.rate, seed=campaign.seed)
    look("starting", 0)
    async with world(stack.servers, folder, plan, environ={"SAMBUNG_UNSAFE": campaign.unsafe}) as running:
        await start_second(running.services)
        running.team.begin()
        over = asyncio.Event()
        traffic = asyncio.create_task(running.traffic.run(campaign.rate, over.is_set))
        rng = random.Random(campaign.seed)
        killer = Killer(stack, running.services, rng, campaign.mix, campaign.between)
        try:
            await killer.run(campaign.kills, lambda done: look("faults", done))
            look("recovering", campaign.kills)
            await killer.heal()
        finally:
            over.set()
            await traffic
        look("draining", campaign.kills)
        await running.drain(DRAIN)
        await running.team.end()  # what is counted must hold still
        look("counting", campaign.kills)
        findings, repeated = await count(running)
        alone = Finding("no process ended by itself", killer.done.total(), killer.by_themselves)
        seconds = time.monotonic() - began
        return Outcome([*findings, alone], killer.done, seconds, running.team.refusals, repeated)
