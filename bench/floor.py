"""This file is the floor: the chain's hops with nothing in them, in the chain's three processes.

    POST ─▶ ingest ─▶ Kafka ─▶ worker: transaction ─▶ Kafka ─▶ transaction ─▶ Kafka ─▶ screen ─▶ WebSocket

`python -m bench.floor ingest|worker|screen PORT`, with SAMBUNG_KAFKA and SAMBUNG_POSTGRES. The worker keeps its position in
the one transaction of each batch. `screen` shows what comes after the first transaction (`two hops`) and after the second.
"""

import asyncio
import json
import os
import sys
from typing import Any

import asyncpg
import uvicorn
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from libs.contracts.topics import partition_of, topic_map

TOPICS = ("floor-in", "floor-one", "floor-two")
FETCH_WAIT_MS = 20
KAFKA, POSTGRES = os.environ.get("SAMBUNG_KAFKA", ""), os.environ.get("SAMBUNG_POSTGRES", "")


async def prepare(kafka: str, postgres: str) -> None:
    """Topics and the table of positions, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, topic_map().partitions, 1) for name in TOPICS])
    await admin.close()
    connection = await asyncpg.connect(postgres)
    await connection.execute("create schema if not exists floor")
    await connection.execute(
        'create table if not exists floor."position" (topic text, partition int, next_offset bigint, primary key (topic, partition))'
    )
    await connection.close()


async def producer() -> AIOKafkaProducer:
    made = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", enable_idempotence=True, linger_ms=0)
    await made.start()
    return made


async def consumer(*topics: str) -> AIOKafkaConsumer:
    made = AIOKafkaConsumer(
        bootstrap_servers=KAFKA, enable_auto_commit=False, fetch_max_wait_ms=FETCH_WAIT_MS
    )
    await made.start()
    tps = [TopicPartition(topic, i) for topic in topics for i in range(topic_map().partitions)]
    made.assign(tps)
    await made.seek_to_end(*tps)
    return made


def serve(app: Any, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, lifespan="off"
    )
    return uvicorn.Server(config)


async def ingest(port: int) -> None:
    """A raw ASGI POST that answers when the broker has acknowledged."""
    out = await producer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["method"] == "POST":
            key = scope["path"].rpartition("/")[2].encode()
            partition = partition_of(key, topic_map().partitions)
            await (await out.send("floor-in", body, key=key, partition=partition))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    await serve(app, port).serve()


async def worker(port: int) -> None:
    """Two hops in one process, as the router's two flows are."""
    pool = await asyncpg.create_pool(POSTGRES, min_size=2, max_size=4, server_settings={"jit": "off"})
    out = await producer()

    async def hop(source: str, target: str) -> None:
        taken = await consumer(source)
        while True:
            batches: dict[Any, list[Any]] = await taken.getmany(timeout_ms=200, max_records=2000)
            if not batches:
                continue
            partitions = [tp.partition for tp in batches]
            offsets = [records[-1].offset + 1 for records in batches.values()]
            await pool.execute(
                'insert into floor."position" select $1, u.p, u.o from unnest($2::int[], $3::bigint[]) u(p, o) '
                "on conflict (topic, partition) do update set next_offset = excluded.next_offset",
                source, partitions, offsets,
            )  # fmt: skip
            sent = [
                await out.send(target, record.value, key=record.key, partition=record.partition)
                for records in batches.values()
                for record in records
            ]
            await asyncio.gather(*sent)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    await asyncio.gather(
        hop("floor-in", "floor-one"), hop("floor-one", "floor-two"), serve(app, port).serve()
    )


async def screen(port: int) -> None:
    """Sends every record to every socket, as a frame of JSON."""
    taken = await consumer("floor-one", "floor-two")
    sockets: set[asyncio.Queue[str]] = set()

    async def follow() -> None:
        while True:
            batches: dict[Any, list[Any]] = await taken.getmany(timeout_ms=200, max_records=2000)
            for tp, records in batches.items():
                for record in records:
                    frame = json.dumps(
                        {
                            "hops": 2 if tp.topic == "floor-one" else 3,
                            "key": record.key.decode(),
                            "body": json.loads(record.value),
                        }
                    )
                    for queue in sockets:
                        queue.put_nowait(frame)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue[str] = asyncio.Queue()
        sockets.add(queue)
        try:
            while True:
                await send({"type": "websocket.send", "text": await queue.get()})
        finally:
            sockets.discard(queue)

    await asyncio.gather(follow(), serve(app, port).serve())


if __name__ == "__main__":
    uvloop.run({"ingest": ingest, "worker": worker, "screen": screen}[sys.argv[1]](int(sys.argv[2])))
