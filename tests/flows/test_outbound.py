"""This file proves that timers do not wait for the broker, and that events keep their order whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from libs.contracts.envelope import decode
from libs.flow.lane import Lane
from libs.flow.outbound import AHEAD
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing
from tests.flows.test_kernel import Bench, KernelHarness, beat, harness, key_on

LANE = 4
APART, AFTER = timedelta(seconds=0.5), timedelta(seconds=10)
"""Between reminders, and from setting one to its firing."""


class Broker:
    """Acknowledges when it is let, or refuses; `sent` says of whom each call's events are."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.let = asyncio.Event()
        self.refuses = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.sent.append([decode(r.key, r.value, r.headers).data.agent_id for r in records])  # type: ignore[attr-defined]
        await self.let.wait()
        if self.refuses:
            raise PublishFailed("no line")


KEYS = [key_on(LANE, number) for number in range(AHEAD + 2)]


@asynccontextmanager
async def reminded(dsn: str) -> AsyncIterator[tuple[KernelHarness, Lane, Broker]]:
    """A lane with a reminder of each key, APART from each other, the first of them due at the next `fire`."""
    async with harness(Bench(), dsn) as h:
        for key in KEYS:
            await h.give(beat("remind"), key=key)
            await h.time.advance(APART)
        await h.time.advance(AFTER - APART * (len(KEYS) + 1))
        h._shared.publisher = broker = Broker()
        yield h, await h.lane(LANE), broker


async def fire(h: KernelHarness, lane: Lane, count: int = 1) -> None:
    """Batches of one reminder each."""
    for _ in range(count):
        await h.time.advance(APART)
        await lane.work.batch()
        await asyncio.sleep(0)


async def unfired(h: KernelHarness) -> list[str]:
    return [row[0] for row in await h.rows("select key from timer order by due")]


async def test_timers_are_committed_while_earlier_events_are_on_their_way(postgres_dsn: str) -> None:
    async with reminded(postgres_dsn) as (h, lane, broker):
        await fire(h, lane, 3)
        assert await unfired(h) == KEYS[3:]
        assert broker.sent == [KEYS[:1]]
        broker.let.set()
        await lane.work.outbound.drained()
        assert broker.sent == [KEYS[:1], KEYS[1:3]]
        assert lane.work.untidy
        await lane.work.tidy()
        assert await h.rows("select 1 from outbox") == []


async def test_records_wait_for_the_acknowledgement_and_timers_do_not_overtake_them(
    postgres_dsn: str,
) -> None:
    async with reminded(postgres_dsn) as (h, lane, broker):
        await fire(h, lane)
        for number in range(2):
            h.append(h.record(beat(), key=KEYS[0], id=f"next-{number}"))
        await h.catch_up(LANE)
        both = asyncio.create_task(fire(h, lane))
        await asyncio.sleep(0.1)
        assert not both.done()
        assert (await h.count(KEYS[0]), await unfired(h)) == (1, KEYS[1:])
        broker.let.set()
        await both
        assert (await h.count(KEYS[0]), await unfired(h)) == (3, KEYS[2:])
        assert broker.sent == [KEYS[:1], [KEYS[0], KEYS[0], KEYS[1]]]


async def test_a_lane_is_no_more_than_so_many_batches_ahead_of_the_broker(postgres_dsn: str) -> None:
    async with reminded(postgres_dsn) as (h, lane, broker):
        await fire(h, lane, AHEAD)
        one_more = asyncio.create_task(fire(h, lane))
        await asyncio.sleep(0.1)
        assert not one_more.done()
        assert await unfired(h) == KEYS[AHEAD:]
        broker.let.set()
        await one_more
        assert await unfired(h) == KEYS[AHEAD + 1 :]


async def test_nothing_is_sent_after_what_could_not_be_sent_until_the_outbox_was(postgres_dsn: str) -> None:
    async with reminded(postgres_dsn) as (h, lane, broker):
        await fire(h, lane, 3)
        lane.work.wake.clear()
        broker.refuses = True
        broker.let.set()
        with pytest.raises(PublishFailed):
            await lane.work.outbound.drained()
        assert lane.work.wake.is_set()
        broker.refuses = False
        with pytest.raises(PublishFailed):
            await fire(h, lane)
        with pytest.raises(PublishFailed):
            lane.work.outbound.check()
        assert broker.sent == [KEYS[:1]]
        lane._forget()
        await lane.load(fresh=True)
        lane.work.caught_up = True
        assert broker.sent == [KEYS[:1], KEYS[:3]]
        await fire(h, lane)
        await lane.work.outbound.drained()
        assert broker.sent[2:] == [KEYS[3:5]]


async def test_what_is_acknowledged_while_a_batch_is_committed_leaves_the_outbox_with_a_later_one(
    postgres_dsn: str,
) -> None:
    async with reminded(postgres_dsn) as (h, lane, broker):
        await fire(h, lane)
        async with h.database.connection() as c, c.transaction():
            await c.execute("select 1 from lane where lane = $1 for update", LANE)
            second = asyncio.create_task(fire(h, lane))
            while lane.shared.together._task is None:
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            broker.let.set()
            await lane.work.outbound.drained()
        await second
        assert len(await h.rows("select 1 from outbox")) == 2
        await lane.work.outbound.drained()
        await lane.work.tidy()
        assert await h.rows("select 1 from outbox") == []
