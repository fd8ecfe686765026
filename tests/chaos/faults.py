"""This file does the damage: kills, stops and cuts, drawn by a seed, one after another under load."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import asyncpg

from deploy.demo.processes import Services
from deploy.local.stack import LocalStack

SECOND = ("router.2", "sla.2", "history.2", "desk.2", "delivery.2")
"""A second process of each service that owns lanes: the lanes of a killed one must not wait for its return."""

MIX: Mapping[str, int] = {"kill": 62, "zombie": 14, "term": 6, "broker": 6, "database": 6, "session": 6}
"""Shares of the faults."""


@dataclass
class Killer:
    """Draws a fault, does it, undoes it. A service that ends by itself is started again, and counted."""

    stack: LocalStack
    services: Services
    rng: random.Random
    mix: Mapping[str, int] = field(default_factory=lambda: MIX)
    done: Counter[str] = field(default_factory=Counter)
    by_themselves: list[str] = field(default_factory=list)
    _under_fault: set[str] = field(default_factory=set)

    async def run(self, faults: int, look: Callable[[int], None]) -> None:
        """So many faults, a second or so apart; some overlap with the recovery from those before."""
        watching = asyncio.create_task(self._watch())
        try:
            for number in range(faults):
                kind = self.rng.choices(list(self.mix), list(self.mix.values()))[0]
                await getattr(self, f"_{kind}")()
                self.done[kind] += 1
                look(number + 1)
                await asyncio.sleep(self.rng.uniform(0.3, 1.6))
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def heal(self, within: float = 60.0) -> None:
        """Everything runs and is ready again. Raises ServiceDied, ServiceNotReady."""
        for service in self.services.all:
            if not service.running:
                service.process = None
                self.services.launch(service.name)
        await asyncio.gather(*(self.services.until_ready(s.name, within=within) for s in self.services.all))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            for service in self.services.all:
                if service.name not in self._under_fault and not service.running:
                    self.by_themselves.append(service.name)
                    service.process = None
                    self.services.launch(service.name)

    def _victim(self) -> str:
        name = self.rng.choice([s.name for s in self.services.all if s.running])
        self._under_fault.add(name)
        return name

    async def _kill(self) -> None:
        name = self._victim()
        self.services.kill(name)
        await asyncio.sleep(self.rng.choice((0.0, 0.2, 1.0, 2.0)))
        self.services.launch(name)
        self._under_fault.discard(name)

    async def _zombie(self) -> None:
        """Stopped past its lease of two seconds, then let go in the middle of whatever it did."""
        name = self._victim()
        self.services.suspend(name)
        await asyncio.sleep(self.rng.uniform(2.3, 4.5))
        self.services.resume(name)
        self._under_fault.discard(name)

    async def _term(self) -> None:
        name = self._victim()
        await self.services.stop(name)
        self.services.launch(name)
        self._under_fault.discard(name)

    async def _broker(self) -> None:
        if self.stack.kafka is not None:
            self.stack.kafka.kill()
            await asyncio.sleep(self.rng.choice((0.3, 1.0, 2.0)))
            await asyncio.to_thread(self.stack.kafka.start)

    async def _database(self) -> None:
        if self.stack.postgres is not None:
            self.stack.postgres.kill()
            await asyncio.sleep(self.rng.choice((0.2, 1.0, 2.0)))
            await asyncio.to_thread(self.stack.postgres.start)

    async def _session(self) -> None:
        """Cut one process's ownership session; the process itself is well."""
        try:
            connection = await asyncpg.connect(self.stack.servers.postgres, timeout=3)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return
        try:
            await connection.execute(
                "select pg_terminate_backend(pid) from (select pid from pg_stat_activity "
                "where application_name like '%/owner' order by random() limit 1) one"
            )
        finally:
            await connection.close()


async def start_second(services: Services) -> None:
    """The second processes, ready."""
    for name in SECOND:
        services.add(name)
    await services.start(*SECOND)
