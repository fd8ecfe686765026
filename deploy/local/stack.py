"""This file gives a process a broker and a database: the user's own, containers, or embedded ones."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console

from deploy.local.accounts import SHARED, can_be_entered, temporary_directory, unprivileged_account
from deploy.local.archive import ensure_archive
from deploy.local.containers import KafkaInContainer, PostgresInContainer, engine_answers
from deploy.local.errors import DataInUse
from deploy.local.kafka import VERSION as KAFKA_VERSION
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import VERSION as POSTGRES_VERSION
from deploy.local.postgres import LocalPostgres
from deploy.local.progress import Narrator

DEFAULT_DATA = Path(".sambung/data")


@dataclass(frozen=True)
class Servers:
    """Where the broker (host:port) and the database (a libpq URL) answer."""

    kafka: str
    postgres: str


class LocalStack:
    """Both servers, ready when `start` returns and gone after `stop`, or after a crash of this process.

    Each is, in this order: the one that SAMBUNG_KAFKA or SAMBUNG_POSTGRES names, which is never started, stopped or
    emptied; a container, where SAMBUNG_CONTAINERS=1 and a Docker engine answers; an embedded one, which `kafka` and
    `postgres` then expose with its verbs for trouble.

    `keep=True` keeps the embedded servers' data in `data` (default `.sambung/data` here) for the next run. Otherwise they
    live in a new directory, below `data` or where temporary files go, that `stop` removes; nothing else is ever removed.
    Run as root, PostgreSQL becomes another account; where that account cannot enter `data`, its files go below
    /var/lib/sambung (kept) or to the temporary directory. One thread calls the verbs.
    """

    def __init__(
        self,
        data: Path | None = None,
        keep: bool = False,
        progress: Callable[[str], None] | Console | Narrator | None = None,
    ) -> None:
        self.kafka: LocalKafka | None = None
        self.postgres: LocalPostgres | None = None
        self._data = data
        self._keep = keep
        self._narrator = Narrator(progress)
        self._containers: list[KafkaInContainer | PostgresInContainer] = []
        self._scratch: list[Path] = []
        self._run: Path | None = None
        self._lock: TextIO | None = None
        self._engine: bool | None = None
        self._servers: Servers | None = None

    @property
    def servers(self) -> Servers:
        if self._servers is None:
            raise RuntimeError("the servers are not started")
        return self._servers

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Servers:
        """Both at the same time; when one fails, neither is left. Raises what LocalKafka and LocalPostgres raise."""
        if self._servers is not None:
            raise RuntimeError("the servers are started already")
        with ThreadPoolExecutor(2, thread_name_prefix="start") as pool:
            try:
                kafka, postgres = self._kafka_starter(), self._postgres_starter()
                broker = pool.submit(self._timed, f"Kafka {KAFKA_VERSION}", kafka)
                database = pool.submit(self._timed, f"PostgreSQL {POSTGRES_VERSION}", postgres)
                self._servers = Servers(broker.result(), database.result())
            except BaseException:
                self._stop_servers()  # ends the other's start, also on Ctrl-C
                pool.shutdown(wait=True)
                self.stop()
                raise
        return self._servers

    def stop(self) -> None:
        """Both at the same time; the data of a run that is not kept is removed."""
        self._stop_servers()
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)
        self._scratch.clear()
        if self._lock:
            self._lock.close()
        self._containers.clear()
        self.kafka = self.postgres = self._run = self._lock = self._servers = None

    def _stop_servers(self) -> None:
        servers = [server for server in (self.kafka, self.postgres, *self._containers) if server]
        with ThreadPoolExecutor(2, thread_name_prefix="stop") as pool:
            for stopping in [pool.submit(server.stop) for server in servers]:
                stopping.result()

    def _kafka_starter(self) -> Callable[[], str]:
        if address := os.environ.get("SAMBUNG_KAFKA"):
            return lambda: address
        if self._use_containers():
            container = KafkaInContainer()
            self._containers.append(container)
            return container.start
        broker = LocalKafka(self._home() / "kafka", scratch=not self._keep, narrator=self._narrator)
        self.kafka = broker

        def start() -> str:
            ensure_archive(self._narrator)
            broker.start()
            return broker.bootstrap

        return start

    def _postgres_starter(self) -> Callable[[], str]:
        if dsn := os.environ.get("SAMBUNG_POSTGRES"):
            return lambda: dsn
        if self._use_containers():
            container = PostgresInContainer()
            self._containers.append(container)
            return container.start
        database = LocalPostgres(self._postgres_home(), scratch=not self._keep)
        self.postgres = database

        def start() -> str:
            database.start()
            return database.dsn

        return start

    def _timed(self, name: str, starter: Callable[[], str]) -> str:
        began = time.monotonic()
        address = starter()
        self._narrator.say(f"{name} answers at {address} (after {time.monotonic() - began:.1f} s)")
        return address

    def _use_containers(self) -> bool:
        if os.environ.get("SAMBUNG_CONTAINERS") != "1":
            return False
        if self._engine is None:
            self._engine = engine_answers()
            if not self._engine:
                self._narrator.say(
                    "SAMBUNG_CONTAINERS=1, but no Docker engine answers: embedded servers instead"
                )
        return self._engine

    def _home(self) -> Path:
        """The directory of this run, made once."""
        if self._run is None:
            if self._keep:
                self._run = (self._data or DEFAULT_DATA).absolute()
                self._run.mkdir(parents=True, exist_ok=True)
                self._claim(self._run)
            else:
                self._run = self._throwaway(self._data)
        return self._run

    def _claim(self, run: Path) -> None:
        """Hold a lock on kept data as long as this process lives, or until `stop`."""
        self._lock = (run / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataInUse(
                f"another run keeps its data in {run}: stop it, or choose another directory"
            ) from None

    def _postgres_home(self) -> Path:
        """Below the run's directory, unless the account that PostgreSQL needs cannot go there."""
        run = self._home()
        if unprivileged_account() is None or can_be_entered(run):
            return run / "postgres"
        if not self._keep:
            return self._throwaway(None) / "postgres"
        elsewhere = SHARED / "data" / hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
        elsewhere.mkdir(parents=True, exist_ok=True)
        for directory in (elsewhere, *elsewhere.parents[:2]):
            directory.chmod(0o755)
        self._narrator.say(
            f"PostgreSQL, not run as root, cannot enter {run}; its data is kept in {elsewhere}"
        )
        return elsewhere / "postgres"

    def _throwaway(self, below: Path | None) -> Path:
        if below is None:
            made = temporary_directory("sambung-")
        else:
            below.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="run-", dir=below.absolute()))
            made.chmod(0o755)
        self._scratch.append(made)
        return made
