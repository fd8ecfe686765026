"""This file starts the same broker and database as containers, for machines where a Docker engine is the usual way."""

import time

from deploy.local.errors import KafkaNotStarted
from deploy.local.kafka import PROPERTIES, START_TIMEOUT, VERSION
from deploy.local.ports import free_port
from deploy.local.postgres import INITDB, SETTINGS
from deploy.local.postgres import VERSION as POSTGRES_VERSION
from deploy.local.probe import broker_answers

KAFKA_IMAGE = f"apache/kafka:{VERSION}"
POSTGRES_IMAGE = f"postgres:{POSTGRES_VERSION}"
CONTROLLER_PORT = 9093


def engine_answers() -> bool:
    """Whether a Docker engine is there, whatever DOCKER_HOST says about where."""
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import, and only wanted where asked for
    from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=3)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


def kafka_environment(host: str, port: int) -> dict[str, str]:
    """The embedded broker's properties in the form that the image takes: KAFKA_ and upper case, a dot is an underscore."""
    text = PROPERTIES.format(host=host, port=port, controller=CONTROLLER_PORT, logs="/var/lib/kafka/data")
    properties = dict(line.split("=", 1) for line in text.splitlines())
    # The image formats its storage for a fixed quorum; inside, every interface is listened on.
    del properties["controller.quorum.bootstrap.servers"]
    properties["controller.quorum.voters"] = f"1@localhost:{CONTROLLER_PORT}"
    properties["listeners"] = f"PLAINTEXT://:{port},CONTROLLER://:{CONTROLLER_PORT}"
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


class KafkaInContainer:
    """A broker on one published port that is the same inside and outside, so that clients are told where they came from."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        self._container = DockerContainer(KAFKA_IMAGE)

    def start(self) -> str:
        port = free_port()
        host = self._container.get_container_host_ip()
        for name, value in kafka_environment(host, port).items():
            self._container.with_env(name, value)
        self._container.with_bind_ports(port, port).start()
        deadline = time.monotonic() + START_TIMEOUT
        while not broker_answers(host, port):
            if time.monotonic() >= deadline:
                out, errors = self._container.get_logs()
                self.stop()
                raise KafkaNotStarted(
                    f"{KAFKA_IMAGE} did not start:\n{(out + errors).decode(errors='replace')[-3000:]}"
                )
            time.sleep(0.2)
        return f"{host}:{port}"

    def stop(self) -> None:
        self._container.stop()


class PostgresInContainer:
    """A database with the settings of the embedded one, on a TCP port."""

    def __init__(self) -> None:
        from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

        self._container = PostgresContainer(
            POSTGRES_IMAGE, username="postgres", dbname="postgres", driver=None
        )

    def start(self) -> str:
        settings = {name: value for name, value in SETTINGS.items() if name != "listen_addresses"}
        self._container.with_env("POSTGRES_INITDB_ARGS", " ".join(INITDB))
        self._container.with_command(["postgres", *(f"--{name}={value}" for name, value in settings.items())])
        self._container.start()
        return str(self._container.get_connection_url())

    def stop(self) -> None:
        self._container.stop()
