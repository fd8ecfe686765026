"""This file is the life of a service process: configuration, start, serving, drain, and an exit status that says why it ended.

read settings and workspace ─▶ build ─▶ HTTP (not ready) ─▶ wait for broker, topics, database ─▶ flows ─▶ backgrounds ─▶ serving
any mistake of configuration: status 78         a signal, at any time: drain, status 0         a component died: drain, status 1
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NoReturn

import structlog
import uvloop
from fastapi import APIRouter

from libs.flow.database import Database, DatabaseAway
from libs.flow.flow import Flow, FlowError
from libs.flow.probe import BrokerProbe
from libs.flow.publisher import Publisher
from libs.flow.runner import Runner
from libs.flow.schema import MigrationChanged, migrate
from libs.flow.topics import BrokerAway, TopicProblems, verify
from libs.service import metrics
from libs.service.background import running
from libs.service.configuration import EX_CONFIG, Misconfigured, configuration
from libs.service.edge import Edge
from libs.service.garbage import collect
from libs.service.health import Health, Phase, measure, probe
from libs.service.http import HttpServer, application, listen
from libs.service.logs import configure
from libs.service.settings import S
from libs.timesource import SystemTime, TimeSource
from libs.workspace import Workspace

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAY_EVERY = 5.0
"""Seconds between two log lines about the same wait."""
STEP_WITHIN = 12.0
"""Seconds for each step of a drain; what takes longer is left to leases and time-outs."""


def _unnoticed(_name: str, _fault: BaseException | None) -> None:
    """For a Runtime made in a test."""


@dataclass(frozen=True)
class Runtime(Generic[S]):
    """What a service is built from. Database and publisher connect by themselves and may be away at any time."""

    settings: S
    time: TimeSource
    workspace: Workspace
    database: Database
    publisher: Publisher
    log: Any
    died: Callable[[str, BaseException | None], None] = _unnoticed
    """To be called with a name when something that the service cannot do without has ended: the process drains and exits."""


@dataclass(frozen=True)
class App:
    """What a service consists of. `background` is entered after the flows have started and left before they stop."""

    flows: Sequence[Flow] = ()
    api: APIRouter | None = None
    background: Sequence[Callable[[], AbstractAsyncContextManager[None]]] = ()


def main(name: str, settings: type[S], build: Callable[[Runtime[S]], App]) -> NoReturn:
    """Run a service until it is told to stop; exits with 0, with 78 for a wrong configuration, with 1 for anything else."""
    sys.exit(run(name, settings, build))


def run(name: str, settings: type[S], build: Callable[[Runtime[S]], App]) -> int:
    """The exit status of a whole life."""
    try:
        chosen, workspace = configuration(settings)
    except Misconfigured as fault:
        print(fault.told(name), file=sys.stderr, flush=True)
        return EX_CONFIG
    configure(name, chosen.log_level)
    metrics.INFO.labels(name, workspace.id, workspace.version).set(1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Process(name, chosen, workspace, build).live())


class Process(Generic[S]):
    """One life. `live` may be called once."""

    def __init__(
        self, name: str, settings: S, workspace: Workspace, build: Callable[[Runtime[S]], App]
    ) -> None:
        self._name, self._settings, self._workspace, self._build = name, settings, workspace, build
        self._time = SystemTime()
        self._log = structlog.get_logger()
        self._health = Health(name)
        self._database = Database(settings.postgres, name, application=f"sambung-{name}")
        self._publisher = Publisher(settings.kafka, f"sambung-{name}", time=self._time)
        self._backgrounds = AsyncExitStack()
        self._edge: Edge | None = None
        self._http: HttpServer | None = None
        self._runner: Runner | None = None
        self._over = asyncio.Event()
        self._status = 0
        self._task: asyncio.Task[int] | None = None

    async def live(self) -> int:
        """Until a signal or a death. Returns the exit status."""
        # Backgrounds are entered and left in this one task: task groups and time-outs inside them insist on that.
        loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._told, number)
        try:
            await self._start()
            await self._over.wait()
        except asyncio.CancelledError:
            if not self._over.is_set() or self._task is None:
                raise
            self._task.uncancel()
        except Exception as fault:
            self._could_not_start(fault)
        # The handlers stay: a second signal on the way out must not turn a clean end into a kill.
        await self._drain()
        return self._status

    def _told(self, number: signal.Signals) -> None:
        if not self._over.is_set():
            self._log.info("draining", signal=number.name)
            self._end()

    def died(self, component: str, fault: BaseException | None = None) -> None:
        """A component ended that should not have: drain and exit with 1."""
        if not self._over.is_set():
            self._log.error("a component died", component=component, exc_info=fault)
            self._status = 1
            self._end()

    def _end(self) -> None:
        """Let `live` go on to the drain, from wherever it is."""
        self._over.set()
        if self._health.phase is Phase.STARTING and self._task is not None:
            self._task.cancel()

    def _could_not_start(self, fault: Exception) -> None:
        match fault:
            case TopicProblems():
                self._refuse(fault.problems)
            case FlowError() | MigrationChanged():
                self._refuse([str(fault)])
            case OSError() if self._http is None:
                self._log.error(
                    "cannot listen", host=self._settings.host, port=self._settings.port, fault=str(fault)
                )
                self._status = 1
            case _:
                self._log.error("the service could not start", exc_info=fault)
                self._status = 1

    def _refuse(self, problems: list[str]) -> None:
        print(Misconfigured(problems).told(self._name), file=sys.stderr, flush=True)
        self._status = EX_CONFIG

    # -- start ----------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        settings, name = self._settings, self._name
        app = self._build(
            Runtime(
                settings, self._time, self._workspace, self._database, self._publisher, self._log, self.died
            )
        )
        if strangers := [flow.name for flow in app.flows if flow.schema != name]:
            raise FlowError(f"flow {', '.join(strangers)}: the schema must be {name!r}, the service's own")
        self._runner = Runner(
            app.flows,
            database=self._database,
            kafka=settings.kafka,
            publisher=self._publisher,
            time=self._time,
        )
        self._edge = Edge(application(name, app.api), self._health)
        listener = listen(settings.host, settings.port)
        self._http = HttpServer(self._edge, listener, self.died)
        await self._http.start()
        self._log.info("starting", address=self._http.address, workspace=self._workspace.version)
        await self._beside("health", measure(self._health, self._time))
        await self._until("the broker", partial(verify, settings.kafka), BrokerAway)
        if app.flows:
            await self._until(
                "the database", partial(migrate, settings.postgres, name, f"services.{name}"), DatabaseAway
            )
        if settings.postgres:
            await self._database.start()
        await self._beside("probe", probe(self._health, BrokerProbe(settings.kafka), self._time))
        if app.flows:
            self._health.flows = self._runner.health
            self._health.waiting_for = "broker and database"
            await self._runner.start()
        self._health.waiting_for = "background work"
        for background in app.background:
            await self._backgrounds.enter_async_context(background())
        await self._beside("garbage", collect(self._time))
        self._health.waiting_for = ""
        self._health.phase = Phase.SERVING
        self._log.info("serving", address=self._http.address)

    async def _beside(self, name: str, work: Any) -> None:
        await self._backgrounds.enter_async_context(running(name, work, self.died))

    async def _until(
        self, what: str, attempt: Callable[[], Awaitable[object]], away: type[Exception]
    ) -> None:
        """Try until it is there, however long that takes, and say so now and then."""
        self._health.waiting_for = what
        pause, say_at = 0.2, self._time.monotonic()
        while True:
            try:
                await attempt()
            except away as fault:
                if self._time.monotonic() >= say_at:
                    self._log.warning("waiting", what=what, fault=str(fault)[:200])
                    say_at = self._time.monotonic() + SAY_EVERY
                await self._time.sleep(pause)
                pause = min(2.0, pause * 1.5)
            else:
                return

    # -- drain ----------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """No new requests, then nothing in the background, then no lanes, then no connections. A step that fails or takes
        too long does not keep the others from their turn."""
        self._health.phase = Phase.DRAINING
        self._health.ready()
        if self._edge is not None:
            self._edge.drain()
        if self._http is not None:
            await self._step("http", self._http.stop())
        await self._step("background", self._backgrounds.aclose())
        if self._runner is not None:
            await self._step("flows", self._runner.stop())
        await self._step("publisher", self._publisher.stop())
        await self._step("database", self._database.stop())
        self._log.info("ended", status=self._status)

    async def _step(self, what: str, work: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(STEP_WITHIN):
                await work
        except Exception as fault:
            self._log.error("draining went wrong", step=what, exc_info=fault)
