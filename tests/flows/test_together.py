"""This file proves that batches of several lanes in one statement are as separate as if each had its own."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from libs.flow.commit import Commit
from libs.flow.lane import Lane
from libs.flow.shared import Limits, Lost
from libs.flow.together import Together
from tests.flows.test_kernel import Bench, KernelHarness, beat, harness, key_on

LANES = (1, 4, 7)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Which lanes each statement wrote, or tried to."""
    seen: list[list[int]] = []
    write = Together._write

    async def spying(self: Together, commits: Sequence[Commit]) -> set[int]:
        seen.append([commit.lane for commit in commits])
        return await write(self, commits)

    monkeypatch.setattr(Together, "_write", spying)
    return seen


async def ready(h: KernelHarness, agents: dict[int, str], *, warm: bool = True) -> list[Lane]:
    """Lanes with one record each, not yet taken. A warm lane has what it needs in memory: it asks nothing before it writes."""
    if warm:
        await h.feed([h.record(beat(), key=key_on(index, 0), id=f"before-{index}") for index in agents])
    for index, agent in agents.items():
        h.append(h.record(beat(agent), key=key_on(index, 0), id=f"next-{index}"))
        await h.catch_up(index)
    return [await h.lane(index) for index in agents]


async def batches(lanes: list[Lane]) -> list[Any]:
    return await asyncio.gather(*(lane.work.batch() for lane in lanes), return_exceptions=True)


async def counts(h: KernelHarness) -> list[int]:
    return [await h.count(key_on(index, 0)) for index in LANES]


async def test_lanes_that_are_ready_together_share_a_statement(
    groups: list[list[int]], postgres_dsn: str
) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        lanes = await ready(h, dict.fromkeys(LANES, "a"))
        groups.clear()
        assert await batches(lanes) == [None, None, None]
        assert groups == [list(LANES)]
        assert await counts(h) == [2, 2, 2]
        kept = await h.rows('select lane, next_offset from "position" order by lane')
        assert [tuple(row) for row in kept] == [(index, 2) for index in LANES]
        assert {row[0] for row in await h.rows("select lane from outbox")} == set(LANES)


@pytest.mark.parametrize("refused", ["nul", "huge"])
async def test_what_the_database_refuses_of_one_lane_costs_no_other(
    groups: list[list[int]], postgres_dsn: str, refused: str
) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        lanes = await ready(h, {1: "a", 4: refused, 7: "a"})
        groups.clear()
        assert await batches(lanes) == [None, None, None]
        assert groups[:4] == [[1, 4, 7], [1], [4], [7]]
        assert await counts(h) == [2, 1, 2]
        assert [row[0] for row in await h.rows("select lane from dead_letter")] == [4]


async def test_a_lane_lost_in_company_writes_nothing_and_the_others_do(
    groups: list[list[int]], postgres_dsn: str
) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        lanes = await ready(h, dict.fromkeys(LANES, "a"))
        groups.clear()
        await h.database.execute("update lane set epoch = epoch + 1 where lane = 4")
        first, lost, last = await batches(lanes)
        assert (first, last) == (None, None)
        assert isinstance(lost, Lost)
        assert groups == [[1, 4, 7], [4]]
        assert await counts(h) == [2, 1, 2]


async def test_a_repeat_in_company_is_found_and_has_no_second_effect(postgres_dsn: str) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        await h.feed([h.record(beat(), key=key_on(4, 0), id="next-4")])
        await h.crash()  # what a lane keeps in mind would find the repeat without asking
        lanes = await ready(h, dict.fromkeys(LANES, "a"), warm=False)
        assert await batches(lanes) == [None, None, None]
        assert await counts(h) == [1, 1, 1]


async def test_who_comes_while_a_statement_is_under_way_joins_the_next(
    groups: list[list[int]], postgres_dsn: str
) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        lanes = await ready(h, dict.fromkeys(LANES, "a"))
        groups.clear()
        async with h.database.connection() as c, c.transaction():
            await c.execute("select 1 from lane where lane = 1 for update")
            first = asyncio.create_task(lanes[0].work.batch())
            while not groups:
                await asyncio.sleep(0.01)
            others = [asyncio.create_task(lane.work.batch()) for lane in lanes[1:]]
            await asyncio.sleep(0.05)
            assert groups == [[1]]
        await asyncio.gather(first, *others)
        assert groups == [[1], [4, 7]]
        assert await counts(h) == [2, 2, 2]


async def test_the_batch_of_a_cancelled_lane_is_left_out(groups: list[list[int]], postgres_dsn: str) -> None:
    async with harness(Bench(), postgres_dsn) as h:
        lanes = await ready(h, dict.fromkeys(LANES, "a"))
        groups.clear()
        tasks = [asyncio.create_task(lane.work.batch()) for lane in lanes]
        while lanes[0].shared.together._task is None:
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        assert groups == [[1, 7]]
        assert await counts(h) == [2, 1, 2]


async def test_without_the_epoch_check_several_zombies_write(postgres_dsn: str) -> None:
    async with harness(Bench(), postgres_dsn, Limits(lease=3600, unsafe=frozenset({"epoch"}))) as h:
        lanes = await ready(h, dict.fromkeys(LANES, "a"))
        await h.database.execute("update lane set epoch = epoch + 1")
        assert await batches(lanes) == [None, None, None]
        assert await counts(h) == [2, 2, 2]
