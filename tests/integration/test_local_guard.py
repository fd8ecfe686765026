"""This file shows that no server outlives the process that started it, however that process ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import process as process_module
from deploy.local.process import GUARD, GuardedProcess

ROOT = Path(__file__).parents[2]
SLEEP = ("sleep", "300")
# A shell that ignores SIGTERM and has a child of its own, as a database has.
STUBBORN = ("sh", "-c", "trap '' TERM; sleep 300 & echo ready; while :; do wait; done")
STARTER = """
import signal
import sys
from pathlib import Path
from deploy.local import process as process_module
from deploy.local.process import GuardedProcess
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it, and children inherit that
scratch, command = Path(sys.argv[1]), sys.argv[2:]
server = GuardedProcess(command, log=scratch / "server.log", grace=0.3, scratch=scratch)
print(server.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "server"
    path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def starter(scratch: Path, *command: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process that starts a guarded server and then waits for a line; and the server."""
    started = [sys.executable, "-c", STARTER, str(scratch), *command]
    with subprocess.Popen(
        started, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, psutil.Process(int(process.stdout.readline()))


def gone(process: psutil.Process) -> bool:
    """Within ten seconds. An orphan that process 1 has not collected yet counts as gone."""

    def is_over() -> bool:
        try:
            return process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return until(is_over)


def until(condition: Callable[[], object], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_starter_killed_at_once_leaves_no_server_and_no_throwaway_data(scratch: Path) -> None:
    with starter(scratch, *SLEEP) as (process, server):
        assert server.is_running()
        process.kill()
        assert gone(server)
        assert until(lambda: not scratch.parent.exists())


def test_starter_that_forgets_to_stop_leaves_no_server(scratch: Path) -> None:
    with starter(scratch, *SLEEP) as (process, server):
        process.communicate("\n")
        assert process.returncode == 0
        assert gone(server)


def test_starter_hung_up_by_its_terminal_leaves_no_server(scratch: Path) -> None:
    with starter(scratch, *SLEEP) as (process, server):
        process.send_signal(signal.SIGHUP)
        assert gone(server)


def test_server_that_ignores_sigterm_and_is_suspended_with_its_child_is_killed_with_it(scratch: Path) -> None:
    with starter(scratch, *STUBBORN) as (process, server):
        assert until(lambda: "ready" in (scratch / "server.log").read_text())
        (child,) = server.children()
        for each in (server, child):
            each.suspend()
        process.kill()
        assert gone(server)
        assert gone(child)


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(scratch: Path) -> None:
    server = GuardedProcess(SLEEP, log=scratch / "server.log")
    try:
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getpgid(server.pid) != os.getpgid(0)
    finally:
        server.stop()


def test_stop_waits_for_the_end_and_keeps_the_data(scratch: Path) -> None:
    server = GuardedProcess(SLEEP, log=scratch / "server.log", scratch=scratch)
    process = psutil.Process(server.pid)
    server.stop()
    assert not process.is_running()
    assert not server.running
    assert scratch.exists()


def test_stop_ends_the_server_even_when_its_guard_hangs(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "GUARD_MARGIN", 0.2)
    server = GuardedProcess(SLEEP, log=scratch / "server.log", grace=0.1)
    process = psutil.Process(server.pid)
    guard = process.parent()
    assert guard
    guard.suspend()
    server.stop()
    assert gone(process)
    assert not guard.is_running()


def test_kill_ends_a_suspended_server_and_keeps_the_data(scratch: Path) -> None:
    server = GuardedProcess(SLEEP, log=scratch / "server.log", scratch=scratch)
    process = psutil.Process(server.pid)
    server.suspend()
    assert until(lambda: process.status() == psutil.STATUS_STOPPED)
    server.kill()
    assert not process.is_running()
    assert scratch.exists()


def test_suspend_and_resume_reach_the_server_and_its_children(scratch: Path) -> None:
    server = GuardedProcess(STUBBORN, log=scratch / "server.log", grace=0.1)
    try:
        assert until(lambda: "ready" in (scratch / "server.log").read_text())
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        assert len(family) == 2
        server.suspend()
        assert until(lambda: all(each.status() == psutil.STATUS_STOPPED for each in family))
        server.resume()
        assert until(lambda: all(each.status() != psutil.STATUS_STOPPED for each in family))
    finally:
        server.stop()


@pytest.mark.parametrize(("script", "expected"), [("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL)])
def test_guard_ends_as_its_server_ended(script: str, expected: int) -> None:
    lifeline, hold = os.pipe()
    told, report = os.pipe()
    arguments = [str(lifeline), str(report), "15", "1", "-", "-", "--", "sh", "-c", script]
    guard = [sys.executable, "-I", "-S", str(GUARD), *arguments]
    try:
        assert (
            subprocess.run(guard, pass_fds=(lifeline, report), check=False, timeout=10).returncode == expected
        )
    finally:
        for descriptor in (lifeline, hold, told, report):
            os.close(descriptor)


def test_command_that_does_not_exist_says_so_in_the_log(scratch: Path) -> None:
    server = GuardedProcess(["/no/such/server"], log=scratch / "server.log")
    assert until(lambda: not server.running)
    server.stop()
    assert "cannot start /no/such/server" in (scratch / "server.log").read_text()
