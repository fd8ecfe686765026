"""This file proves on the real database that a lane reads its timers some at a time, and fires each once and in order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.contracts.payloads.commands import Heartbeat
from libs.contracts.topics import partition_of, topic_map
from libs.flow import batches, timers
from libs.flow.flow import Fired, Flow, Timer, Turn
from libs.flow.harness import START, Harness
from libs.flow.store import Reader, Store

pytestmark = pytest.mark.postgres

KEYS = [
    key for key in (f"k{n}" for n in range(200)) if partition_of(key.encode(), topic_map().partitions) == 0
]


class Remind(Timer):
    name = "remind"

    number: int


class Reminders:
    """Sets the timers that an event asks for: `agent_id` is "set" or "cancel" and their numbers, seconds from the start."""

    def __init__(self) -> None:
        self.fired: list[int] = []
        self.due: list[datetime] = []

    def on_heartbeat(self, turn: Turn[Store], event: Any) -> None:
        what, _, numbers = event.data.agent_id.partition(" ")
        for number in map(int, numbers.split()):
            due = START + timedelta(seconds=number)
            if what == "set":
                turn.set_timer(Remind(number=number), id=f"r{number}", key=event.key, due=due)
            else:
                turn.cancel_timer(f"r{number}")

    def on_remind(self, turn: Turn[Store], fired: Fired[Remind]) -> None:
        self.fired.append(fired.timer.number)
        self.due.append(fired.due_at)

    def flow(self) -> Flow:
        return Flow(
            name="assignment", schema="kernel", reads={"agent-commands": {Heartbeat: self.on_heartbeat}},
            store=Store, emits={}, timers={Remind: self.on_remind},
        )  # fmt: skip


async def test_timers_beyond_those_in_memory_fire_once_each_in_order_also_after_a_crash(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("READ", 6), ("SHORT", 5), ("MOST", 12)):
        monkeypatch.setattr(timers, name, value)
    reminders = Reminders()
    async with Harness(reminders.flow(), postgres_dsn, package="libs.flow") as h:

        async def ask(what: str, *numbers: int) -> None:
            text = f"{what} {' '.join(map(str, numbers))}"
            await h.give(Heartbeat(agent_id=text, pool="p"), key=KEYS[0])

        await ask("set", *range(40, 0, -1))
        assert (await h.lane(0)).sizes[0] <= timers.MOST
        await ask("cancel", 3, 30)
        await h.advance(timedelta(seconds=10))
        await h.crash()
        await ask("set", 50, 12)
        await ask("cancel", 31, 99)
        await h.advance(timedelta(seconds=60))
        assert reminders.fired == [n for n in range(1, 41) if n not in (3, 30, 31)] + [50]
        assert await h.rows("select * from timer") == []


async def test_a_flow_with_ticks_fires_at_them_and_says_when_each_timer_was_due(postgres_dsn: str) -> None:
    reminders = Reminders()
    async with Harness(replace(reminders.flow(), tick=10.0), postgres_dsn, package="libs.flow") as h:
        await h.give(Heartbeat(agent_id="set 3 10", pool="p"), key=KEYS[0])
        await h.advance(timedelta(seconds=9))
        assert reminders.fired == []
        await h.advance(timedelta(seconds=1))
        assert reminders.fired == [3, 10]
        assert reminders.due == [START + timedelta(seconds=3), START + timedelta(seconds=10)]


async def test_what_soon_due_timers_need_is_loaded_with_what_the_due_ones_need(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "AHEAD", timedelta(seconds=5))
    reminders, loaded = Reminders(), list[list[int]]()

    class Loads(Store):
        async def load(self, db: Reader, items: Sequence[Any]) -> None:
            numbers = [item.timer.number for item in items if isinstance(item, Fired)]
            if numbers:
                loaded.append(numbers)

    async with Harness(replace(reminders.flow(), store=Loads), postgres_dsn, package="libs.flow") as h:
        await h.give(Heartbeat(agent_id="set 10 11 12 20", pool="p"), key=KEYS[0])
        for _ in range(20):
            await h.advance(timedelta(seconds=1))
        assert reminders.fired == [10, 11, 12, 20]
        assert loaded == [[10, 11, 12], [11], [12], [20]]
