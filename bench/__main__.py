"""This file is `make bench`: our chain and the floor in alternating blocks of one run, and what it costs."""

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.chain import MESSAGE, NEW, Chain, Reader, address_of, chain, conversation_of, ready_again
from bench.floor import prepare
from bench.load import Block, Post, Screens, drive, floor_frame, percentile
from deploy.demo.processes import ROOT
from deploy.local.ports import free_port
from deploy.local.process import GuardedProcess
from deploy.local.stack import LocalStack
from libs.flow.topics import create

console = Console()
RESULTS = Path("bench/results")
CUSTOMERS = 400
FLOOR_ROLES = ("ingest", "worker", "screen")


@dataclass
class Floor:
    """The three processes with nothing in them."""

    ports: dict[str, int]
    processes: dict[str, GuardedProcess]

    def post(self, name: str, key: str, like: Post) -> Post:
        body = json.dumps({"n": name, "body": json.loads(like.body)}).encode()
        return Post(
            f"http://127.0.0.1:{self.ports['ingest']}/{key}", body, {"content-type": "application/json"}, name
        )


@dataclass
class Run:
    """All blocks of one run."""

    ours: dict[float, list[Block]] = field(default_factory=dict)
    floor: dict[float, list[Block]] = field(default_factory=dict)
    opening: dict[float, list[Block]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)


def cpu_of(processes: dict[str, int]) -> dict[str, float]:
    """CPU seconds so far, by name; a name's children count with it."""
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


async def measured(processes: dict[str, int], block: Callable[[], Coroutine[Any, Any, Block]]) -> Block:
    before = cpu_of(processes)
    result = await block()
    after = cpu_of(processes)
    result.cpu = {name: after[name] - before[name] for name in before if name in after}
    return result


def start_floor(stack: LocalStack, folder: Path) -> Floor:
    ports = {role: free_port() for role in FLOOR_ROLES}
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SAMBUNG_KAFKA": stack.servers.kafka,
        "SAMBUNG_POSTGRES": stack.servers.postgres,
    }
    folder.mkdir(parents=True, exist_ok=True)
    processes = {
        role: GuardedProcess(
            [sys.executable, "-m", "bench.floor", role, str(port)], log=folder / f"{role}.log", env=environ
        )
        for role, port in ports.items()
    }
    return Floor(ports, processes)


async def settled(port: int, within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def run(stack: LocalStack, folder: Path, rates: Sequence[float], seconds: float, rounds: int) -> Run:
    servers = stack.servers
    await create(servers.kafka)
    await prepare(servers.kafka, servers.postgres)
    floor, ours = start_floor(stack, folder / "floor"), chain(servers, folder / "chain")
    result, number = Run(), 0
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("starting", total=rounds * len(rates) * 3 + 1)
        await asyncio.gather(*(settled(port) for port in floor.ports.values()))
        await ours.services.start()
        reader = Reader()
        screens, floor_screens = Screens(reader), Screens(floor_frame)
        await screens.open(ours.sockets())
        await floor_screens.open([(f"ws://127.0.0.1:{floor.ports['screen']}/", {})])
        await ours.set_available()
        servers_pids = {
            name: server.pid
            for name, server in (("kafka", stack.kafka), ("postgres", stack.postgres))
            if server is not None
        }
        our_pids = {service.name: service.pid for service in ours.services.all}
        floor_pids = {f"floor-{role}": process.pid for role, process in floor.processes.items()}
        try:
            progress.update(task, description="conversations are opened")
            first = [ours.post(f"open-{n}", address_of(n)) for n in range(CUSTOMERS)]
            reader.new = {conversation_of(address_of(n)): f"open-{n}" for n in range(CUSTOMERS)}
            opened = await drive(first, 100, screens, NEW)
            if opened.missing:
                raise RuntimeError(
                    f"{opened.missing} of {CUSTOMERS} conversations did not reach an agent; logs in {folder}"
                )
            progress.advance(task)
            for turn in range(rounds):
                for rate in rates:
                    number += 1
                    count = int(rate * seconds)
                    progress.update(task, description=f"round {turn + 1}/{rounds}, {rate:g}/s: floor")
                    await suspend(ours)
                    posts = [
                        floor.post(
                            f"f{number}-{n}",
                            f"k{n % CUSTOMERS}",
                            ours.post("x" * 12, address_of(n % CUSTOMERS)),
                        )
                        for n in range(count)
                    ]
                    block = await measured(
                        floor_pids | servers_pids,
                        lambda p=posts, r=rate: drive(p, r, floor_screens, "hops 3"),
                    )  # type: ignore[misc]
                    result.floor.setdefault(rate, []).append(block)
                    progress.advance(task)
                    await resume(ours, floor)
                    progress.update(
                        task, description=f"round {turn + 1}/{rounds}, {rate:g}/s: ours, open conversations"
                    )
                    posts = [ours.post(f"m{number}-{n}", address_of(n % CUSTOMERS)) for n in range(count)]
                    block = await measured(
                        our_pids | servers_pids, lambda p=posts, r=rate: drive(p, r, screens, MESSAGE)
                    )  # type: ignore[misc]
                    result.ours.setdefault(rate, []).append(block)
                    progress.advance(task)
                    if rate <= 200:
                        progress.update(
                            task,
                            description=f"round {turn + 1}/{rounds}, {rate:g}/s: ours, new conversations",
                        )
                        base = 1_000_000 + number * 20_000
                        some = range(min(count, 600))
                        reader.new = {conversation_of(address_of(base + n)): f"n{number}-{n}" for n in some}
                        posts = [ours.post(f"n{number}-{n}", address_of(base + n)) for n in some]
                        block = await measured(
                            our_pids | servers_pids, lambda p=posts, r=rate: drive(p, r, screens, NEW)
                        )  # type: ignore[misc]
                        result.opening.setdefault(rate, []).append(block)
                    progress.advance(task)
                    for process in floor.processes.values():
                        process.resume()
            result.memory = {
                name: psutil.Process(pid).memory_info().rss / 1e6
                for name, pid in (our_pids | servers_pids).items()
            }
        finally:
            for process in floor.processes.values():
                process.resume()
            for service in ours.services.all:
                ours.services.resume(service.name)
            await screens.close()
            await floor_screens.close()
            await ours.services.stop()
            for process in floor.processes.values():
                await asyncio.to_thread(process.stop)
    if screens.repeats:
        console.print(f"{screens.repeats} messages were shown twice on a screen", style="red")
    return result


async def suspend(ours: Chain) -> None:
    """While the floor is measured our services stand still, and the other way round: neither pays for the other."""
    for service in ours.services.all:
        ours.services.suspend(service.name)
    await asyncio.sleep(0.3)


async def resume(ours: Chain, floor: Floor) -> None:
    for process in floor.processes.values():
        process.suspend()
    for service in ours.services.all:
        ours.services.resume(service.name)
    await ready_again(ours.services)


def middle(blocks: Sequence[Block], pick: Callable[[Block], float]) -> float:
    """The median over blocks."""
    return statistics.median(pick(block) for block in blocks)


def report(result: Run) -> dict[str, Any]:
    """Print the tables; return them as JSON values."""
    table = Table(
        "rate/s",
        "what",
        "ours p50",
        "ours p99",
        "floor p50",
        "floor p99",
        "ratio p50",
        "ratio p99",
        "kept up",
        title="latency from the scheduled send, ms",
    )
    rows: list[dict[str, Any]] = []
    for rate, floors in result.floor.items():
        pairs = (
            ("acknowledged", result.ours.get(rate, []), None, None),
            ("message on the agent's screen", result.ours.get(rate, []), MESSAGE, "hops 3"),
            ("same, floor of two hops", result.ours.get(rate, []), MESSAGE, "hops 2"),
            ("new conversation on the agent's screen", result.opening.get(rate, []), NEW, "hops 3"),
        )
        for what, blocks, mine, floors_name in pairs:
            if not blocks:
                continue
            values = [
                middle(
                    group,
                    lambda b, n=name, q=q: (
                        1000 * percentile(b.acks if n is None else b.screens.get(n, []), q)
                    ),
                )  # type: ignore[misc]
                for group, name in ((blocks, mine), (floors, floors_name))
                for q in (0.5, 0.99)
            ]
            kept = all(b.missing == 0 and b.refused == 0 for b in blocks)
            rows.append({"rate": rate, "what": what, "ours_p50_ms": values[0], "ours_p99_ms": values[1], "floor_p50_ms": values[2],
                         "floor_p99_ms": values[3], "ratio_p50": values[0] / values[2], "ratio_p99": values[1] / values[3], "kept_up": kept})  # fmt: skip
            table.add_row(
                f"{rate:g}",
                what,
                *(f"{v:.1f}" for v in values),
                f"{values[0] / values[2]:.2f}",
                f"{values[1] / values[3]:.2f}",
                "yes" if kept else "NO",
            )
    console.print(table)
    cost = Table("rate/s", "ours", "floor", "ours by process", title="CPU seconds per 1,000 messages")
    costs: list[dict[str, Any]] = []
    for rate in result.ours:
        each = {
            label: {
                name: 1000 * middle(blocks, lambda b, n=name: b.cpu.get(n, 0.0) / max(1, b.sent))  # type: ignore[misc]
                for name in blocks[0].cpu
            }
            for label, blocks in (("ours", result.ours[rate]), ("floor", result.floor[rate]))
        }
        costs.append({"rate": rate, **each})
        cost.add_row(
            f"{rate:g}",
            f"{sum(each['ours'].values()):.2f}",
            f"{sum(each['floor'].values()):.2f}",
            ", ".join(f"{n} {v:.2f}" for n, v in each["ours"].items()),
        )
    console.print(cost)
    console.print("resident MB: " + ", ".join(f"{name} {mb:.0f}" for name, mb in result.memory.items()))
    late = {rate: max(b.late_by for b in blocks) for rate, blocks in result.ours.items()}
    console.print(
        "the driver was late by at most (s): "
        + ", ".join(f"{rate:g}/s {seconds:.3f}" for rate, seconds in late.items())
    )
    return {
        "latency": rows,
        "cpu_seconds_per_1000": costs,
        "resident_mb": result.memory,
        "driver_late_s": late,
    }


def main(
    rates: Annotated[str, typer.Option(help="messages a second, with commas")] = "50,200,500,1000",
    seconds: Annotated[float, typer.Option(help="length of a block")] = 6,
    rounds: Annotated[int, typer.Option(help="how often each block is measured")] = 3,
) -> None:
    """Measure the chain beside the floor; writes bench/results/<time>.json."""
    with tempfile.TemporaryDirectory(prefix="sambung-bench-") as name:
        Path(name).chmod(0o755)
        with LocalStack(progress=console) as stack:
            result = asyncio.run(
                run(stack, Path(name), [float(r) for r in rates.split(",")], seconds, rounds)
            )
        values = report(result)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(values, indent=2) + "\n")
    console.print(f"written to {path}")


if __name__ == "__main__":
    typer.run(main)
