"""This file starts a server under a guard and gives it the verbs that tests and the demo need."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

GUARD = Path(__file__).with_name("guard.py")
GUARD_MARGIN = 5.0  # seconds for the guard to get its turn on a busy machine


@dataclass(frozen=True)
class Account:
    """Who a server runs as when its starter is root."""

    name: str
    uid: int
    gid: int


class GuardedProcess:
    """One server process that never outlives the process that started it.

    Its guard watches a pipe of which this object holds the other end. The pipe closes with this process, however it ends;
    it stays open in children that were forked without exec, so do not start servers before `multiprocessing` forks.
    Not thread-safe: one owner calls the verbs.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 8.0,
        account: Account | None = None,
        scratch: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._grace = grace
        self._suspended = False
        lifeline, self._hold = os.pipe()
        told, report = os.pipe()
        who = f"{account.uid}:{account.gid}" if account else "-"
        guard = [sys.executable, "-I", "-S", str(GUARD), str(lifeline), str(report), str(int(stop_signal))]
        guard += [str(grace), who, str(scratch) if scratch else "-", "--", *command]
        try:
            with log.open("ab") as out:
                self._guard = subprocess.Popen(
                    guard,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd=log.parent,
                    env=env,
                    pass_fds=(lifeline, report),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._hold)
            os.close(told)
            raise
        finally:
            os.close(lifeline)
            os.close(report)
        with os.fdopen(told, "rb") as pipe:
            line = pipe.readline()
        self.pid = 0
        if not line:
            self._reap()
            raise RuntimeError(f"the guard of {command[0]} did not start; see {log}")
        self.pid = int(line)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def stop(self) -> None:
        """Ask, wait, then kill; returns when the server is gone. The guard does it."""
        self._reap()

    def kill(self) -> None:
        """SIGKILL the server itself, at once. Its own children are left to notice."""
        stopped = list(self._children()) if self._suspended else []
        self._signal(signal.SIGKILL)
        for child in stopped:  # a stopped child would never notice
            _send(child, signal.SIGCONT)
        self._reap()

    def suspend(self) -> None:
        """SIGSTOP the server, then its children: a machine that hangs."""
        self._suspended = True
        self._signal(signal.SIGSTOP)
        for child in self._children():
            _send(child, signal.SIGSTOP)

    def resume(self) -> None:
        for child in self._children():
            _send(child, signal.SIGCONT)
        self._signal(signal.SIGCONT)
        self._suspended = False

    def _signal(self, signum: signal.Signals) -> None:
        if self.pid and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def _children(self) -> Iterator[psutil.Process]:
        if self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from psutil.Process(self.pid).children(recursive=True)

    def _reap(self) -> None:
        if self._hold >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._hold, b".")  # the end without this byte would mean that we crashed
            os.close(self._hold)
            self._hold = -1
        try:
            # The guard allows `grace` before and after SIGKILL.
            self._guard.wait(timeout=2 * self._grace + GUARD_MARGIN)
        except subprocess.TimeoutExpired:  # the guard itself hangs
            self._signal(signal.SIGKILL)
            self._guard.kill()
            self._guard.wait()


def tail(log: Path, lines: int = 15, start: int = 0) -> str:
    """The last lines of a log, reading no further back than byte `start`."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - 65_536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _send(process: psutil.Process, signum: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signum)
