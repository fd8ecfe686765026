"""This file puts two counting processes under load and faults, and counts what they committed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.demo.processes import ROOT
from deploy.local.process import GuardedProcess
from deploy.local.stack import Servers
from libs.contracts.payloads.inbound import SignalIngested
from libs.contracts.vocabulary import Channel
from libs.flow.database import Database
from libs.flow.publisher import Publisher, first_hand
from libs.flow.schema import migrate
from libs.timesource import random_token
from tests.chaos.counting import COUNTED, DDL, FIRED, OUT_OF_ORDER, REMIND_EVERY, SCHEMA, TAKEN

KEYS = 48
"""Several for each of the twelve lanes."""
TICK = 0.02
STOPPED = 2.5
"""Seconds: longer than a lease."""

TWICE = """
select what, key, number, count(*) as copies from applied where key like $1
group by 1, 2, 3 having count(*) > 1 order by 1, 2, 3 limit 20
"""
OTHER_ORDER = "select key, number from applied where key like $1 and what = $2 limit 20"
THERE = "select what, key, count(distinct number) from applied where key like $1 group by 1, 2"
SERVING = """
select count(distinct p.pid) = 2 and bool_and(p.pid is not null)
from lane left join unnest($1::int[]) as p(pid) on substring(owner from '[.]([0-9]+)[.][0-9a-f]+$')::int = p.pid
"""


@dataclass
class Load:
    """Items at a steady rate, numbered from 1 in each key; `sent` is how many each key got."""

    publisher: Publisher
    rate: float
    run_id: str
    sent: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.sent = {f"{self.run_id}-{n}": 0 for n in range(KEYS)}

    async def run(self) -> None:
        """Until cancelled."""
        keys = list(self.sent)
        at, owed = 0, 0.0
        while True:
            owed += self.rate * TICK
            records = []
            while owed >= 1:
                owed -= 1
                records.append(self._record(keys[at % KEYS]))
                at += 1
            # A batch that is being published when the load ends still counts as sent.
            await asyncio.shield(asyncio.ensure_future(self.publisher.publish(records)))
            await asyncio.sleep(TICK)

    def _record(self, key: str) -> Any:
        self.sent[key] += 1
        number, now = str(self.sent[key]), datetime.now(UTC)
        item = SignalIngested(
            item_id=number,
            inbox_id="chaos",
            channel=Channel.CUSTOM,
            address=key,
            contact_point_id=key,
            occurred_at=now,
            kind="tick",
        )
        return first_hand(item, key=key, source=f"/chaos/{self.run_id}", id=f"{key}/{number}", at=now)


class Pair:
    """Two processes that share the lanes of two flows, and the verbs to hurt them."""

    def __init__(self, servers: Servers, folder: Path, unsafe: str) -> None:
        self._servers, self._folder, self._unsafe = servers, folder, unsafe
        self.run_id = random_token(3)
        self.processes: dict[str, GuardedProcess] = {}
        self.database = Database(servers.postgres, SCHEMA, application="chaos")
        self.publisher = Publisher(servers.kafka, "chaos")

    def launch(self, name: str) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SAMBUNG_KAFKA": self._servers.kafka,
            "SAMBUNG_POSTGRES": self._servers.postgres,
            "SAMBUNG_UNSAFE": self._unsafe,
        }
        command = [sys.executable, "-m", "tests.chaos.counting"]
        self.processes[name] = GuardedProcess(command, log=self._folder / f"{name}.log", env=environ)

    async def kill(self, name: str) -> None:
        """SIGKILL, and a new one at once."""
        self.processes[name].kill()
        self.launch(name)
        await self.until_balanced()

    async def stop_and_go(self, name: str) -> None:
        """SIGSTOP for longer than the lease, so that the other takes the lanes, then SIGCONT in the middle of it all."""
        self.processes[name].suspend()
        await asyncio.sleep(STOPPED)
        self.processes[name].resume()
        await self.until_balanced()

    async def until_balanced(self, within: float = 20.0) -> None:
        """Both processes serve lanes, and no lane is free."""
        pids = [process.pid for process in self.processes.values()]
        await until(lambda: self.database.fetchval(SERVING, pids), within, "both processes serve lanes")

    async def broken(self) -> list[str]:
        """What was committed twice or in another order, as far as can be told under way."""
        twice = await self.database.fetch(TWICE, self._ours)
        found = [f"{what} {number} of {key}: {copies} times" for what, key, number, copies in twice]
        disorder = await self.database.fetch(OTHER_ORDER, self._ours, OUT_OF_ORDER)
        return found + [f"version {number} of {key} came out of order" for key, number in disorder]

    async def missing(self, sent: dict[str, int]) -> list[str]:
        """What should have been committed and was not."""
        rows = await self.database.fetch(
            "select what, key, count(distinct number) from applied group by 1, 2"
        )
        there = {(what, key): count for what, key, count in rows}
        wanted = {
            (what, key): count // (REMIND_EVERY if what == FIRED else 1)
            for key, count in sent.items()
            for what in (TAKEN, COUNTED, FIRED)
        }
        return [
            f"{what} of {key}: {there.get((what, key), 0)} of {count}"
            for (what, key), count in wanted.items()
            if there.get((what, key), 0) < count
        ]

    async def until_counted(self, more: int = 100) -> None:
        """So many more items have gone the whole way."""
        wanted = await self._counted() + more

        async def reached() -> bool:
            return await self._counted() >= wanted

        await until(reached, 30.0, f"{more} more items are counted")

    async def _counted(self) -> int:
        sql = "select count(*) from applied where key like $1 and what = $2"
        return int(await self.database.fetchval(sql, self._ours, COUNTED))

    @property
    def _ours(self) -> str:
        return f"{self.run_id}-%"

    async def drained(self, sent: dict[str, int], within: float = 20.0) -> list[str]:
        """What is still missing when nothing is any more, or when the time is up."""
        deadline = asyncio.get_running_loop().time() + within
        while (left := await self.missing(sent)) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        return left


@asynccontextmanager
async def pair(servers: Servers, folder: Path, unsafe: str = "") -> AsyncIterator[Pair]:
    """Two processes that serve; the topics must exist. What other runs left on them is counted too, under other keys."""
    both = Pair(servers, folder, unsafe)
    await migrate(servers.postgres, SCHEMA, "libs.flow")
    await both.database.start()
    try:
        await both.database.execute(DDL)
        for name in ("first", "second"):
            both.launch(name)
        await both.until_balanced(40.0)
        yield both
    finally:
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in both.processes.values()))
        await both.publisher.stop()
        await both.database.execute(f'drop schema "{SCHEMA}" cascade')
        await both.database.stop()


@asynccontextmanager
async def under_load(both: Pair, rate: float) -> AsyncIterator[Load]:
    """Traffic for as long as the block lasts."""
    load = Load(both.publisher, rate, both.run_id)
    running = asyncio.create_task(load.run())
    try:
        await both.until_counted()
        yield load
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[Any]], within: float, what: str) -> None:
    deadline = asyncio.get_running_loop().time() + within
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within:.0f} s: {what}"
        await asyncio.sleep(0.02)
