"""This file is a steady stream of customers' messages straight onto `inbound`, evenly over all lanes."""

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime

from libs.contracts.ids import InboxId, contact_point_id
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.inbound import MessageIngested
from libs.contracts.topics import partition_of, topic_map
from libs.contracts.vocabulary import Channel, ContentKind
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.flow.wire import Outgoing

PER_LANE = 10
"""Contact points on each lane."""
AT_ONCE = 200


class Load:
    """Runs between `start` and `stop`; what the broker does not take is published again."""

    def __init__(self, kafka: str, inbox: str, rate: float) -> None:
        self._publisher, self._inbox, self._rate = Publisher(kafka, "load"), inbox, rate
        self._points = points(inbox, PER_LANE)
        self._mark = secrets.token_hex(3)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._publisher.stop()

    async def _run(self) -> None:
        number, began = 0, time.monotonic()
        while True:
            due = int((time.monotonic() - began) * self._rate)
            batch = [self._message(n) for n in range(number, min(due, number + AT_ONCE))]
            with suppress(PublishFailed):
                await self._publisher.publish(batch)
                number += len(batch)
            await asyncio.sleep(0.01)

    def _message(self, number: int) -> Outgoing:
        address, point = self._points[number % len(self._points)]
        name, now = f"wamid.{self._mark}-{number}", datetime.now(UTC)
        item = MessageIngested(
            item_id=name,
            inbox_id=self._inbox,
            channel=Channel.WHATSAPP,
            address=address,
            contact_point_id=point,
            occurred_at=now,
            provider_message_id=name,
            content=Content(kind=ContentKind.TEXT, text="halo"),
        )
        return first_hand(item, key=point, source=f"/ingest/{self._inbox}", id=name, at=now)


def points(inbox: str, each: int) -> list[tuple[str, str]]:
    """(address, contact point): so many on each partition, the partitions in turn."""
    lanes: dict[int, list[tuple[str, str]]] = {i: [] for i in range(topic_map().partitions)}
    number = 0
    while any(len(found) < each for found in lanes.values()):
        address = f"62813{number:08}"
        point = contact_point_id(InboxId(inbox), address)
        lane = lanes[partition_of(point.encode(), len(lanes))]
        if len(lane) < each:
            lane.append((address, point))
        number += 1
    return [lane[n] for n in range(each) for lane in lanes.values()]
