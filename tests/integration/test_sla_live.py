"""This file proves the live service levels as a process on a real broker: stopped and started again, the same figures."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from deploy.demo.organisation import found
from deploy.demo.processes import Services
from deploy.local.stack import Servers
from libs.contracts.payloads.levels import ServiceLevelMeasured
from libs.flow.publisher import Publisher, first_hand
from libs.flow.tail import Tail, Tailed
from libs.timesource import SystemTime, random_token
from tests.unit.sla.live_story import Told, batch, story

pytestmark = [pytest.mark.kafka]

TIME = SystemTime()
WITHIN = 60.0
NAME = "sla.live"
Key = tuple[str, str]


class Measured:
    """The latest measurement of each queue and channel since this began."""

    def __init__(self) -> None:
        self.latest: dict[Key, ServiceLevelMeasured] = {}
        self.all: list[ServiceLevelMeasured] = []
        self._news = asyncio.Event()

    def take(self, tailed: Tailed) -> None:
        data = tailed.event.data
        self.latest[data.queue, data.channel.value] = data
        self.all.append(data)
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not holds():
                self._news.clear()
                await self._news.wait()


def plain(level: ServiceLevelMeasured) -> dict[str, Any]:
    figures: dict[str, Any] = {"waiting": level.waiting, "oldest": level.oldest_waiting_since}
    for window in level.windows:
        said = window.model_dump(exclude={"seconds", "average_speed_of_answer"})
        figures |= {f"{name}_{window.seconds}": value for name, value in said.items()}
        speed = window.average_speed_of_answer
        figures[f"speed_{window.seconds}"] = None if speed is None else round(speed, 6)
    return figures


def approximately(figures: dict[str, Any]) -> dict[str, Any]:
    """A mean is rounded once here and once there."""
    return {
        k: pytest.approx(v, abs=2e-6) if k.startswith("speed") and v is not None else v
        for k, v in figures.items()
    }


@asynccontextmanager
async def following(kafka: str) -> AsyncIterator[Measured]:
    measured = Measured()
    tail = Tail(kafka, ["service-levels"], measured.take, fetch_wait_ms=50)
    await tail.start(None)
    try:
        yield measured
    finally:
        await tail.stop()


async def publish(publisher: Publisher, told: list[Told]) -> None:
    await publisher.publish(
        [
            first_hand(e, key=e.contact_point_id, source="/test", id=random_token(), at=e.occurred_at)
            for e in told
        ]
    )


def in_own_queues(told: list[Told], suffix: str) -> list[Told]:
    """The same in queues that no other test on this broker knows."""
    return [e.model_copy(update={"queue": f"{e.queue}-{suffix}"}) if hasattr(e, "queue") else e for e in told]


@pytest.fixture
async def services(kafka: str, servers: Servers, tmp_path: Path) -> AsyncIterator[Services]:
    organisation = found(tmp_path, "http://127.0.0.1:9")
    running = Services(servers, organisation.path, tmp_path / "logs", environ={}, names=(NAME,))
    try:
        yield running
    finally:
        await running.stop()


async def test_published_figures_equal_a_batch_computation_before_and_after_a_restart(
    kafka: str, services: Services
) -> None:
    random, suffix = Random(20260302), random_token(3)
    now = datetime.now(UTC)
    told = in_own_queues(
        story(random, conversations=120, start=now - timedelta(minutes=40), span=timedelta(minutes=40)),
        suffix,
    )
    publisher = Publisher(kafka, "test-sla-live")
    early, late = told[: len(told) // 2], told[len(told) // 2 :]

    def settled(measured: Measured, told: list[Told]) -> bool:
        """Each of our queues and channels was told as the batch computes it for the moment that it was told for."""
        ours = {k: level for k, level in measured.latest.items() if k[0].endswith(suffix)}
        if not ours:
            return False
        moments = {level.as_of for level in ours.values()}
        counted = {moment: batch(told, moment) for moment in moments}
        wanted = counted[max(moments)].keys()
        return ours.keys() >= wanted and all(
            plain(ours[key]) == approximately(counted[ours[key].as_of][key]) for key in wanted
        )

    try:
        async with following(kafka) as first:
            await services.start()
            await publish(publisher, early)
            await first.until(lambda: bool([k for k in first.latest if k[0].endswith(suffix)]))
            await services.stop()
        await publish(publisher, late)
        async with following(kafka) as second:
            await services.start()
            await second.until(lambda: settled(second, told))
            # The very first thing said after a start must be right: nothing half read is published.
            ours = [m for m in second.all if m.queue.endswith(suffix)]
            begun = {(m.queue, m.channel.value): m for m in reversed(ours)}
            for key, level in begun.items():
                assert plain(level) == approximately(batch(told, level.as_of)[key])
            assert begun.keys() == batch(told, datetime.now(UTC)).keys()
            services.kill(NAME)
        async with following(kafka) as third:
            await services.start()
            await third.until(lambda: settled(third, told))
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"{services[NAME].url}/metrics")
            assert (
                f'sambung_service_level_waiting{{channel="whatsapp",queue="support-{suffix}"}}' in answer.text
            )
        seconds = [(m.queue, m.channel, m.as_of) for m in third.all]
        assert len(seconds) == len(set(seconds))
    finally:
        await publisher.stop()
