"""This file proves on a real broker that a 2xx is on the log, that nothing else is answered 2xx, and that answers reach visitors."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.kafka import LocalKafka
from deploy.local.ports import HOST, free_port
from libs.contracts.envelope import Event, decode
from libs.contracts.ids import InboxId, contact_point_id
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.conversations import MessageRequested
from libs.contracts.payloads.inbound import Item, ReceiptIngested
from libs.contracts.topics import partition_of, topic_map
from libs.contracts.vocabulary import Channel, ContentKind
from libs.flow.publisher import Publisher, first_hand
from libs.flow.tail import Tail
from libs.flow.topics import create
from libs.timesource import SystemTime
from services.ingest.visitors.feed import VisitorFeed
from tests.unit.ingest.application import Ingest, encoded, listening, signature
from tests.unit.ingest.test_visitors import chatting, session

pytestmark = pytest.mark.kafka

WITHIN = 20.0


@asynccontextmanager
async def serving(bootstrap: str, *, ack_within: float = 3.0) -> AsyncIterator[Ingest]:
    """The application on a real publisher, with a tail of `outbound` for its visitors."""
    time, feed = SystemTime(), VisitorFeed(100, 20)
    publisher = Publisher(bootstrap, "test-ingest", time=time)
    tail = Tail(bootstrap, ["outbound"], feed.on_event, time=time)
    following = asyncio.create_task(tail.start(timedelta(minutes=15)))
    try:
        async with (
            listening(publisher, time, feed, ack_within) as (address, _),
            httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as http,
        ):
            yield Ingest(feed, http, address)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await tail.stop()
        await publisher.stop()


async def log_of(bootstrap: str, topic: str) -> list[tuple[int, Event[Item]]]:
    """Everything on a topic: partition and event."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(topic_map().partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        found: list[tuple[int, Event[Item]]] = []
        async with asyncio.timeout(WITHIN):
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                    found += [(tp.partition, decode(r.key, r.value, r.headers)) for r in records]  # type: ignore[misc]
        return found
    finally:
        await consumer.stop()


def custom(item_id: str, address: str) -> bytes:
    return encoded({"items": [{"id": item_id, "from": {"address": address}, "text": f"halo {item_id}"}]})


def now_signed(body: bytes) -> dict[str, str]:
    return signature(Channel.CUSTOM, body, int(SystemTime().now().timestamp()))


async def post(service: Ingest, item_id: str, address: str = "a") -> int:
    body = custom(item_id, address)
    return (await service.post("custom", body, **now_signed(body))).status_code


async def test_every_2xx_is_on_the_log_once_per_call_in_the_partition_of_its_contact_point(
    kafka: str,
) -> None:
    ids = [f"log-{number}" for number in range(200)]
    async with serving(kafka) as service:
        answers = await asyncio.gather(*[post(service, name, f"address {name}") for name in ids])
    assert answers == [200] * len(ids)
    found = [
        (part, event) for part, event in await log_of(kafka, "inbound") if event.data.item_id in set(ids)
    ]
    assert sorted(event.envelope.id for _, event in found) == sorted(ids)
    for partition, event in found:
        assert event.key == event.data.contact_point_id
        assert event.key == contact_point_id(InboxId("custom"), f"address {event.envelope.id}")
        assert partition == partition_of(event.key.encode(), topic_map().partitions)


async def test_calls_of_one_customer_one_after_another_stay_in_order(kafka: str) -> None:
    ids = [f"order-{number:03}" for number in range(100)]
    async with serving(kafka) as service:
        for name in ids:
            assert await post(service, name, "one customer") == 200
    found = [
        event.envelope.id
        for _, event in await log_of(kafka, "inbound")
        if event.envelope.id.startswith("order-")
    ]
    assert found == ids


async def test_while_the_broker_cannot_be_reached_calls_are_503_within_the_limit() -> None:
    time = SystemTime()
    async with serving(f"{HOST}:{free_port()}", ack_within=0.5) as service:
        began = time.monotonic()
        body = custom("nowhere", "a")
        answers = await asyncio.gather(*[service.post("custom", body, **now_signed(body)) for _ in range(20)])
        assert time.monotonic() - began < 3
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)


@dataclass
class Callers:
    """A stream of calls, each with an id of its own, and what each was answered."""

    service: Ingest
    answers: dict[str, int] = field(default_factory=dict)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, caller: int) -> None:
        number = 0
        while not self.stopped.is_set():
            name = f"outage-{caller}-{number}"
            self.answers[name] = await post(self.service, name, f"caller {caller}")
            number += 1

    def count(self, status: int) -> int:
        return sum(answer == status for answer in self.answers.values())

    async def until(self, status: int, more: int) -> None:
        """Wait until so many more calls have been answered with a status."""
        wanted = self.count(status) + more
        async with asyncio.timeout(60):
            while self.count(status) < wanted:
                await asyncio.sleep(0.02)


@pytest.fixture
def own_broker(data_directory: Path) -> Iterator[LocalKafka]:
    """A broker that this test may kill."""
    broker = LocalKafka(data_directory / "kafka")
    broker.start()
    yield broker
    broker.stop()


async def test_a_broker_killed_under_load_costs_no_call_that_was_answered_2xx(own_broker: LocalKafka) -> None:
    await create(own_broker.bootstrap)
    async with serving(own_broker.bootstrap, ack_within=1.0) as service:
        callers = Callers(service)
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(callers.call(number))
            await callers.until(200, 100)
            await asyncio.to_thread(own_broker.kill)
            await callers.until(503, 8)
            await asyncio.to_thread(own_broker.start)
            await callers.until(200, 100)
            callers.stopped.set()
    assert set(callers.answers.values()) == {200, 503}
    on_log = {event.envelope.id for _, event in await log_of(own_broker.bootstrap, "inbound")}
    assert {name for name, answer in callers.answers.items() if answer == 200} <= on_log


def answer_to(visitor: str, message_id: str, text: str) -> MessageRequested:
    return MessageRequested(
        message_id=message_id,
        conversation_id="cnv_1",
        contact_point_id=contact_point_id(InboxId("webchat"), visitor),
        inbox_id="webchat",
        channel=Channel.WEBCHAT,
        address=visitor,
        content=Content(kind=ContentKind.TEXT, text=text),
        requested_at=SystemTime().now(),
    )


async def test_an_answer_given_while_the_service_was_down_is_shown_when_the_visitor_is_back(
    kafka: str,
) -> None:
    async with serving(kafka) as service:
        who = await session(service)
    answer, publisher = answer_to(who["visitor"], "msg_meanwhile", "Masih di sana?"), Publisher(kafka, "test")
    await publisher.publish(
        [first_hand(answer, key=answer.contact_point_id, source="/test", id="1", at=answer.requested_at)]
    )
    await publisher.stop()
    async with serving(kafka) as service, chatting(service, who) as visitor:
        async with asyncio.timeout(WITHIN):
            assert (await visitor.next())["id"] == "msg_meanwhile"


async def test_an_answer_on_outbound_is_shown_to_its_visitor_and_its_receipt_comes_back(kafka: str) -> None:
    async with serving(kafka) as service:
        who = await session(service)
        answer = answer_to(who["visitor"], "msg_integration", "Selamat pagi")
        point = answer.contact_point_id
        async with chatting(service, who) as visitor:
            await visitor.send(kind="message", id="c1", text="halo")
            assert await visitor.next() == {"kind": "ack", "id": "c1"}
            publisher = Publisher(kafka, "test-outbound")
            record = first_hand(answer, key=point, source="/test", id="1", at=answer.requested_at)
            await publisher.publish([record])
            assert (await visitor.next())["content"]["text"] == "Selamat pagi"
            await visitor.send(kind="receipt", message_id="msg_integration", status="delivered")
            await visitor.send(kind="ping")
            assert await visitor.next() == {"kind": "pong"}
            await publisher.stop()
    receipts = [
        event.data for _, event in await log_of(kafka, "inbound") if isinstance(event.data, ReceiptIngested)
    ]
    assert [(r.correlation, r.contact_point_id) for r in receipts if r.address == who["visitor"]] == [
        ("msg_integration", point)
    ]


WORKSPACE = """\
id: test
inboxes:
  custom: {channel: custom, queue: q, credentials: {signing_key: "env:KEY"}}
  webchat: {channel: webchat, queue: q, credentials: {signing_key: "env:KEY"}}
queues: {q: {pool: p}}
pools: {p: {}}
agents: {}
"""


async def ready(address: str, process: Process) -> None:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http, asyncio.timeout(WITHIN):
        while True:
            assert process.returncode is None, "the service ended while it started"
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def test_the_service_runs_as_a_process_without_a_database(kafka: str, data_directory: Path) -> None:
    (data_directory / "workspace.yaml").write_text(WORKSPACE)
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAMBUNG_")} | {
        "SAMBUNG_KAFKA": kafka,
        "SAMBUNG_WORKSPACE": str(data_directory / "workspace.yaml"),
        "SAMBUNG_PORT": str(port),
        "KEY": "custom signing key, 32 bytes or more",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ingest", env=environment, stderr=PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        address = f"http://{HOST}:{port}"
        await ready(address, process)
        body = custom("process-1", "a")
        async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
            answer = await http.post("/v1/inboxes/custom/webhook", content=body, headers=now_signed(body))
            assert (answer.status_code, json.loads(answer.content)["accepted"]) == (200, 1)
            figures = (await http.get("/metrics")).text
            assert 'sambung_ingest_items_total{inbox="custom",kind="message"} 1.0' in figures
            assert (await http.post("/v1/inboxes/webchat/visitor/session")).status_code == 200
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert "process-1" in {event.envelope.id for _, event in await log_of(kafka, "inbound")}
