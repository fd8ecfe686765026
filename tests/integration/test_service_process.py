"""This file proves that every service starts on the real broker and database, tells its health, refuses a wrong configuration
and drains on SIGTERM."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.stack import LocalStack
from libs.flow.probe import BrokerProbe
from libs.service import ready

ROOT = Path(__file__).parents[2]
SERVICES = sorted(place.parent.name for place in ROOT.glob("services/*/__main__.py"))
EXAMPLE = ROOT / "workspace.example.yaml"
CREDENTIALS = {name: f"value-of-{name}" for name in re.findall(r"env:([A-Z_]+)", EXAMPLE.read_text())}
WITHIN = 30.0


@contextmanager
def started(
    service: str, environ: dict[str, str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service as a process of its own, and its address once it serves HTTP."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SAMBUNG_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            env=own | {"PYTHONPATH": str(ROOT)} | environ,
            cwd=log.parent,
            stderr=out,
        )
    try:
        yield process, address_in(log, process)
    finally:
        process.kill()
        process.wait()


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + WITHIN
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r'"address": "([^"]+)"', log.read_text()):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"the service serves nothing:\n{log.read_text()}")


def wait_ready(address: str, log: Path) -> None:
    until = time.monotonic() + WITHIN
    answer: httpx.Response | None = None
    while time.monotonic() < until:
        answer = httpx.get(f"{address}/readyz")
        if answer.status_code == 200:
            return
        time.sleep(0.005)
    pytest.fail(f"not ready: {answer.text if answer else ''}\n{log.read_text()}")


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.parametrize("service", SERVICES)
def test_service_becomes_ready_stays_small_and_drains_on_sigterm(
    service: str, kafka: str, postgres_dsn: str, tmp_path: Path
) -> None:
    environ = CREDENTIALS | {
        "SAMBUNG_KAFKA": kafka,
        "SAMBUNG_POSTGRES": postgres_dsn,
        "SAMBUNG_WORKSPACE": str(EXAMPLE),
        "SAMBUNG_PORT": "0",
        "SAMBUNG_JWT_SECRET": "0123456789abcdef" * 2,
    }
    log = tmp_path / "log"
    with started(service, environ, log) as (process, address):
        wait_ready(address, log)
        # Once ready it stays so: holding no lanes yet must not pass for having all that are ours.
        assert {httpx.get(f"{address}/readyz").status_code for _ in range(50)} == {200}
        assert ready.main([address.rpartition(":")[2]]) == 0
        assert httpx.get(f"{address}/healthz").json()["alive"] is True
        assert "sambung_service_ready 1.0" in httpx.get(f"{address}/metrics").text
        assert httpx.get(f"{address}/nowhere").headers["content-type"] == "application/problem+json"
        assert httpx.get(f"{address}/openapi.json").status_code == 200
        resident = psutil.Process(process.pid).memory_info().rss / 1e6
        assert resident < 110, f"{service} has {resident:.0f} MB while idle"
        process.terminate()
        assert process.wait(timeout=15) == 0
    assert '"level": "error"' not in "".join(
        line for line in log.read_text().splitlines(keepends=True) if "a library said" not in line
    )
    assert ready.main([address.rpartition(":")[2]]) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_service_that_is_configured_wrongly_names_everything_and_ends_with_78(
    service: str, tmp_path: Path
) -> None:
    (tmp_path / "workspace.yaml").write_text(
        "id: Toko\n"
        "inboxes:\n"
        "  wa: {chanel: whatsapp, queue: umun, credentials: {app_secret: hunter2}}\n"
        "queues: {umum: {pool: utama, skills: {refund: 9}}}\n"
        "pools: {utama: {grace: soon}}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "SAMBUNG_KAFKA": "broker",
            "SAMBUNG_WORKSPACE": "workspace.yaml",
            "SAMBUNG_PORT": "many",
        },
        cwd=tmp_path,
        capture_output=True,
        timeout=30,
        check=False,
        text=True,
    )
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"{service} does not start: ")
    for said in (
        "SAMBUNG_KAFKA: 'broker' — expected host:port",
        "SAMBUNG_PORT: 'many' — expected a whole number",
        "workspace.yaml:1:5 id: 'Toko' — expected an id",
        "workspace.yaml:3:8 inboxes.wa.chanel: is no known key",
        "did you mean channel?",
        "workspace.yaml:3:33 inboxes.wa.queue: 'umun' — expected an id from queues; there is umum",
        "inboxes.wa.credentials.app_secret: the value (not shown) — expected a reference",
        "workspace.yaml:4:47 queues.umum.skills.refund: '9' — expected a whole number from 1 to 5",
        "workspace.yaml:5:24 pools.utama.grace: 'soon' — expected a duration",
    ):
        assert said in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.kafka
@pytest.mark.postgres
def test_service_waits_for_a_broker_that_is_not_there_yet(postgres_dsn: str, tmp_path: Path) -> None:
    environ = CREDENTIALS | {
        "SAMBUNG_KAFKA": "127.0.0.1:1",
        "SAMBUNG_POSTGRES": postgres_dsn,
        "SAMBUNG_WORKSPACE": str(EXAMPLE),
        "SAMBUNG_PORT": "0",
    }
    log = tmp_path / "log"
    with started("delivery", environ, log) as (process, address):
        until = time.monotonic() + WITHIN
        while "waiting" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
        answer = httpx.get(f"{address}/readyz")
        assert (answer.status_code, answer.json()["waiting_for"]) == (503, "the broker")
        assert httpx.get(f"{address}/healthz").status_code == 200
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.mark.kafka
async def test_probe_tells_a_silent_broker_from_one_that_answers(stack: LocalStack, kafka: str) -> None:
    if stack.kafka is None:
        pytest.skip("only an embedded broker can be suspended")
    with closing(BrokerProbe(kafka, within=0.5)) as probe:
        assert await probe.answers()
        stack.kafka.suspend()
        try:
            assert not await probe.answers()
        finally:
            stack.kafka.resume()
    with closing(BrokerProbe(kafka, within=5)) as probe:
        assert await probe.answers()
        assert await probe.answers()
    assert not await BrokerProbe("127.0.0.1:1").answers()
