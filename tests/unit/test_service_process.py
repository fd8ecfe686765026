"""This file proves how a service process starts, waits, refuses, drains and dies, with the broker replaced by a double."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from structlog.testing import capture_logs

from libs.flow.flow import Flow, FlowError
from libs.flow.store import Store
from libs.flow.topics import BrokerAway, TopicProblems
from libs.service import process
from libs.service.background import running
from libs.service.configuration import EX_CONFIG
from libs.service.health import Health, Stuck, measure
from libs.service.http import listen
from libs.service.process import App, Process, Runtime, run
from libs.service.settings import ServiceSettings, read_settings, variables
from libs.timesource import SystemTime
from libs.workspace import Workspace

Logs = list[MutableMapping[str, Any]]


class Settings(ServiceSettings):
    port: int = 0
    postgres: str = ""


class Broker:
    """Answers like libs.flow.topics.verify: a script of faults, then all is well."""

    def __init__(self, *faults: Exception, then_away: bool = False) -> None:
        self._faults, self._then_away = list(faults), then_away
        self.asked = asyncio.Event()

    async def verify(self, _kafka: str) -> None:
        self.asked.set()
        if self._faults:
            raise self._faults.pop(0)
        if self._then_away:
            raise BrokerAway("no broker answers")

    async def answers(self) -> bool:
        return True

    def close(self) -> None: ...


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in variables(Settings):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAMBUNG_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("SAMBUNG_WORKSPACE", "unused.yaml")
    return read_settings(Settings)


Start = Callable[..., Process[Settings]]


@pytest.fixture
async def start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    def make(build: Callable[[Runtime[Settings]], App], broker: Broker | None = None) -> Process[Settings]:
        double = broker or Broker()
        monkeypatch.setattr(process, "verify", double.verify)
        monkeypatch.setattr(process, "BrokerProbe", lambda _kafka: double)
        return Process("demo", settings, Workspace("toko"), build)

    yield make
    for number in process.SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)


def routes() -> APIRouter:
    api = APIRouter()

    @api.get("/hello")
    async def hello() -> str:
        return "hello"

    return api


def address_in(logs: Logs) -> str:
    return next(str(line["address"]) for line in logs if "address" in line)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_process_waits_for_the_broker_serves_and_drains_on_sigterm(start: Start) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def background() -> AsyncIterator[None]:
        # A task group must be left by the task that entered it.
        async with asyncio.TaskGroup():
            steps.append("entered")
            yield
            steps.append("left")

    def build(runtime: Runtime[Settings]) -> App:
        assert runtime.workspace.id == "toko"
        return App(api=routes(), background=[background])

    broker = Broker(BrokerAway("no broker answers"), BrokerAway("no broker answers"))
    with capture_logs() as logs:
        life = asyncio.create_task(start(build, broker).live())
        await broker.asked.wait()
        assert steps == []
        async with httpx.AsyncClient(base_url=address_in(logs)) as client:
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["waiting_for"]) == (503, "the broker")
            assert (await client.get("/hello")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(is_ready)
            assert (await client.get("/hello")).json() == "hello"
            assert steps == ["entered"]
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await life == 0
    assert steps == ["entered", "left"]
    events = [line["event"] for line in logs]
    assert events == ["starting", "waiting", "serving", "draining", "ended"]


async def test_signal_ends_a_process_that_is_still_waiting(start: Start) -> None:
    broker = Broker(then_away=True)
    with capture_logs() as logs:
        life = asyncio.create_task(start(lambda _: App(), broker).live())
        await broker.asked.wait()
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(3):
            assert await life == 0
    assert [line["event"] for line in logs] == ["starting", "waiting", "draining", "ended"]


async def test_wrong_topics_refuse_the_start_and_are_all_named(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(
        TopicProblems(["topic sla does not exist", "topic work has 3 partitions, 12 are expected"])
    )
    assert await start(lambda _: App(), broker).live() == EX_CONFIG
    assert capsys.readouterr().err == (
        "demo does not start: 2 to put right\n"
        "  topic sla does not exist\n"
        "  topic work has 3 partitions, 12 are expected\n"
    )


async def test_flow_that_contradicts_the_map_refuses_the_start(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_: Runtime[Settings]) -> App:
        return App(flows=[Flow(name="demo", schema="demo", store=Store, reads={"nowhere": {}})])

    assert await start(build).live() == EX_CONFIG
    assert "reads 'nowhere', which is no topic" in capsys.readouterr().err


async def test_flow_of_another_schema_refuses_the_start(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow(name="demo", schema="other", store=Store, reads={})
    assert await start(lambda _: App(flows=[flow])).live() == EX_CONFIG
    assert "the schema must be 'demo'" in capsys.readouterr().err


async def test_bug_in_the_wiring_ends_with_status_1(start: Start) -> None:
    def build(_: Runtime[Settings]) -> App:
        raise ZeroDivisionError

    with capture_logs() as logs:
        assert await start(build).live() == 1
    assert [line["event"] for line in logs] == ["the service could not start", "ended"]


async def test_port_in_use_ends_with_status_1_and_one_clear_line(start: Start, settings: Settings) -> None:
    with listen("127.0.0.1", 0) as taken:
        ours = settings.model_copy(update={"port": taken.getsockname()[1]})
        with capture_logs() as logs:
            assert await Process("demo", ours, Workspace("toko"), lambda _: App()).live() == 1
    assert (logs[0]["event"], logs[0]["port"]) == ("cannot listen", ours.port)


async def test_dead_background_drains_the_process_with_status_1(start: Start) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    def build(runtime: Runtime[Settings]) -> App:
        return App(background=[lambda: running("follower", work(), runtime.died)])

    with capture_logs() as logs:
        assert await start(build).live() == 1
    [line] = [line for line in logs if line["log_level"] == "error"]
    assert (line["event"], line["component"]) == ("a component died", "follower")
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_background_that_cannot_begin_or_end_does_not_keep_the_rest_from_draining(start: Start) -> None:
    left: list[str] = []

    @asynccontextmanager
    async def good() -> AsyncIterator[None]:
        yield
        left.append("good")

    @asynccontextmanager
    async def bad() -> AsyncIterator[None]:
        raise OSError("refused")
        yield

    with capture_logs() as logs:
        assert await start(lambda _: App(background=[good, bad])).live() == 1
    assert left == ["good"]
    assert [line["event"] for line in logs] == ["starting", "the service could not start", "ended"]


async def test_runs_of_background_work_end_with_their_block() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async with running("work", work(), lambda name, _: ended.append(f"{name} died")):
        await asyncio.sleep(0)
    assert ended == ["work"]


class Fast(SystemTime):
    """Time that passes as fast as it is slept."""

    seconds, slept = 0.0, 0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.seconds += seconds
        await asyncio.sleep(0)


async def test_lanes_that_stay_stuck_end_the_process() -> None:
    time = Fast()

    class Lanes:
        ready, details = True, {"stalled": ["sla/3"]}

        @property
        def alive(self) -> bool:
            return time.seconds < 5 or 25 < time.seconds < 30

    with pytest.raises(Stuck):
        await measure(Health("demo", flows=Lanes), time)
    assert 89 < time.seconds < 91


async def test_process_that_was_suspended_is_not_taken_for_stuck() -> None:
    class Suspended(Fast):
        async def sleep(self, seconds: float) -> None:
            self.slept += 1
            self.seconds += 3600.0 if self.slept == 3 else seconds
            if self.slept == 10:
                raise asyncio.CancelledError
            await asyncio.sleep(0)

    time = Suspended()

    class Lanes:
        ready, details = True, {"stalled": ["sla/3"]}

        @property
        def alive(self) -> bool:
            return time.slept not in (3, 4)

    with pytest.raises(asyncio.CancelledError):
        await measure(Health("demo", flows=Lanes), time)


def test_wrong_configuration_is_one_message_and_status_78(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in variables(Settings):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "workspace.yaml").write_text("id: Toko\ninboxes: {}\nqueues: {a: {pool: b}}\npools: {}\n")
    monkeypatch.setenv("SAMBUNG_WORKSPACE", str(tmp_path / "workspace.yaml"))
    monkeypatch.setenv("SAMBUNG_PORT", "many")
    assert run("demo", Settings, lambda _: App()) == EX_CONFIG
    assert capsys.readouterr().err == (
        "demo does not start: 4 to put right\n"
        "  SAMBUNG_KAFKA: is not set — expected host:port of the broker\n"
        "  SAMBUNG_PORT: 'many' — expected a whole number\n"
        f"  {tmp_path}/workspace.yaml:1:5 id: 'Toko' — expected an id of 1 to 64 characters a-z, 0-9, _ and -\n"
        f"  {tmp_path}/workspace.yaml:3:20 queues.a.pool: 'b' — expected an id from pools; it is empty\n"
    )


def test_flow_errors_are_told_whole() -> None:
    with pytest.raises(FlowError, match="no topic"):
        Flow(name="demo", schema="demo", store=Store, reads={"nowhere": {}}).check()
