"""This file proves that the live service levels reach a supervisor's screen over a real broker and a real WebSocket."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.levels import ServiceLevelMeasured, WindowLevel
from libs.contracts.vocabulary import Channel
from libs.flow.publisher import Publisher, first_hand
from libs.service.auth import Role
from tests.integration.test_desk import TIME, Desk, Wire, desk_process, own_schema

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

SUPERVISOR: dict[str, Any] = {"role": Role.SUPERVISOR, "scope": "pool"}


@pytest.fixture
async def desk(kafka: str, postgres_dsn: str) -> AsyncIterator[Desk]:
    async with own_schema(postgres_dsn) as name, desk_process(kafka, postgres_dsn, name) as running:
        yield running


@pytest.fixture
async def live(kafka: str) -> AsyncIterator["Live"]:
    publisher = Publisher(kafka, "test-levels")
    yield Live(publisher)
    await publisher.stop()


class Live:
    """Says what sla.live would say. What other tests said before is not counted as told."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.begun_at = TIME.now()

    async def measures(self, queue: str, waiting: int) -> ServiceLevelMeasured:
        at = TIME.now()
        window = WindowLevel(
            seconds=300,
            offered=9,
            answered=6,
            abandoned=1,
            within_target=5,
            missed_target=1,
            average_speed_of_answer=12.5,
        )
        level = ServiceLevelMeasured(
            queue=queue,
            channel=Channel.WHATSAPP,
            as_of=at,
            windows=(window,),
            waiting=waiting,
            oldest_waiting_since=at - timedelta(minutes=1),
        )
        name = f"{queue}/whatsapp/{at.timestamp()}"
        record = first_hand(level, key=queue, source="/sla.live", id=name, at=at)
        await self._publisher.publish([record])
        return level


def level_of(said: dict[str, Any]) -> ServiceLevelMeasured:
    return ServiceLevelMeasured.model_validate(said["service_level"])


def is_level(*wanted: ServiceLevelMeasured) -> Callable[[dict[str, Any]], bool]:
    return lambda said: said["type"] == "service_level" and level_of(said) in wanted


def told(wire: Wire, live: Live) -> list[ServiceLevelMeasured]:
    found = [level_of(said) for said in wire.frames if said["type"] == "service_level"]
    return [level for level in found if level.as_of >= live.begun_at]


async def test_a_supervisor_is_told_each_measurement_of_the_pools_queues_and_of_no_others(
    desk: Desk, live: Live
) -> None:
    async with (
        desk.feed("rina", **SUPERVISOR) as socket,
        desk.feed("rina", pool="finance", **SUPERVISOR) as other,
        desk.feed("ayu") as own,
    ):
        support, finance, agent = Wire(socket, "rina"), Wire(other, "rina"), Wire(own, "ayu")
        for wire in (support, finance, agent):
            assert (await wire.read())["type"] == "snapshot"
        first = await live.measures("general", 3)
        await support.read_until(is_level(first))
        second, loans = await live.measures("general", 4), await live.measures("loans", 7)
        await support.read_until(is_level(second))
        await finance.read_until(is_level(loans))
        assert [(level.queue, level.waiting) for level in told(support, live)] == [
            ("general", 3),
            ("general", 4),
        ]
        assert told(finance, live) == [loans]
        assert told(agent, live) == []


async def test_who_comes_back_is_told_the_latest_of_every_queue_without_a_snapshot(
    desk: Desk, live: Live
) -> None:
    async with desk.feed("rina", **SUPERVISOR) as socket:
        wire = Wire(socket, "rina")
        await wire.read_until(is_level(await live.measures("general", 1)))
    missed = [await live.measures("general", 2), await live.measures("billing", 5)]
    async with desk.feed("rina", **SUPERVISOR) as socket:
        fresh = Wire(socket, "rina")
        for level in missed:  # the desk has read them, so that they are there for who comes back
            if level not in told(fresh, live):
                await fresh.read_until(is_level(level))
    async with desk.feed("rina", cursor=wire.screen.cursor or "", **SUPERVISOR) as socket:
        again = Wire(socket, "rina", wire.screen)
        for level in reversed(missed):
            if level not in told(again, live):
                await again.read_until(is_level(level))
        assert sorted(told(again, live), key=lambda level: level.queue) == sorted(
            missed, key=lambda level: level.queue
        )
    assert wire.screen.snapshots == 1
