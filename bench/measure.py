"""This file runs the blocks: floor, ours with open conversations, ours with new ones, in turns at each rate."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.progress import Progress

from bench.chain import MESSAGE, NEW, Chain, Reader, address_of, at_rest, chain, conversation_of
from bench.floor import prepare
from bench.load import Block, Post, Screens, drive, floor_frame
from deploy.demo.processes import ROOT
from deploy.local.ports import free_port
from deploy.local.process import GuardedProcess
from deploy.local.stack import LocalStack, Servers
from libs.flow.topics import create

CUSTOMERS = 400
FLOOR_ROLES = ("ingest", "worker", "screen")
ONE_NEW_IN = 10
"""Messages, one of which opens a conversation, in the blocks that measure new conversations."""


@dataclass
class Run:
    """All blocks of one run, by rate, and what each process held at its end (MB)."""

    ours: dict[float, list[Block]] = field(default_factory=dict)
    floor: dict[float, list[Block]] = field(default_factory=dict)
    opening: dict[float, list[Block]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    repeats: int = 0
    """Messages that a screen of ours showed twice."""


@dataclass
class Floor:
    """The three processes with nothing in them."""

    ports: dict[str, int]
    processes: dict[str, GuardedProcess]

    def post(self, name: str, key: str, like: Post) -> Post:
        """A body as large as ours, so that bytes cost both the same."""
        body = json.dumps({"n": name, "body": json.loads(like.body)}).encode()
        return Post(
            f"http://127.0.0.1:{self.ports['ingest']}/{key}", body, {"content-type": "application/json"}, name
        )

    async def until_ready(self, within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            for port in self.ports.values():
                while not await _listens(port):
                    await asyncio.sleep(0.05)


@dataclass
class Bench:
    """Both chains, running. One of them stands still (SIGSTOP) while the other is measured: neither pays for the other."""

    ours: Chain
    floor: Floor
    screens: Screens
    floor_screens: Screens
    reader: Reader
    servers: dict[str, int]
    number: int = 0

    @property
    def our_pids(self) -> dict[str, int]:
        return {service.name: service.pid for service in self.ours.services.all} | self.servers

    @property
    def floor_pids(self) -> dict[str, int]:
        return {f"floor-{role}": process.pid for role, process in self.floor.processes.items()} | self.servers

    async def open_conversations(self) -> None:
        """Raises RuntimeError where one does not reach an agent."""
        posts = [self.ours.post(f"open-{n}", address_of(n)) for n in range(CUSTOMERS)]
        self.reader.new = {conversation_of(address_of(n)): f"open-{n}" for n in range(CUSTOMERS)}
        opened = await drive(posts, 100, self.screens, NEW, patience=60)
        if opened.missing or opened.refused:
            raise RuntimeError(
                f"{opened.missing + opened.refused} of {CUSTOMERS} conversations did not reach an agent"
            )

    async def floor_block(self, rate: float, count: int) -> Block:
        await self._suspend_ours()
        like = self.ours.post("x" * 12, address_of(0))
        posts = [self.floor.post(f"f{self.number}-{n}", f"k{n % CUSTOMERS}", like) for n in range(count)]
        try:
            return await measured(self.floor_pids, drive(posts, rate, self.floor_screens, "hops 3"))
        finally:
            await self._suspend_floor()

    async def message_block(self, rate: float, count: int) -> Block:
        posts = [self.ours.post(f"m{self.number}-{n}", address_of(n % CUSTOMERS)) for n in range(count)]
        return await self._ours(drive(posts, rate, self.screens, MESSAGE))

    async def opening_block(self, rate: float, count: int) -> Block:
        """Messages at the rate; one in ten opens a conversation and is looked for on the screen of who is given it."""
        base, new, posts = 1_000_000 * self.number, dict[str, str](), []
        for n in range(count):
            address = address_of(n % CUSTOMERS if n % ONE_NEW_IN else base + n)
            posts.append(self.ours.post(f"n{self.number}-{n}", address))
            if n % ONE_NEW_IN == 0:
                new[conversation_of(address)] = posts[-1].name
        self.reader.new = new
        return await self._ours(drive(posts, rate, self.screens, NEW, expected=len(new)))

    async def _ours(self, driving: Coroutine[Any, Any, Block]) -> Block:
        """What the block cost us; what it left behind is done before the next."""
        block = await measured(self.our_pids, driving)
        await at_rest(self.ours.services)
        return block

    async def _suspend_ours(self) -> None:
        for process in self.floor.processes.values():
            process.resume()
        for service in self.ours.services.all:
            self.ours.services.suspend(service.name)
        await asyncio.sleep(0.3)

    async def _suspend_floor(self) -> None:
        for process in self.floor.processes.values():
            process.suspend()
        for service in self.ours.services.all:
            self.ours.services.resume(service.name)
        await at_rest(self.ours.services)


async def run(
    stack: LocalStack, folder: Path, rates: Sequence[float], seconds: float, rounds: int, progress: Progress
) -> Run:
    """Everything, from start to clean stop. Raises RuntimeError, ServiceDied, ServiceNotReady."""
    result = Run()
    task = progress.add_task("starting", total=rounds * len(rates) * 3 + 1)
    async with _bench(stack, folder) as bench:
        progress.update(task, advance=1, description="conversations are opened")
        await bench.open_conversations()
        for turn in range(rounds):
            for rate in rates:
                bench.number += 1
                count, where = int(rate * seconds), f"round {turn + 1} of {rounds}, {rate:g}/s"
                progress.update(task, advance=1, description=f"{where}: floor")
                result.floor.setdefault(rate, []).append(await bench.floor_block(rate, count))
                progress.update(task, advance=1, description=f"{where}: open conversations")
                result.ours.setdefault(rate, []).append(await bench.message_block(rate, count))
                progress.update(task, advance=1, description=f"{where}: one in ten opens a conversation")
                result.opening.setdefault(rate, []).append(await bench.opening_block(rate, count))
        result.memory = {
            name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in bench.our_pids.items()
        }
        result.repeats = bench.screens.repeats
    return result


@asynccontextmanager
async def _bench(stack: LocalStack, folder: Path) -> AsyncIterator[Bench]:
    servers = stack.servers
    await create(servers.kafka)
    await prepare(servers.kafka, servers.postgres)
    floor, ours, reader = _start_floor(servers, folder / "floor"), chain(servers, folder / "chain"), Reader()
    screens, floor_screens = Screens(reader), Screens(floor_frame)
    pids = {
        name: s.pid for name, s in (("kafka", stack.kafka), ("postgres", stack.postgres)) if s is not None
    }
    try:
        await floor.until_ready()
        await ours.services.start()
        await screens.open(ours.sockets())
        await floor_screens.open([(f"ws://127.0.0.1:{floor.ports['screen']}/", {})])
        await ours.set_available()
        yield Bench(ours, floor, screens, floor_screens, reader, pids)
    finally:
        for process in floor.processes.values():
            process.resume()
        for service in ours.services.all:
            ours.services.resume(service.name)
        await screens.close()
        await floor_screens.close()
        await ours.services.stop()
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in floor.processes.values()))


def _start_floor(servers: Servers, folder: Path) -> Floor:
    folder.mkdir(parents=True, exist_ok=True)
    ports = {role: free_port() for role in FLOOR_ROLES}
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SAMBUNG_KAFKA": servers.kafka,
        "SAMBUNG_POSTGRES": servers.postgres,
    }
    processes = {
        role: GuardedProcess(
            [sys.executable, "-m", "bench.floor", role, str(port)], log=folder / f"{role}.log", env=environ
        )
        for role, port in ports.items()
    }
    return Floor(ports, processes)


async def measured(processes: dict[str, int], driving: Coroutine[Any, Any, Block]) -> Block:
    """Drive a block and note what it cost each process."""
    before = cpu_of(processes)
    result = await driving
    after = cpu_of(processes)
    result.cpu = {name: after[name] - before[name] for name in before if name in after}
    return result


def cpu_of(processes: dict[str, int]) -> dict[str, float]:
    """CPU seconds so far, by name; a process's children count with it."""
    found = {}
    for name, pid in processes.items():
        total = 0.0
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in family:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        found[name] = total
    return found


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
