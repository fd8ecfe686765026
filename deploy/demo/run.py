"""This file is the whole demo: start everything, let customers write, stop, and compare both sides."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.console import Console

from deploy.demo.agents import Habits, Team
from deploy.demo.display import Display, show_findings
from deploy.demo.ledger import Ledger
from deploy.demo.organisation import SUPERVISOR, WEBCHAT, Organisation, found
from deploy.demo.posting import Posting
from deploy.demo.processes import SERVICES, Services
from deploy.demo.provider import Provider, Trouble
from deploy.demo.reconcile import Finding, api_agrees, judge, read_story
from deploy.demo.shapes import Numbers
from deploy.demo.traffic import Traffic
from deploy.demo.visitors import Visitors
from deploy.local.ports import free_port
from deploy.local.stack import LocalStack, Servers
from libs.flow.database import DatabaseAway
from libs.flow.topics import create
from libs.service.auth import Role

LOOK = 0.25
DRAIN = 25.0
"""Seconds for conversations under way to come to their end when the traffic has stopped."""
SETTLE = 15.0
"""Seconds for the last events to reach the timeline."""


@dataclass(frozen=True)
class Plan:
    """What to run. `seconds` None: until it is interrupted."""

    rate: float = 10.0
    seconds: float | None = None
    agents: int | None = None
    """None: enough for the rate."""
    seed: int = 1
    keep: bool = False
    data: Path | None = None
    trouble: Trouble = field(default_factory=Trouble)
    habits: Habits = field(default_factory=Habits)

    @property
    def team(self) -> int:
        """An agent with five places ends some conversation every second and a half; not every message begins one."""
        return self.agents or max(6, round(self.rate * 1.2))


@dataclass
class World:
    """Everything around the services, wired together and running."""

    servers: Servers
    services: Services
    organisation: Organisation
    ledger: Ledger
    provider: Provider
    posting: Posting
    visitors: Visitors
    traffic: Traffic
    team: Team

    async def drain(self, within: float, look: Callable[[], None] = lambda: None) -> None:
        """The traffic has ended: let posts, visitors and agents come to their end."""
        deadline = time.monotonic() + within
        self.team.closing = True
        await self.posting.drain(within)
        await self.visitors.drain(max(0.0, deadline - time.monotonic()))
        quiet = 0
        while quiet < 4 and time.monotonic() < deadline:
            # Several looks in a row, since what is not yet on the supervisor's screen is not counted.
            quiet = quiet + 1 if self.team.watch.open == 0 else 0
            look()
            await asyncio.sleep(LOOK)
        await self.provider.drain(5.0)
        await self.posting.drain(5.0)

    async def findings(self) -> list[Finding]:
        """The reconciliation as it is now. Raises DatabaseAway, httpx.HTTPError."""
        story = await read_story(self.servers.postgres, sorted(self.ledger.contact_points()))
        token = self.organisation.token(SUPERVISOR, Role.SUPERVISOR)
        api = await api_agrees(self.services["history"].url, token, self.ledger, story)
        watched = Finding(
            "no screen showed anything twice or out of order", self._shown(), list(self.team.faults)
        )
        held = Finding(
            "no agent's load was ever above the capacity, as the desk shows it",
            len(self.team.agents),
            list(self.team.watch.over),
        )
        return [*judge(self.ledger, story, self.organisation.workspace), api, held, watched]

    async def settled_findings(self, within: float) -> list[Finding]:
        """The reconciliation once nothing is broken any more, or as it is when the time is up."""
        deadline = time.monotonic() + within
        while True:
            self.services.check()
            try:
                found = await self.findings()
            except (DatabaseAway, httpx.HTTPError):
                if time.monotonic() > deadline:
                    raise
            else:
                if not any(one.offenders for one in found) or time.monotonic() > deadline:
                    return found
            await asyncio.sleep(0.5)

    def _shown(self) -> int:
        return sum(message.shown_at is not None for message in self.ledger.incoming.values())


@asynccontextmanager
async def world(
    servers: Servers,
    folder: Path,
    plan: Plan,
    *,
    say: Callable[[str], None] = lambda _: None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[World]:
    """Services, providers, customers and agents on a broker and database that run; all of it ends with the block.

    `environ`: further settings of the services. `folder` gets the workspace file and the services' logs. Agents work from `team.begin` on, customers write when
    `traffic.run` is called.
    """
    run = int(time.time()) % 1_000_000
    rng, ledger, numbers = random.Random(plan.seed), Ledger(), Numbers(f"{run:06}", update_id=run * 10_000)
    async with AsyncExitStack() as stack:
        port = free_port()
        organisation = found(folder, f"http://127.0.0.1:{port}", agents=plan.team, seed=plan.seed)
        provider = Provider(port, lambda: organisation, ledger, numbers, rng, plan.trouble)
        await provider.start()
        stack.push_async_callback(provider.stop)
        say(f"simulated providers answer at {provider.url}")
        made = await create(servers.kafka)
        say(f"{len(made)} topics created" if made else "all topics were there")
        services = Services(
            servers, organisation.path, folder / "logs", environ={**organisation.environ, **(environ or {})}
        )
        stack.push_async_callback(services.stop)
        await asyncio.gather(*(_start(services, name, say) for name in SERVICES))
        ingest = services["ingest"].url
        posting = Posting(ingest, ledger, rng)
        stack.push_async_callback(posting.close)
        visitors = Visitors(ingest, WEBCHAT, ledger, numbers)
        stack.push_async_callback(visitors.close)
        traffic = Traffic(organisation, ledger, posting, visitors, numbers, rng, run=run)
        provider.posting = posting
        provider.on_message = visitors.on_message = lambda channel, address, _: traffic.answered(
            channel, address
        )
        team = Team(organisation, lambda: services["desk"].url, ledger, rng, run=run, habits=plan.habits)
        stack.push_async_callback(team.end)
        yield World(servers, services, organisation, ledger, provider, posting, visitors, traffic, team)


async def _start(services: Services, name: str, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    await services.start(name)
    say(f"{name} is ready at {services[name].url} (after {time.monotonic() - began:.1f} s)")


async def demo(plan: Plan, console: Console, interrupted: asyncio.Event) -> bool:
    """A whole run; returns whether every promise was kept. Raises ServiceDied, ServiceNotReady and what LocalStack raises."""

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    local = LocalStack(data=plan.data, keep=plan.keep, progress=console)
    try:
        servers = await asyncio.to_thread(local.start)
        folder = _folder(plan)
        async with world(servers, folder, plan, say=say) as running:
            await _show(running, plan, console, interrupted)
            await running.team.end()  # what is compared must hold still
            say("comparing what the providers know with what the system holds …")
            findings = await running.settled_findings(SETTLE)
            kept = show_findings(console, findings)
            if not kept:
                say(f"logs of the services: {folder / 'logs'}")
            if running.team.refusals:
                told = ", ".join(f"{count} {what}" for what, count in sorted(running.team.refusals.items()))
                say(f"commands that agents were refused: {told}")
            return kept
    finally:
        await asyncio.to_thread(local.stop)


async def _show(running: World, plan: Plan, console: Console, interrupted: asyncio.Event) -> None:
    """Traffic, drain, and the table over both."""
    running.team.begin()
    began = time.monotonic()

    def over() -> bool:
        running.services.check()
        return interrupted.is_set() or (plan.seconds is not None and time.monotonic() - began >= plan.seconds)

    def look() -> None:
        running.services.check()
        display.refresh("draining")

    with Display(console, running.ledger, running.team, addresses(running)) as display:
        traffic = asyncio.create_task(running.traffic.run(plan.rate, over))
        while not traffic.done():
            display.refresh("running")
            await asyncio.wait([traffic], timeout=LOOK)
        await traffic
        await running.drain(DRAIN, look)


def addresses(running: World) -> list[str]:
    """What a person may want to open."""
    services, token = running.services, running.organisation.token(SUPERVISOR, Role.SUPERVISOR)
    desk = services["desk"].url
    return [
        "",
        "metrics   " + "  ".join(f"{service.url}/metrics ({service.name})" for service in services.all),
        "API docs  "
        + "  ".join(f"{services[name].url}/docs ({name})" for name in ("router", "sla", "history", "desk")),
        f"feed      curl -N -H 'Authorization: Bearer {token}' '{desk}/v1/feed/events?scope=pool'",
        f"desk      curl -H 'Authorization: Bearer {token}' '{desk}/v1/conversations?limit=5'",
        f"timeline  curl -H 'Authorization: Bearer {token}' '{services['history'].url}/v1/contacts/CONTACT/timeline'",
        "          (CONTACT: a contact_id of what the line above it shows)",
        "",
    ]


def _folder(plan: Plan) -> Path:
    """Where the workspace file and the logs go; they stay, so that a failure can be looked into."""
    folder = (plan.data or Path(".sambung")).absolute() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    for log in (folder / "logs").glob("*.log"):
        log.unlink()
    return folder
