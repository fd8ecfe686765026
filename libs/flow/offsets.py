"""This file asks the broker where its logs begin and end, and tells it how far a group has read, for lag displays."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

# On a fresh broker the coordinator of a group comes up a moment later; nothing of ours waits for it.
logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)

log = structlog.get_logger(__name__)

Slot = tuple[str, int]


class Offsets:
    """A consumer that never consumes. Methods raise OSError where the broker is away."""

    def __init__(self, kafka: str, client: str, group: str | None, slots: Sequence[Slot]) -> None:
        self._kafka, self._client, self._group = kafka, client, group
        self._slots = [TopicPartition(*slot) for slot in slots]
        self._consumer: AIOKafkaConsumer | None = None
        self._making = asyncio.Lock()

    async def range(self, slots: Sequence[Slot]) -> tuple[dict[Slot, int], dict[Slot, int]]:
        """First offsets and end offsets of the logs."""
        tps = [TopicPartition(*slot) for slot in slots]
        async with self._asking() as consumer:
            starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        return {tuple(tp): o for tp, o in starts.items()}, {tuple(tp): o for tp, o in ends.items()}

    async def since(self, slots: Sequence[Slot], moment: datetime) -> dict[Slot, int]:
        """Of each log that has records of that moment or later, the offset of the first."""
        milliseconds = int(moment.timestamp() * 1000)
        async with self._asking() as consumer:
            found = await consumer.offsets_for_times({TopicPartition(*s): milliseconds for s in slots})
        return {tuple(tp): first.offset for tp, first in found.items() if first is not None}

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaConsumer]:
        try:
            async with asyncio.timeout(8):
                yield await self._get()
        except Exception as fault:
            raise OSError(f"the broker does not tell its offsets: {fault!r}") from fault

    async def commit(self, done: Mapping[Slot, int]) -> None:
        """Best effort: positions are in Postgres, this only shows them to Kafka's own tools."""
        try:
            async with asyncio.timeout(5):
                consumer = await self._get()
                await consumer.commit({TopicPartition(*slot): offset for slot, offset in done.items()})
        except Exception as fault:
            log.debug("offsets were not committed", client=self._client, fault=repr(fault)[:200])

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer)

    async def _get(self) -> AIOKafkaConsumer:
        async with self._making:
            if self._consumer is None:
                fresh = AIOKafkaConsumer(
                    bootstrap_servers=self._kafka,
                    client_id=self._client,
                    group_id=self._group,
                    enable_auto_commit=False,
                    request_timeout_ms=7_000,
                    metadata_max_age_ms=30_000,
                )
                try:
                    await fresh.start()
                except BaseException:
                    await _close(fresh)
                    raise
                if self._group is not None:
                    fresh.assign(self._slots)
                    for tp in self._slots:
                        fresh.pause(tp)
                        fresh.seek(tp, 0)
                self._consumer = fresh
            return self._consumer


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(3):
            await consumer.stop()
    except Exception as fault:  # what is left of it is garbage
        log.debug("ended untidily", fault=repr(fault)[:200])
