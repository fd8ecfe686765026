"""This file publishes records with acks=all through one idempotent producer, and makes a new one after any failure."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.contracts.envelope import Envelope, encode_headers, encode_value
from libs.contracts.payloads.base import Payload
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.flow.wire import Outgoing
from libs.timesource import SystemTime, TimeSource

log = structlog.get_logger(__name__)

ABORT_SECONDS = 3.0
PAUSE_AFTER_FAILURE = 0.3


class PublishFailed(Exception):
    """Not every record was acknowledged; some may have been written. Publish all again, in the same order."""


class Publisher:
    """One producer for a process. Any failure ends it without flushing: one rejected batch leaves the partition's
    sequence numbers burnt for the whole producer, so everything after it would fail or come out of order."""

    def __init__(
        self, kafka: str, client: str, *, acknowledge_within: float = 8.0, time: TimeSource | None = None
    ) -> None:
        self._kafka, self._client, self._limit = kafka, client, acknowledge_within
        self._time = time or SystemTime()
        self._producer: AIOKafkaProducer | None = None
        self._making = asyncio.Lock()
        self._failed_at = float("-inf")
        self._ending: set[asyncio.Task[None]] = set()
        self.connected = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Returns when every record is acknowledged by all in-sync replicas; they are in order within a partition.

        Raises PublishFailed; which of them were written is then unknown. So it is when the caller is cancelled, but
        the producer, which others share, goes on.
        """
        if not records:
            return
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._limit):
                producer = await self._get()
                waiting = [
                    await producer.send(r.topic, r.value, key=r.key, partition=r.partition, headers=r.headers)
                    for r in records
                ]
                if len(waiting) == 1:
                    await waiting[0]
                else:
                    results = await asyncio.gather(*waiting, return_exceptions=True)
                    for result in results:
                        if isinstance(result, BaseException):
                            raise result
            if producer is not self._producer:
                raise PublishFailed("the producer was given up meanwhile")
        except Exception as fault:
            if producer is not None:
                self._discard(producer)
            raise PublishFailed(f"{type(fault).__name__}: {fault}") from fault

    async def _get(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._making:
            if self._producer is None:
                wait = self._failed_at + PAUSE_AFTER_FAILURE - self._time.monotonic()
                if wait > 0:
                    await self._time.sleep(wait)
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._kafka,
                    client_id=self._client,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_batch_size=262_144,
                    max_request_size=1_048_576,
                    request_timeout_ms=5_000,
                    retry_backoff_ms=100,
                    metadata_max_age_ms=60_000,
                )
                try:
                    async with asyncio.timeout(8):
                        await producer.start()
                except BaseException:
                    self._failed_at = self._time.monotonic()
                    self.connected = False
                    await _abort(producer)
                    raise
                self._producer = producer
                self.connected = True
            return self._producer

    def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            self.connected = False
            self._failed_at = self._time.monotonic()
            task = asyncio.get_running_loop().create_task(_abort(producer))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """End the producer; callers have awaited what they published."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(ABORT_SECONDS):
                    await producer.stop()
            except (TimeoutError, KafkaError, OSError):
                await _abort(producer)
        for task in list(self._ending):
            await asyncio.wait([task], timeout=ABORT_SECONDS)


async def _abort(producer: AIOKafkaProducer) -> None:
    """End a producer without flushing: its own stop() flushes first and can hang for ever on a broken connection."""
    producer._closed = True
    accumulator: Any = producer._message_accumulator
    accumulator._closed = True
    try:
        accumulator.fail_all(KafkaError("producer given up"))
        sender = producer._sender.sender_task
        if sender is not None and not sender.done():
            sender.cancel()
        async with asyncio.timeout(ABORT_SECONDS):
            await producer.client.close()
            if sender is not None:
                await asyncio.wait([sender], timeout=ABORT_SECONDS)
    except Exception as fault:  # whatever is left of it is garbage
        log.debug("producer ended untidily", fault=repr(fault))


def first_hand(
    payload: Payload,
    *,
    key: str,
    source: str,
    id: str,
    at: datetime,
    correlation: str = "",
    causation: str = "",
    workspace: str = "",
    traceparent: str = "",
    recorded_at: datetime | None = None,
) -> Outgoing:
    """One record for a first-hand topic (`inbound`, commands): named by (source, id), by which readers dedupe it."""
    topic = topic_of_type()[payload.type]
    raw_key = key.encode()
    envelope = Envelope(
        id=id,
        source=source,
        type=payload.type,
        time=at,
        subject=key,
        correlation_id=correlation,
        causation_id=causation,
        workspace=workspace,
        recorded_at=recorded_at or at,
        traceparent=traceparent,
    )
    return Outgoing(
        topic.name,
        partition_of(raw_key, topic_map().partitions),
        raw_key,
        encode_value(payload),
        encode_headers(envelope),
    )
