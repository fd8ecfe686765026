"""This file does the damage: kills, stops and cuts, drawn by a seed, one after another and over one another, under load."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from deploy.demo.processes import Services
from deploy.local.process import tail
from deploy.local.stack import LocalStack

SECOND = ("router.2", "sla.2", "history.2", "desk.2", "delivery.2")
"""A second process of each service that owns lanes: the lanes of a killed one must not wait for its return."""

MIX: Mapping[str, int] = {"kill": 62, "zombie": 14, "term": 6, "broker": 6, "database": 6, "session": 6}
"""Shares of the faults: SIGKILL; SIGSTOP past the lease; SIGTERM; SIGKILL of a server; an ownership session cut off."""

BETWEEN = 1.0
"""Seconds between two faults on average."""
CUT = """
select pg_terminate_backend(pid)
from (select pid from pg_stat_activity where application_name like '%/owner' order by random() limit 1) one
"""


@dataclass
class Killer:
    """Draws a fault and does it; it is undone in the background, so that others may fall into the recovery from it.

    A service that ends by itself is started again, and named with its last words. The same seed draws the same faults as long as all of them
    are possible when they are drawn; which moment they meet is up to the machine.
    """

    stack: LocalStack
    services: Services
    rng: random.Random
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)
    between: float = BETWEEN
    done: Counter[str] = field(default_factory=Counter)
    by_themselves: list[str] = field(default_factory=list)
    _under_fault: set[str] = field(default_factory=set)
    _undoing: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, faults: int, look: Callable[[int], None]) -> None:
        """So many faults. Returns when the last is undone, before the system has recovered."""
        watching = asyncio.create_task(self._watch())
        try:
            for number in range(1, faults + 1):
                await self._one()
                look(number)
                await asyncio.sleep(self.rng.uniform(0.3, 1.7) * self.between)
        finally:
            undone = await asyncio.gather(*self._undoing, return_exceptions=True)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        for fault in undone:
            if isinstance(fault, BaseException):
                raise fault

    async def heal(self, within: float = 60.0) -> None:
        """Everything runs and is ready again. Raises ServiceDied, ServiceNotReady."""
        for service in self.services.all:
            if not service.running:
                service.process = None
                self.services.launch(service.name)
        await asyncio.gather(*(self.services.until_ready(s.name, within=within) for s in self.services.all))

    async def _one(self) -> None:
        """The next fault that is possible just now."""
        while True:
            kind = self.rng.choices(list(self.mix), list(self.mix.values()))[0]
            match kind:
                case "broker" | "database":
                    undo = self._server(kind)
                case "session":
                    undo = self._cut()
                case _:
                    undo = self._process(kind)
            if undo is not None:
                break
            await asyncio.sleep(0.1)
        self.done[kind] += 1
        task = asyncio.create_task(undo)
        self._undoing.add(task)
        task.add_done_callback(self._undone)

    def _undone(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._undoing.discard(task)

    def _process(self, kind: str) -> Coroutine[Any, Any, None] | None:
        free = [s.name for s in self.services.all if s.running and s.name not in self._under_fault]
        if not free:
            return None
        name = self.rng.choice(free)
        self._under_fault.add(name)
        match kind:
            case "kill":
                self.services.kill(name)
                return self._start_again(name, self.rng.choice((0.0, 0.2, 1.0, 2.0)))
            case "zombie":
                self.services.suspend(name)
                return self._let_go(name, self.rng.uniform(2.3, 5.0))
            case _:
                return self._stop_and_start(name)

    async def _start_again(self, name: str, after: float) -> None:
        await asyncio.sleep(after)
        self.services.launch(name)
        self._under_fault.discard(name)

    async def _let_go(self, name: str, after: float) -> None:
        """A process stopped past its lease of two seconds goes on in the middle of whatever it did."""
        await asyncio.sleep(after)
        self.services.resume(name)
        self._under_fault.discard(name)

    async def _stop_and_start(self, name: str) -> None:
        await self.services.stop(name)
        await self._start_again(name, 0.0)

    def _server(self, name: str) -> Coroutine[Any, Any, None] | None:
        server = self.stack.kafka if name == "broker" else self.stack.postgres
        if server is None or name in self._under_fault:
            return None
        self._under_fault.add(name)
        server.kill()
        return self._server_again(name, server.start, self.rng.choice((0.3, 1.0, 3.0)))

    async def _server_again(self, name: str, start: Callable[[], None], after: float) -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(start)
        self._under_fault.discard(name)

    async def _cut(self) -> None:
        """One process's ownership session ends; the process itself is well."""
        try:
            connection = await asyncpg.connect(self.stack.servers.postgres, timeout=3)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return
        try:
            await connection.execute(CUT)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return
        finally:
            connection.terminate()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            for service in self.services.all:
                if service.name not in self._under_fault and not service.running:
                    self.by_themselves.append(f"{service.name}: {tail(service.log, 8)}")
                    service.process = None
                    self.services.launch(service.name)


async def start_second(services: Services) -> None:
    """The second processes, ready."""
    for name in SECOND:
        services.add(name)
    await services.start(*SECOND)
