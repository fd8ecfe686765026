"""This file proves that garbage that refers to itself is found in portions, and that the interpreter looks for it again afterwards."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from libs.service import garbage
from libs.service.garbage import EVERY, collect
from libs.timesource import ManualTime


class Cycle:
    def __init__(self) -> None:
        self.own = self


def cycle() -> weakref.ref[Cycle]:
    return weakref.ref(Cycle())


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    assert gc.isenabled()


async def looks(time: ManualTime, count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0.01)
        await time.advance(timedelta(seconds=EVERY))
    await asyncio.sleep(0.01)


@pytest.mark.usefixtures("thawed")
async def test_garbage_is_found_soon_and_what_outlived_a_look_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(garbage, "OLDER_AFTER", 4)
    time = ManualTime(datetime(2026, 3, 2, tzinfo=UTC))
    task = asyncio.create_task(collect(time))
    await asyncio.sleep(0.01)
    assert not gc.isenabled()
    young, held = cycle(), Cycle()
    older = weakref.ref(held)
    await looks(time)
    assert young() is None
    assert older() is not None
    del held
    await looks(time, 2)
    assert older() is not None, "it was looked at when it was in use, and is older now"
    await looks(time)
    assert older() is None
    task.cancel()
    await asyncio.wait([task])
