"""This file proves that who waits for the same moment is woken at once, and who gave up is not."""

import asyncio
from datetime import UTC, datetime, timedelta

from libs.flow.alarms import Alarms

MOMENT = datetime(2026, 3, 2, tzinfo=UTC)


async def test_all_who_wait_for_a_moment_are_woken_together() -> None:
    alarms, woken = Alarms(), list[str]()
    alarms.set(MOMENT, 0.02, lambda: woken.append("ana"))
    await asyncio.sleep(0.01)
    alarms.set(MOMENT, 0.5, lambda: woken.append("budi"))  # the moment is that of whoever came first
    alarms.set(MOMENT + timedelta(seconds=1), 0.3, lambda: woken.append("citra"))
    while not woken:
        await asyncio.sleep(0.001)
    assert woken == ["ana", "budi"]


async def test_who_gave_up_is_not_woken_and_may_wait_again() -> None:
    alarms, events = Alarms(), [asyncio.Event(), asyncio.Event()]
    for event in events:
        alarms.set(MOMENT, 0.01, event.set)
    alarms.cancel(MOMENT, events[0].set)
    async with asyncio.timeout(5):
        await events[1].wait()
    assert not events[0].is_set()
    alarms.cancel(MOMENT, events[1].set)  # after it rang
    alarms.set(MOMENT, 0.0, events[0].set)
    async with asyncio.timeout(5):
        await events[0].wait()
