"""This file runs one Apache Kafka broker in KRaft mode from the fetched jars, on the JRE that comes as a Python package."""

import base64
import secrets
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import KafkaNotStarted
from deploy.local.jars import ensure_jars
from deploy.local.java import java, java_environment
from deploy.local.ports import HOST, free_port, is_free
from deploy.local.probe import broker_answers
from deploy.local.process import GuardedProcess, tail
from deploy.local.progress import Narrator

VERSION = "4.3.1"
START_TIMEOUT = 60.0  # seconds; two on an idle machine, more on a busy one or after a crash with much data
LAUNCHES = 4  # the old broker of a crashed run may hold the data or a port for some seconds
PORT_PATIENCE = 3.0  # seconds for a wanted port's last owner to go away
LOOK = 0.03  # seconds between two looks at a starting broker
# Relative to the data directory, where the broker runs: a comma in an absolute path would split it, and a properties file
# holds no more than Latin-1.
LOGS = "log"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
"""
# The last two: a broker that comes back after SIGKILL is refused until the session of its former self has run out, nine
# seconds by default. The controller lives in the same JVM, so a short session fences nobody who is merely slow.


class LocalKafka:
    """A broker on the loopback address whose data, ports and life belong to this object.

    `start` may be called again after `stop` or `kill`: same data, same ports, so clients reconnect by themselves. With
    `scratch` the data directory is removed if this process crashes. One owner calls the verbs; all of them block.
    """

    def __init__(
        self,
        data: Path,
        port: int | None = None,
        *,
        scratch: bool = False,
        narrator: Narrator | None = None,
        java_options: Sequence[str] = (),
    ) -> None:
        self.data = data.absolute()
        self.log = self.data / "server.log"
        self._wanted_port = port
        self._ports: tuple[int, int] | None = None
        self._scratch = scratch
        self._narrator = narrator or Narrator()
        self._java_options = java_options
        self._process: GuardedProcess | None = None
        self._cancelled = threading.Event()

    @property
    def bootstrap(self) -> str:
        """host:port, known once the broker was started and the same ever after."""
        if self._ports is None:
            raise RuntimeError("the broker was never started")
        return f"{HOST}:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """The pid of the JVM itself."""
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Return when clients are answered; raises KafkaNotStarted or JarUnavailable."""
        if self._process is not None and self.running:
            raise RuntimeError(f"the broker runs already, as process {self._process.pid}")
        self._cancelled.clear()
        command = java(ensure_jars(self._narrator, stop=self._cancelled), *self._java_options)
        self.data.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + START_TIMEOUT
        pinned = self._ports is not None or self._wanted_port is not None
        for launch in range(1, LAUNCHES + 1):
            if self._ports is None or (launch > 1 and not pinned):
                self._ports = self._choose_ports()
            self._await_free(self._ports[0])
            self._write_properties(self._ports)
            self._format(command)
            start_of_log = self.log.stat().st_size if self.log.exists() else 0
            self._process = GuardedProcess(
                [*command, "kafka.Kafka", self._properties.name],
                log=self.log,
                scratch=self.data if self._scratch else None,
                env=java_environment(),
            )
            if self._came_up(self._process, self._ports[0], deadline):
                return
            if self._cancelled.is_set() or time.monotonic() >= deadline:
                break
        if self._process:
            self._process.kill()
        raise KafkaNotStarted(
            f"Kafka did not start in {self.data} (launch {launch} of {LAUNCHES}, {START_TIMEOUT:.0f} s). Last lines of "
            f"{self.log}:\n{tail(self.log, start=start_of_log)}"
        )

    def stop(self) -> None:
        """SIGTERM, wait, SIGKILL; safe to call at any time, also while another thread is in `start`."""
        self._cancelled.set()
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL the JVM at once."""
        self._running().kill()

    def suspend(self) -> None:
        """SIGSTOP: the broker hangs with its connections open."""
        self._running().suspend()

    def resume(self) -> None:
        self._running().resume()

    def _running(self) -> GuardedProcess:
        if self._process is None or not self._process.running:
            raise RuntimeError("the broker does not run")
        return self._process

    @property
    def _properties(self) -> Path:
        return self.data / "server.properties"

    def _came_up(self, process: GuardedProcess, port: int, deadline: float) -> bool:
        while process.running and time.monotonic() < deadline and not self._cancelled.is_set():
            if broker_answers(HOST, port):
                return True
            time.sleep(LOOK)
        return False

    def _await_free(self, port: int) -> None:
        """Else another broker on that port would be taken for this one."""
        deadline = time.monotonic() + PORT_PATIENCE
        while not is_free(port):
            if time.monotonic() >= deadline or self._cancelled.wait(LOOK):
                raise KafkaNotStarted(f"port {port} of {HOST} is taken by another process")

    def _choose_ports(self) -> tuple[int, int]:
        """The wanted port or the remembered ones where they are free, else others."""
        port, controller = self._remembered_ports()
        if self._wanted_port is not None:
            port = self._wanted_port
        elif port is None or not is_free(port):
            port = free_port()
        while controller is None or controller == port or not is_free(controller):
            controller = free_port()
        return port, controller

    def _remembered_ports(self) -> tuple[int, int] | tuple[None, None]:
        try:
            port, controller = (self.data / "ports").read_text().split()
            return int(port), int(controller)
        except (FileNotFoundError, ValueError):
            return None, None

    def _write_properties(self, ports: tuple[int, int]) -> None:
        port, controller = ports
        self._properties.write_text(PROPERTIES.format(host=HOST, port=port, controller=controller, logs=LOGS))
        (self.data / "ports").write_text(f"{port} {controller}\n")

    def _format(self, command: list[str]) -> None:
        if (self.data / LOGS / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        # A leading hyphen would be read as an option.
        cluster = "A" + cluster[1:]
        arguments = ["-t", cluster, "-c", self._properties.name, "--standalone", "--ignore-formatted"]
        done = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            cwd=self.data,
            env=java_environment(),
        )
        if done.returncode:
            raise KafkaNotStarted(
                f"formatting {self.data / LOGS} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
