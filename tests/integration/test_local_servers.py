"""This file shows that the embedded broker and database keep what they accepted through every kind of trouble."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import kafka as kafka_module
from deploy.local.errors import KafkaNotStarted, PostgresNotStarted
from deploy.local.kafka import LocalKafka
from deploy.local.ports import HOST, free_port
from deploy.local.postgres import LocalPostgres
from deploy.local.probe import broker_answers

TOPIC = "kept"


@pytest.fixture
def broker(data_directory: Path) -> Iterator[LocalKafka]:
    server = LocalKafka(data_directory / "kafka")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(data_directory: Path) -> Iterator[LocalPostgres]:
    server = LocalPostgres(data_directory / "postgres")
    server.start()
    yield server
    server.stop()


async def produce(bootstrap: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if TOPIC not in await admin.list_topics():
            await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(TOPIC, value)


async def consume(bootstrap: str, count: int) -> list[bytes | None]:
    """The first `count` records of the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, 0)])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def rows(dsn: str, statement: str) -> list[int]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.mark.kafka
async def test_killed_broker_comes_back_at_its_address_with_every_acknowledged_record(
    broker: LocalKafka,
) -> None:
    address = broker.bootstrap
    await produce(address, b"before")
    broker.kill()
    assert not broker.running
    assert not broker_answers(HOST, int(address.split(":")[1]))
    broker.start()
    assert broker.bootstrap == address
    await produce(address, b"after")
    assert await consume(address, 2) == [b"before", b"after"]

    broker.stop()
    successor = LocalKafka(broker.data)
    successor.start()
    try:
        assert successor.bootstrap == address
        assert await consume(address, 2) == [b"before", b"after"]
    finally:
        successor.stop()


@pytest.mark.kafka
def test_suspended_broker_is_silent_until_resumed(broker: LocalKafka) -> None:
    port = int(broker.bootstrap.split(":")[1])
    broker.suspend()
    assert not broker_answers(HOST, port, timeout=0.3)
    broker.resume()
    deadline = time.monotonic() + 20
    while not broker_answers(HOST, port):
        assert time.monotonic() < deadline


@pytest.mark.kafka
async def test_broker_moves_with_its_data_when_its_ports_were_taken(data_directory: Path) -> None:
    wanted = free_port()
    first = LocalKafka(data_directory / "kafka", port=wanted)
    first.start()
    try:
        assert first.bootstrap == f"{HOST}:{wanted}"
        await produce(first.bootstrap, b"kept")
    finally:
        first.stop()
    (first.data / "ports").unlink()
    second = LocalKafka(data_directory / "kafka")
    second.start()
    try:
        assert second.bootstrap != first.bootstrap
        assert await consume(second.bootstrap, 1) == [b"kept"]
    finally:
        second.stop()


@pytest.mark.kafka
def test_broker_does_not_take_a_stranger_on_its_port_for_itself(
    data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_module, "PORT_PATIENCE", 0.1)
    with socket.create_server((HOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        server = LocalKafka(data_directory / "kafka", port=port)
        with pytest.raises(KafkaNotStarted, match=f"port {port} "):
            server.start()
        assert not server.running


@pytest.mark.postgres
async def test_killed_database_comes_back_at_its_address_with_every_committed_row(
    database: LocalPostgres,
) -> None:
    address = database.dsn
    await rows(address, "CREATE TABLE kept (number int)")
    for number in range(5):
        await rows(address, f"INSERT INTO kept VALUES ({number})")
        database.kill()
        assert not database.running
        database.start()
        assert database.dsn == address
    assert await rows(address, "SELECT number FROM kept ORDER BY number") == [0, 1, 2, 3, 4]

    database.stop()
    successor = LocalPostgres(database.data)
    successor.start()
    try:
        assert await rows(successor.dsn, "SELECT count(*) FROM kept") == [5]
    finally:
        successor.stop()


@pytest.mark.postgres
async def test_suspended_database_is_silent_until_resumed(database: LocalPostgres) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        database.suspend()
        answer = asyncio.ensure_future(connection.fetchval("SELECT 42"))
        done, _ = await asyncio.wait({answer}, timeout=0.3)
        assert not done
        database.resume()
        assert await asyncio.wait_for(answer, 10) == 42
    finally:
        await connection.close()


@pytest.mark.postgres
async def test_database_starts_where_paths_are_long_or_hold_commas(data_directory: Path) -> None:
    server = LocalPostgres(data_directory / ("long" * 30) / "with, comma")
    server.start()
    try:
        assert await rows(server.dsn, "SELECT 42") == [42]
        address = server.dsn
        server.stop()
        server.start()
        assert server.dsn == address
        assert await rows(server.dsn, "SELECT 42") == [42]
    finally:
        server.stop()


@pytest.mark.postgres
def test_database_that_cannot_start_says_why(database: LocalPostgres) -> None:
    database.stop()
    (database.data / "cluster" / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(PostgresNotStarted, match="max_connections"):
        database.start()
    assert not database.running
