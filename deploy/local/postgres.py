"""This file runs one PostgreSQL server from the binaries that come as a Python package, on a Unix socket only."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

from deploy.local.accounts import temporary_directory, unprivileged_account
from deploy.local.errors import PostgresNotStarted
from deploy.local.pgbinaries import binaries
from deploy.local.process import Account, GuardedProcess, tail
from deploy.local.progress import Narrator

VERSION = "18"
START_TIMEOUT = 30.0  # seconds; a tenth of a second when nothing went wrong, some seconds after a crash
LOOK = 0.02  # seconds between two looks at a starting server
LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 108 on Linux and 104 on macOS
PORT = "5432"  # part of the socket's name only
SOCKET = f".s.PGSQL.{PORT}"
# Comparisons by code point and case rules of Unicode, the same on every system.
INITDB = ("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
SETTINGS = {
    "port": PORT,  # else PGPORT in the environment would choose
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # no password is asked for: only this account and root may connect
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",  # a lane's sequence numbers must not come back after a crash
    "jit": "off",
    "min_wal_size": "512MB",  # segments are used again: making one holds commits up for a tenth of a second
    "logging_collector": "off",
}
# What a server says when processes of a killed predecessor are still ending, or the predecessor itself is.
TRANSIENT = ("pre-existing shared memory block", "lock file", "could not bind Unix address")


class LocalPostgres:
    """A database server on a Unix socket whose data and life belong to this object.

    `start` may be called again after `stop` or `kill`: same data, same dsn. As root the server runs as another account,
    which must be able to enter the parents of `data`; `LocalStack` chooses such a place. With `scratch` the data
    directory is removed if this process crashes. One owner calls the verbs; all of them block.
    """

    def __init__(self, data: Path, *, scratch: bool = False, narrator: Narrator | None = None) -> None:
        self.data = data.absolute()
        self.log = self.data / "server.log"
        self._scratch = scratch
        self._narrator = narrator or Narrator()
        self._sockets: Path | None = None
        self._process: GuardedProcess | None = None
        self._cancelled = threading.Event()

    @property
    def dsn(self) -> str:
        """A libpq URL, known once the server was started and the same ever after."""
        if self._sockets is None:
            raise RuntimeError("the database was never started")
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets))}&port={PORT}"

    @property
    def pid(self) -> int:
        """The pid of the postmaster itself."""
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Return when connections are accepted; raises PostgresNotStarted."""
        if self._process is not None and self.running:
            raise RuntimeError(f"the database runs already, as process {self._process.pid}")
        self._cancelled.clear()
        account = unprivileged_account()
        programs = binaries(account)
        self.data.mkdir(parents=True, exist_ok=True)
        if account:
            os.chown(self.data, account.uid, account.gid)
        self._sockets = self._socket_directory(account)
        self._initialise(programs, account)
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        command = [str(programs / "postgres"), "-D", str(self._cluster), "-k", str(self._sockets), *settings]
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            start_of_log = self.log.stat().st_size if self.log.exists() else 0
            self._process = GuardedProcess(
                command,
                log=self.log,
                stop_signal=signal.SIGINT,  # fast shutdown; SIGTERM would wait for every client to leave
                account=account,
                scratch=self.data if self._scratch else None,
            )
            if self._came_up(self._process, deadline):
                return
            last_words = tail(self.log, start=start_of_log)
            transient = any(words in last_words for words in TRANSIENT)
            if not transient or self._cancelled.is_set() or time.monotonic() >= deadline:
                break
            self._cancelled.wait(0.1)
        self._process.kill()
        raise PostgresNotStarted(
            f"PostgreSQL did not start in {self.data}. Last lines of {self.log}:\n{last_words}"
        )

    def stop(self) -> None:
        """Fast shutdown, wait, SIGKILL; safe to call at any time, also while another thread is in `start`."""
        self._cancelled.set()
        if self._process:
            self._process.stop()
        if self._sockets and self._sockets != self.data:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL the postmaster at once; its children notice and end by themselves a moment later."""
        self._running().kill()

    def suspend(self) -> None:
        """SIGSTOP the postmaster and all its children: a database host that hangs."""
        self._running().suspend()

    def resume(self) -> None:
        self._running().resume()

    def _running(self) -> GuardedProcess:
        if self._process is None or not self._process.running:
            raise RuntimeError("the database does not run")
        return self._process

    @property
    def _cluster(self) -> Path:
        return self.data / "cluster"

    def _came_up(self, process: GuardedProcess, deadline: float) -> bool:
        while process.running and time.monotonic() < deadline and not self._cancelled.is_set():
            if self._is_ready(process.pid):
                return True
            time.sleep(LOOK)
        return False

    def _is_ready(self, pid: int) -> bool:
        """What pg_ctl looks at: the server writes its pid on the first line and its state on the last."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _socket_directory(self, account: Account | None) -> Path:
        if self._sockets and self._sockets.exists():
            return self._sockets
        path = str(self.data / SOCKET)
        # Server and clients both read a list of directories where a comma stands.
        if len(path) < LONGEST_SOCKET_PATH and re.fullmatch(r"[\w/.+-]+", path, re.ASCII):
            return self.data
        if self._sockets:  # the dsn that clients hold must stay true
            self._sockets.mkdir()
        sockets = self._sockets or temporary_directory("sambung-")
        if account:
            os.chown(sockets, account.uid, account.gid)
        return sockets

    def _initialise(self, programs: Path, account: Account | None) -> None:
        if (self._cluster / "PG_VERSION").exists():
            return
        # A run that was killed inside initdb leaves a directory that initdb refuses: make it aside, then rename.
        half_made = self.data / "cluster.new"
        shutil.rmtree(half_made, ignore_errors=True)
        unsynced = ["--no-sync"] if self._scratch else []
        command = [str(programs / "initdb"), "-D", str(half_made), "-U", "postgres", "--auth=trust", *INITDB]
        done = subprocess.run(
            [*command, *unsynced],
            check=False,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            cwd=self.data,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            raise PostgresNotStarted(
                f"initdb failed in {self.data}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        half_made.rename(self._cluster)
