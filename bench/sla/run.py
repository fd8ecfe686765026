"""This file runs the measurement: a million clocks by COPY, the service over them, blocks of firings in turns with a bare heap.

COPY ─▶ start: first firing ─▶ warm-up ─▶ [ heap block ─▶ service block ]* ─▶ clocks started, clocks ended ─▶ stop
"""

import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import asyncpg
import psutil
from rich.console import Console

from bench.measure import cpu_of
from bench.sla.heap import costs
from bench.sla.rows import copy_in, made_by_the_service, spread, without_indexes
from bench.sla.world import CLOCKS, FIRST_RESPONSE, Talk, workspace_file
from deploy.demo.processes import ROOT
from deploy.local.ports import free_port
from deploy.local.process import GuardedProcess
from deploy.local.stack import LocalStack, Servers
from libs.contracts.envelope import Envelope, encode_headers, encode_value
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.topics import partition_of, topic_map
from libs.flow.publisher import Publisher
from libs.flow.schema import migrate
from libs.flow.tail import Tail, Tailed
from libs.flow.topics import create
from libs.flow.wire import Outgoing
from libs.workspace import load

OVERDUE = 1_000
"""Deadlines that pass while the service is down: the first firings after its start."""
GAP = 3.0
"""Seconds between blocks."""
WARM_UP = 3.0
"""Seconds of firings before the first block, which are not measured: the broker compiles what it meets for the first time."""
PATIENCE = 120.0
AT_ONCE = 500
"""Events that are published before the next ones."""
OPENED_OVER = timedelta(hours=1)


@dataclass(frozen=True)
class Plan:
    clocks: int
    rate: float
    seconds: float
    rounds: int
    changed: int
    """Conversations that are opened, then resolved, at the end."""
    lead: float
    """Seconds from the start of the service to the first block."""

    @property
    def firings(self) -> int:
        """Of one block."""
        return int(self.rate * self.seconds)

    @property
    def warming(self) -> int:
        """Firings of the warm-up."""
        return int(self.rate * WARM_UP)

    @property
    def before(self) -> int:
        """Firings before the first block."""
        return OVERDUE + self.warming


@dataclass
class Seen:
    """What a reader of the topic saw."""

    firings: list[tuple[str, float, float]] = field(default_factory=list)
    """(clock, due, seen)"""
    events: Counter[str] = field(default_factory=Counter)

    def __call__(self, tailed: Tailed) -> None:
        data = tailed.event.data
        self.events[data.type] += 1
        if data.type in ("clock.breached.v1", "clock.warned.v1"):
            self.firings.append((f"{data.clock_id} {data.type}", data.occurred_at.timestamp(), time()))


@dataclass
class Changed:
    """What it takes to start clocks, or to end them."""

    clocks: int
    seconds: float
    cpu: dict[str, float]


@dataclass
class Measured:
    plan: Plan
    rows: dict[str, int]
    copied_s: float
    spawned: float
    starts: list[float]
    """Of the service's blocks."""
    seen: Seen
    resident_mb: dict[str, float]
    started: Changed
    ended: Changed
    firing_cpu_s: dict[str, float]
    """Of all the service's blocks."""
    member: dict[str, Any] = field(default_factory=dict)
    fired: list[tuple[float, float]] = field(default_factory=list)
    """(due, fired) of the bare heap."""
    costs: dict[str, float] = field(default_factory=dict)
    """Of the bare heap."""


async def measure(stack: LocalStack, folder: Path, plan: Plan, console: Console) -> Measured:
    servers = stack.servers
    await create(servers.kafka)
    path = workspace_file(folder)
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SAMBUNG_KAFKA": servers.kafka,
        "SAMBUNG_POSTGRES": servers.postgres,
        "SAMBUNG_WORKSPACE": str(path),
        "SAMBUNG_PORT": str(free_port()),
        "SAMBUNG_JWT_SECRET": "b" * 64,
        "SAMBUNG_LOG_LEVEL": "WARNING",
    }
    filling = _Filling(servers, plan, path)
    await filling.far()
    console.print(f"{plan.clocks:,} open clocks copied in {filling.seconds:.0f} s")
    seen = Seen()
    tail = Tail(servers.kafka, ["sla"], seen, client="bench-sla")
    await tail.start(None)
    first, step = time() + plan.lead, plan.seconds + GAP
    starts = [first + (2 * n + 1) * step for n in range(plan.rounds)]
    warm_up = first - WARM_UP - GAP
    heap = GuardedProcess(
        [sys.executable, "-m", "bench.sla.heap", str(folder / "heap.json"), str(plan.clocks), str(plan.rate),
         str(plan.seconds), *(str(first + 2 * n * step) for n in range(plan.rounds))],
        log=folder / "heap.log", env=environ,
    )  # fmt: skip
    try:
        await filling.near(warm_up, starts)
        spawned = time()
        member = GuardedProcess(
            [sys.executable, "-m", "bench.sla.member", str(folder / "member.json")],
            log=folder / "member.log", env=environ, grace=20,
        )  # fmt: skip
        try:
            await _until(lambda: bool(seen.firings), member)
            console.print(f"first firing seen {seen.firings[0][2] - spawned:.2f} s after the start")
            await _until(lambda: len(seen.firings) >= OVERDUE, member)
            resident = {"after start": _resident(member.pid)}
            if time() > warm_up:
                raise RuntimeError(f"the start took longer than {plan.lead:g} s: give it a longer --lead")
            pids = {"service": member.pid} | ({"postgres": stack.postgres.pid} if stack.postgres else {})
            fired, cpu = plan.before, Counter[str]()
            for start in starts:
                await asyncio.sleep(start - time())
                before, fired = cpu_of(pids), fired + plan.firings
                await asyncio.sleep(start + plan.seconds - time())
                await _until(lambda: len(seen.firings) >= fired, member)  # noqa: B023
                cpu.update({name: after - before[name] for name, after in cpu_of(pids).items()})
            resident["after the firings"] = _resident(member.pid)
            started, ended = await _change(servers, plan, seen, pids, member)
            resident["at the end"] = _resident(member.pid)
        finally:
            await asyncio.to_thread(member.stop)
        await asyncio.sleep(1.0)  # whoever doubles an event has had the time to
    finally:
        await tail.stop()
        await asyncio.to_thread(heap.stop)
    return Measured(
        plan, dict(filling.rows), filling.seconds, spawned, starts, seen, resident, started, ended, dict(cpu),
        json.loads((folder / "member.json").read_text()), json.loads((folder / "heap.json").read_text()), costs(plan.clocks),
    )  # fmt: skip


class _Filling:
    """Puts the rows in. Customers are numbered: first those whose deadlines are far, then those of the blocks."""

    def __init__(self, servers: Servers, plan: Plan, workspace: Path) -> None:
        self._dsn, self._plan, self._workspace = servers.postgres, plan, load(workspace, secrets=False)
        self._near = plan.before + plan.rounds * plan.firings
        self._far = plan.clocks // CLOCKS - self._near
        self.rows: Counter[str] = Counter()
        self.seconds = 0.0
        if self._far < 0:
            raise ValueError("more firings than clocks")

    async def far(self) -> None:
        begun = time()
        await migrate(self._dsn, "sla", "services.sla")
        self._made = await made_by_the_service(self._dsn, self._workspace)
        self._connection = await asyncpg.connect(self._dsn, server_settings={"search_path": "sla"})
        await self._connection.execute(
            "insert into lane (flow, lane, incarnation) select 'sla', i, 'bench' from generate_series(0, $1 - 1) i",
            topic_map().partitions,
        )
        await self._connection.copy_to_table("calendar", source=_one(self._made.calendars))
        since = datetime.now(UTC) - OPENED_OVER
        async with without_indexes(self._connection):
            far = spread(0, self._far, since, OPENED_OVER)
            self.rows.update(await copy_in(self._dsn, self._made.opened, far))
        await self._connection.execute("vacuum analyze")
        await self._connection.execute("checkpoint")
        self.seconds = time() - begun

    async def near(self, warm_up: float, starts: list[float]) -> None:
        """Deadlines of the warm-up, of each block, and those that are overdue at the start."""
        customer, plan = self._far, self._plan
        passed = time() - 10
        for start, count, length in (
            (passed, OVERDUE, 5.0),
            (warm_up, plan.warming, WARM_UP),
            *((start, plan.firings, plan.seconds) for start in starts),
        ):
            opened = datetime.fromtimestamp(start, UTC) - FIRST_RESPONSE
            near = spread(customer, count, opened, timedelta(seconds=length))
            self.rows.update(await copy_in(self._dsn, self._made.warned, near))
            customer += count
        await self._connection.close()


async def _one(data: bytes) -> Any:
    yield data


async def _change(
    servers: Servers, plan: Plan, seen: Seen, pids: dict[str, int], member: GuardedProcess
) -> tuple[Changed, Changed]:
    """Open conversations nobody knew, then resolve them."""
    publisher = Publisher(servers.kafka, "bench-sla")
    talks = [Talk.of(10_000_000 + n) for n in range(plan.changed)]
    chain, found = _Chain(), []
    for make, types in (
        (Talk.opened, ("clock.started.v1",)),
        (Talk.resolved, ("clock.met.v1", "clock.cancelled.v1")),
    ):
        before, cpu, begun = _count(seen, types), cpu_of(pids), time()
        for at in range(0, len(talks), AT_ONCE):
            records = [chain.record(make(talk, datetime.now(UTC))) for talk in talks[at : at + AT_ONCE]]
            await publisher.publish(records)
        wanted = before + CLOCKS * plan.changed
        await _until(lambda: _count(seen, types) >= wanted, member)  # noqa: B023
        seconds, after = time() - begun, cpu_of(pids)
        spent = {name: after[name] - cpu[name] for name in cpu}
        found.append(Changed(CLOCKS * plan.changed, seconds, spent))
    await publisher.stop()
    return found[0], found[1]


def _count(seen: Seen, types: tuple[str, ...]) -> int:
    return sum(seen.events[name] for name in types)


class _Chain:
    """Numbers events as a lane does: each names the one before it on its partition."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def record(self, payload: ConversationEvent) -> Outgoing:
        key = payload.contact_point_id.encode()
        partition = partition_of(key, topic_map().partitions)
        previous = self._last.get(partition, 0)
        sequence = self._last[partition] = previous + 1
        envelope = Envelope(
            id=str(sequence), source=f"/bench/{partition}", type=payload.type, time=payload.occurred_at,
            subject=payload.contact_point_id, correlation_id=payload.conversation_id,
            recorded_at=payload.occurred_at, sequence=sequence, previous=previous,
        )  # fmt: skip
        return Outgoing("conversations", partition, key, encode_value(payload), encode_headers(envelope))


async def _until(there: Any, member: GuardedProcess) -> None:
    """Raises RuntimeError where the service ended, TimeoutError where it takes too long."""
    async with asyncio.timeout(PATIENCE):
        while not there():
            if not member.running:
                raise RuntimeError("the service ended by itself")
            await asyncio.sleep(0.01)


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6
