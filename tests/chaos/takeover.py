"""This file measures a takeover: how long the lanes of a killed router stand still, and whether the others notice.

`python -m tests.chaos.takeover --reps 20`: two routers under load published straight to `inbound`; one is killed, the
positions of the flow `conversations` are sampled every few milliseconds; a lane's stall is the longest time in which its
position did not move although records came.
"""

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.chain import INBOX, chain
from bench.load import percentile
from deploy.demo.processes import Services
from deploy.local.stack import LocalStack
from libs.contracts.ids import InboxId, contact_point_id
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.inbound import MessageIngested
from libs.contracts.topics import partition_of, topic_map
from libs.contracts.vocabulary import Channel, ContentKind
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.flow.topics import create
from libs.flow.wire import Outgoing

BOUND = 1.0
"""Seconds within which the lanes of a killed process must be served again, at p99."""
SAMPLE, WATCH = 0.008, 4.0
PER_LANE = 10
"""Contact points on each lane."""
console = Console()


@dataclass
class Stalls:
    """Longest stalls (seconds) of each repetition."""

    victims: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)


class Load:
    """A steady stream of customers' messages over all lanes, without ingest in between."""

    def __init__(self, kafka: str, rate: float) -> None:
        self._publisher, self._rate = Publisher(kafka, "load"), rate
        self._points = points(PER_LANE)
        self._mark = secrets.token_hex(3)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._publisher.stop()

    async def _run(self) -> None:
        number, began = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self._rate)
            batch = [self._message(n) for n in range(number, min(due, number + 200))]
            try:
                await self._publisher.publish(batch)
                number += len(batch)
            except PublishFailed:
                pass
            await asyncio.sleep(0.01)

    def _message(self, number: int) -> Outgoing:
        address, point = self._points[number % len(self._points)]
        name, now = f"wamid.{self._mark}-{number}", datetime.now(UTC)
        item = MessageIngested(
            item_id=name, inbox_id=INBOX, channel=Channel.WHATSAPP, address=address, contact_point_id=point, occurred_at=now,
            provider_message_id=name, content=Content(kind=ContentKind.TEXT, text="halo"),
        )  # fmt: skip
        return first_hand(item, key=point, source=f"/ingest/{INBOX}", id=name, at=now)


def points(each: int) -> list[tuple[str, str]]:
    """(address, contact point): so many on each partition, the partitions in turn."""
    lanes: dict[int, list[tuple[str, str]]] = {i: [] for i in range(topic_map().partitions)}
    number = 0
    while any(len(found) < each for found in lanes.values()):
        address = f"62813{number:08}"
        point = contact_point_id(InboxId(INBOX), address)
        lane = lanes[partition_of(point.encode(), len(lanes))]
        if len(lane) < each:
            lane.append((address, point))
        number += 1
    return [lane[n] for n in range(each) for lane in lanes.values()]


async def repetition(c: asyncpg.Connection, services: Services, victim: str, stalls: Stalls) -> None:
    """Kill one router, watch, start it again, wait until the lanes are shared once more."""
    mark = str(services[victim].pid)
    owners = await c.fetch(
        "select lane, split_part(owner, '.', 2) as pid from router.lane where flow = 'conversations'"
    )
    lost = {row["lane"] for row in owners if row["pid"] == mark}
    services.kill(victim)
    moved, longest, last = dict[int, float](), dict[int, float](), dict[int, int]()
    began = time.monotonic()
    while (now := time.monotonic()) - began < WATCH:
        for lane, offset in await c.fetch(
            "select lane, next_offset from router.\"position\" where flow = 'conversations' and topic = 'inbound'"
        ):
            if last.get(lane) != offset:
                longest[lane] = max(longest.get(lane, 0.0), now - moved.get(lane, began))
                last[lane], moved[lane] = offset, now
        await asyncio.sleep(SAMPLE)
    for lane, at in moved.items():
        longest[lane] = max(longest[lane], time.monotonic() - at)
    stalls.victims.append(max((longest.get(lane, WATCH) for lane in lost), default=0.0))
    stalls.others.append(max(longest.get(lane, WATCH) for lane in last if lane not in lost))
    await services.start(victim)
    await shared(c, 2)


async def shared(c: asyncpg.Connection, members: int, within: float = 30.0) -> None:
    """Wait until that many processes own the lanes in equal parts."""
    async with asyncio.timeout(within):
        while True:
            counts = [
                row[0]
                for row in await c.fetch(
                    "select count(*) from router.lane where flow = 'conversations' and owner is not null group by owner"
                )
            ]
            if len(counts) == members and max(counts) - min(counts) <= 1:
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)


async def measure(stack: LocalStack, folder: Path, reps: int, rate: float, progress: Progress) -> Stalls:
    await create(stack.servers.kafka)
    services = chain(stack.servers, folder).services
    services.add("router.2")
    load, stalls = Load(stack.servers.kafka, rate), Stalls()
    c = None
    try:
        await services.start("router", "router.2")
        c = await asyncpg.connect(stack.servers.postgres)
        await shared(c, 2)
        load.start()
        await asyncio.sleep(3)
        task = progress.add_task("kills", total=reps)
        for number in range(reps):
            await repetition(c, services, ("router", "router.2")[number % 2], stalls)
            progress.advance(task)
    finally:
        await load.stop()
        if c is not None:
            await c.close()
        await services.stop()
    return stalls


def row(table: Table, what: str, values: Sequence[float]) -> None:
    table.add_row(
        what, *(f"{percentile(values, q):.2f}" for q in (0.5, 0.99)), f"{max(values):.2f}", str(len(values))
    )


def command(
    reps: Annotated[int, typer.Option(help="how many kills")] = 20,
    rate: Annotated[float, typer.Option(help="messages a second")] = 300,
) -> None:
    """Kill one of two routers again and again; exit status 1 where its lanes stood still for more than a second at p99."""
    folder = Path(tempfile.mkdtemp(prefix="sambung-takeover-"))
    folder.chmod(0o755)
    with LocalStack(progress=console) as stack, Progress(console=console, transient=True) as progress:
        stalls = asyncio.run(measure(stack, folder, reps, rate, progress))
    table = Table("longest stall, seconds", "p50", "p99", "max", "kills")
    row(table, "lanes of the killed process", stalls.victims)
    row(table, "lanes of the other process", stalls.others)
    console.print(table)
    sys.exit(0 if percentile(stalls.victims, 0.99) <= BOUND else 1)


if __name__ == "__main__":
    typer.run(command)
