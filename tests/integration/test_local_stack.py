"""This file shows which servers a stack chooses, what it keeps, and that it leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.local import stack as stack_module
from deploy.local.containers import kafka_environment
from deploy.local.errors import DataInUse, KafkaNotStarted
from deploy.local.kafka import LocalKafka
from deploy.local.postgres import LocalPostgres
from deploy.local.stack import LocalStack, Servers
from tests.integration.test_local_guard import gone, until

ROOT = Path(__file__).parents[2]
STARTER = """
import sys
from pathlib import Path
from deploy.local.stack import LocalStack
stack = LocalStack(Path(sys.argv[1]))
stack.start()
print(stack.kafka.pid, stack.postgres.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAMBUNG_KAFKA", "SAMBUNG_POSTGRES", "SAMBUNG_CONTAINERS"):
        monkeypatch.delenv(name, raising=False)


async def execute(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.kafka
@pytest.mark.postgres
async def test_kept_data_is_there_in_the_next_run(data_directory: Path) -> None:
    lines: list[str] = []
    with LocalStack(data_directory, keep=True, progress=lines.append) as stack:
        first = stack.servers
        with pytest.raises(DataInUse):
            LocalStack(data_directory, keep=True).start()
        await execute(first.postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert any(first.kafka in line for line in lines)
    with LocalStack(data_directory, keep=True) as stack:
        assert stack.servers == first
        assert await execute(stack.servers.postgres, "SELECT answer FROM kept") == 42


@pytest.mark.kafka
@pytest.mark.postgres
def test_starter_killed_at_once_leaves_no_server_and_no_data(data_directory: Path) -> None:
    bystander = data_directory / "bystander"
    bystander.touch()
    started = [sys.executable, "-c", STARTER, str(data_directory)]
    with subprocess.Popen(
        started, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        family = [*servers, *(child for server in servers for child in server.children(recursive=True))]
        assert {server.name() for server in servers} == {"java", "postgres"}
        process.kill()
        assert all(gone(each) for each in family)
    assert until(lambda: list(data_directory.iterdir()) == [bystander])


def test_servers_of_the_user_are_used_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, data_directory: Path
) -> None:
    monkeypatch.setenv("SAMBUNG_KAFKA", "broker.example:9092")
    monkeypatch.setenv("SAMBUNG_POSTGRES", "postgresql://db.example/x")
    with LocalStack(data_directory) as stack:
        assert stack.servers == Servers("broker.example:9092", "postgresql://db.example/x")
        assert (stack.kafka, stack.postgres) == (None, None)
        assert list(data_directory.iterdir()) == []


@pytest.mark.postgres
def test_one_server_of_the_user_goes_with_one_embedded(
    monkeypatch: pytest.MonkeyPatch, data_directory: Path
) -> None:
    monkeypatch.setenv("SAMBUNG_KAFKA", "broker.example:9092")
    with LocalStack(data_directory) as stack:
        assert stack.servers.kafka == "broker.example:9092"
        assert stack.postgres
        assert stack.postgres.running
    assert list(data_directory.iterdir()) == []


class Container:
    """Stands for a container: counts, answers at once."""

    running = 0

    def start(self) -> str:
        Container.running += 1
        return "container.example"

    def stop(self) -> None:
        Container.running -= 1


def test_one_switch_uses_containers_where_an_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBUNG_CONTAINERS", "1")
    monkeypatch.setattr(stack_module, "engine_answers", lambda: True)
    monkeypatch.setattr(stack_module, "KafkaInContainer", Container)
    monkeypatch.setattr(stack_module, "PostgresInContainer", Container)
    with LocalStack() as stack:
        assert stack.servers == Servers("container.example", "container.example")
        assert Container.running == 2
        assert (stack.kafka, stack.postgres) == (None, None)
    assert Container.running == 0


@pytest.mark.postgres
def test_containers_without_an_engine_become_embedded_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBUNG_CONTAINERS", "1")
    monkeypatch.setattr(stack_module, "engine_answers", lambda: False)
    monkeypatch.setattr(stack_module, "ensure_archive", lambda _: None)
    monkeypatch.setattr(LocalKafka, "start", lambda _: None)
    monkeypatch.setattr(LocalKafka, "bootstrap", "broker.example:9092")
    lines: list[str] = []
    with LocalStack(progress=lines.append) as stack:
        assert stack.postgres
        assert stack.postgres.running
    assert len([line for line in lines if "no Docker engine answers" in line]) == 1


@pytest.mark.postgres
def test_failure_of_one_server_leaves_neither_the_other_nor_data(
    monkeypatch: pytest.MonkeyPatch, data_directory: Path
) -> None:
    def fail(_: LocalKafka) -> None:
        raise KafkaNotStarted("on purpose")

    made: list[LocalPostgres] = []
    start = LocalPostgres.start

    def remember(server: LocalPostgres) -> None:
        made.append(server)
        start(server)

    monkeypatch.setattr(stack_module, "ensure_archive", lambda _: None)
    monkeypatch.setattr(LocalKafka, "start", fail)
    monkeypatch.setattr(LocalPostgres, "start", remember)
    with pytest.raises(KafkaNotStarted, match="on purpose"):
        LocalStack(data_directory).start()
    assert [server.running for server in made] == [False]
    assert list(data_directory.iterdir()) == []


def test_container_gets_the_properties_of_the_embedded_broker_on_its_own_addresses() -> None:
    environment = kafka_environment("engine.example", 29_092)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://engine.example:29092"
    assert environment["KAFKA_LISTENERS"] == "PLAINTEXT://:29092,CONTROLLER://:9093"
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@localhost:9093"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert "KAFKA_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS" not in environment
