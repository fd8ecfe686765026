"""This file runs services as processes of their own, with the verbs that the demo, the benchmark and the chaos campaign need."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local.ports import free_port
from deploy.local.process import GuardedProcess, tail
from deploy.local.stack import Servers

SERVICES = ("ingest", "router", "sla", "history", "desk", "delivery")
ROOT = Path(__file__).parents[2]
READY_WITHIN = 40.0
GRACE = 15.0
"""Seconds to drain after SIGTERM."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Everything is on this machine; a proxy could only be in the way."""


class ServiceDied(RuntimeError):
    """A service ended by itself; the text holds its last log lines."""

    def __init__(self, name: str, log: Path, said: str) -> None:
        super().__init__(f"{name} ended by itself. Last lines of {log}:\n{said}")
        self.name = name


class ServiceNotReady(RuntimeError):
    """A service runs but does not become ready; the text says what its /readyz answers and the last log lines."""


@dataclass
class Service:
    """One process. `name` is the service's, or `<service>.<n>` for a further process of it. Its port and log outlive it."""

    name: str
    port: int
    log: Path
    process: GuardedProcess | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        service, _, further = self.name.rpartition(".")
        return f"services.{service if further.isdigit() else self.name}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid


class Services:
    """Services that never outlive this process: each runs under a guard, as the local servers do."""

    def __init__(
        self,
        servers: Servers,
        workspace: Path,
        logs: Path,
        *,
        environ: Mapping[str, str],
        names: Sequence[str] = SERVICES,
        log_level: str = "INFO",
    ) -> None:
        """`environ`: secrets and further settings, for all of them."""
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._environ = {
            **{name: value for name, value in os.environ.items() if name not in PROXIES},
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "SAMBUNG_KAFKA": servers.kafka,
            "SAMBUNG_POSTGRES": servers.postgres,
            "SAMBUNG_WORKSPACE": str(workspace.absolute()),
            "SAMBUNG_HOST": "127.0.0.1",
            "SAMBUNG_LOG_LEVEL": log_level,
            **environ,
        }
        self._services: dict[str, Service] = {}
        for name in names:
            self.add(name)

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    @property
    def all(self) -> list[Service]:
        return list(self._services.values())

    def add(self, name: str, extra: Mapping[str, str] | None = None) -> Service:
        """One more process, e.g. `router.2`; it is not started yet. `extra` are settings of this one alone."""
        service = Service(name, free_port(), self._logs / f"{name}.log", extra=extra or {})
        self._services[name] = service
        return service

    async def start(self, *names: str, within: float = READY_WITHIN) -> None:
        """Start these (all when none is named) at the same time; returns when each is ready.

        Raises ServiceDied, ServiceNotReady; those that did start go on.
        """
        wanted = [self._services[name] for name in names or tuple(self._services)]
        for service in wanted:
            self.launch(service.name)
        await asyncio.gather(*(self.until_ready(service.name, within=within) for service in wanted))

    def launch(self, name: str) -> None:
        """Start one without waiting."""
        service = self._services[name]
        if service.running:
            raise RuntimeError(f"{name} runs already")
        service.process = GuardedProcess(
            [sys.executable, "-m", service.module],
            log=service.log,
            grace=GRACE,
            env={**self._environ, "SAMBUNG_PORT": str(service.port), **service.extra},
        )

    async def until_ready(self, name: str, *, within: float = READY_WITHIN) -> None:
        """Returns when /readyz says so. Raises ServiceDied, ServiceNotReady."""
        service = self._services[name]
        deadline = time.monotonic() + within
        said = "no answer"
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while time.monotonic() < deadline:
                self.check(name)
                try:
                    answer = await client.get(f"{service.url}/readyz")
                    if answer.status_code == httpx.codes.OK:
                        return
                    said = answer.text[:2000]
                except httpx.HTTPError as fault:
                    said = type(fault).__name__
                await asyncio.sleep(0.05)
        raise ServiceNotReady(
            f"{name} is not ready after {within:.0f} s: {said}\nLast lines of {service.log}:\n{tail(service.log)}"
        )

    def check(self, *names: str) -> None:
        """Raises ServiceDied for the first that was started and has ended by itself."""
        for name in names or tuple(self._services):
            service = self._services[name]
            if service.process is not None and not service.running:
                raise ServiceDied(name, service.log, tail(service.log))

    async def stop(self, *names: str) -> None:
        """SIGTERM, drain, SIGKILL after GRACE; all at the same time. They may be started again."""
        wanted = [self._services[name] for name in names or tuple(self._services)]
        running = [service.process for service in wanted if service.process is not None]
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in running))
        for service in wanted:
            service.process = None

    def kill(self, name: str) -> None:
        """SIGKILL at once."""
        service = self._services[name]
        if service.process is not None:
            service.process.kill()
            service.process = None

    def suspend(self, name: str) -> None:
        """SIGSTOP: a process that hangs and knows nothing of it."""
        if (process := self._services[name].process) is not None:
            process.suspend()

    def resume(self, name: str) -> None:
        if (process := self._services[name].process) is not None:
            process.resume()
