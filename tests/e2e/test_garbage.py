"""This file proves that records of garbage on every topic cost nothing but themselves, in the whole running system."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from deploy.demo.run import World
from libs.contracts.envelope import Envelope, encode_headers
from libs.contracts.topics import Topic, topic_map
from libs.contracts.vocabulary import Channel
from tests.e2e.person import Person
from tests.e2e.test_story import writes
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(120)]

KEY = b"of-nobody"
SCHEMAS = {
    "conversations": "router",
    "assignment": "router",
    "sla": "sla",
    "history": "history",
    "desk": "desk",
    "delivery": "delivery",
}
"""Flow -> the schema that holds its dead letters."""
TAILED = ("service-levels", "timeline")
"""Read by screens and streams alone, which keep nothing; what is no event there is passed over."""
READERS = {
    (flow, name)
    for name, topic in topic_map().topics.items()
    for flow in topic.consumers
    if flow in SCHEMAS and name not in TAILED
}


NO_EVENTS = 3
"""Records of a partition that are no events; the others are events of unknown types or with bodies of the wrong shape."""


def garbage(topic: Topic, partition: int) -> list[tuple[bytes | None, list[tuple[str, bytes]]]]:
    """(value, headers)"""
    now = datetime.now(UTC)
    envelope = Envelope(id=f"{partition}", source="/nobody", type=topic.types[0], time=now, recorded_at=now)
    known = encode_headers(envelope)
    return [
        (b"\xff\x00garbage", []),
        (None, []),
        (b"{}", [(name, b"yesterday" if name == "ce_time" else value) for name, value in known]),
        (b"[" * 100_000, known),
        (b"{}", encode_headers(replace(envelope, type="nonsense.happened.v9"))),
    ]


async def pollute(system: World) -> None:
    """Every kind on every partition of every topic."""
    producer = AIOKafkaProducer(bootstrap_servers=system.servers.kafka)
    await producer.start()
    for name, topic in topic_map().topics.items():
        for partition in range(topic_map().partitions):
            for value, headers in garbage(topic, partition):
                await producer.send(name, value, key=KEY, partition=partition, headers=headers)
    await producer.stop()


async def dead_letters(system: World, reason: str) -> dict[tuple[str, str], int]:
    """How many each flow keeps of each topic."""
    connection = await asyncpg.connect(system.servers.postgres)
    found: dict[tuple[str, str], int] = {}
    for schema in set(SCHEMAS.values()):
        rows = await connection.fetch(
            f"select flow, topic, count(*) from {schema}.dead_letter where reason = $1 group by 1, 2", reason
        )
        found |= {(flow, topic): count for flow, topic, count in rows}
    await connection.close()
    return found


async def test_garbage_on_every_topic_is_kept_with_its_reason_and_messages_go_their_way(
    system: World,
) -> None:
    await pollute(system)
    async with Person(system, "agen-01") as agent:
        writes(system, Channel.WHATSAPP, "Apakah masih buka?")
        conversation_id, _ = await agent.take_conversation("Apakah masih buka?")
        await agent.ask("reply", conversation_id=conversation_id, text="Masih, sampai jam enam.")
        await until(
            "the provider has the answer",
            lambda: any(one.text == "Masih, sampai jam enam." for one in system.ledger.outgoing.values()),
        )
        await agent.ask("resolve", conversation_id=conversation_id)
        assert agent.screen.faults == []
    expected = dict.fromkeys(READERS, NO_EVENTS * topic_map().partitions)
    found: dict[tuple[str, str], int] = {}
    deadline = time.monotonic() + 15
    while found != expected and time.monotonic() < deadline:
        found = await dead_letters(system, "not_an_event")
    assert found == expected
    misshapen = await dead_letters(system, "bad_payload")
    assert misshapen["conversations", "inbound"] == topic_map().partitions
    async with httpx.AsyncClient(trust_env=False) as client:
        for service in system.services.all:
            assert service.running
            assert (await client.get(f"{service.url}/readyz")).status_code == 200
            assert 'status="500"' not in (await client.get(f"{service.url}/metrics")).text
