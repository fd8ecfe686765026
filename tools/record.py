"""This file writes topics as they are on the log into a file: `python -m tools.record conversations assignments --out FILE.jsonl.gz`.

A line a record, in the order of each partition: {"topic", "partition", "at": the broker's milliseconds, "key", "value",
"headers": [[name, text], …]}. `read` gives them back; the tests run over such files. SAMBUNG_KAFKA names the broker.
"""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.contracts.topics import topic_map
from libs.flow.wire import Incoming


def line(record: Any) -> str:
    found = {
        "topic": record.topic,
        "partition": record.partition,
        "at": record.timestamp,
        "key": record.key.decode(),
        "value": record.value.decode(),
        "headers": [[name, value.decode()] for name, value in record.headers],
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n"


def read(path: Path) -> Iterator[Incoming]:
    """The records of a file; their offsets are to be given anew."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for text in lines:
            found = json.loads(text)
            headers = [(name, value.encode()) for name, value in found["headers"]]
            yield Incoming(
                found["topic"], found["partition"], -1, found["at"], found["key"].encode(),
                found["value"].encode(), headers,
            )  # fmt: skip


async def record(kafka: str, topics: list[str], out: Path) -> int:
    """Write what the logs hold now. Returns how many records that is. Raises KafkaError where the broker is away."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    count = 0
    try:
        with gzip.GzipFile(out, "wb", mtime=0) as file:  # the same log gives the same bytes
            for slot in [TopicPartition(topic, i) for topic in topics for i in range(topic_map().partitions)]:
                end = (await consumer.end_offsets([slot]))[slot]
                consumer.assign([slot])
                await consumer.seek_to_beginning(slot)
                while await consumer.position(slot) < end:
                    for records in (await consumer.getmany(slot, timeout_ms=1000)).values():
                        file.writelines(line(one).encode() for one in records)
                        count += len(records)
    finally:
        await consumer.stop()
    return count


def main(
    topics: Annotated[list[str], typer.Argument(help="of the map of topics")],
    out: Annotated[Path, typer.Option(help="the file, .jsonl.gz")],
    kafka: Annotated[str, typer.Option(envvar="SAMBUNG_KAFKA", help="host:port of the broker")],
) -> None:
    """Record topics."""
    print(f"{asyncio.run(record(kafka, topics, out))} records in {out}")


if __name__ == "__main__":
    typer.run(main)
