"""This file proves the demo itself: it ends with its reconciliation, and it leaves nothing running however it ends."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from deploy.demo.processes import ROOT
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(170)]

STARTS_AND_WAITS = """
import asyncio, sys
from pathlib import Path
from deploy.demo.organisation import found
from deploy.demo.processes import Services
from deploy.local.stack import Servers

folder = Path(sys.argv[1])
organisation = found(folder, "http://127.0.0.1:9")
nowhere = Servers("127.0.0.1:9", "postgresql://nobody@127.0.0.1:9/nothing")
services = Services(nowhere, organisation.path, folder / "logs", environ=organisation.environ, names=["delivery", "sla"])
for service in services.all:
    services.launch(service.name)
print(*(service.pid for service in services.all), flush=True)
asyncio.run(asyncio.sleep(60))
"""


@pytest.mark.kafka
@pytest.mark.postgres
async def test_a_short_demo_keeps_every_promise_and_exits_with_0(tmp_path: Path) -> None:
    command = ["-m", "deploy.demo", "--for", "6s", "--rate", "8", "--agents", "8", "--data", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "160"},
    )  # fmt: skip
    told, _ = await process.communicate()
    text = told.decode()
    assert process.returncode == 0, text
    assert "Reconciliation" in text
    assert "every message answered 2xx is exactly once in the timeline" in text


async def test_services_do_not_outlive_a_demo_that_was_killed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(psutil.pid_exists(pid) for pid in pids)
    process.kill()
    await process.wait()
    await until("both services are gone", lambda: not any(psutil.pid_exists(pid) for pid in pids), within=30)
