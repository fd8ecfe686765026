"""This file proves on the real database that a lane reads its timers some at a time, and fires each once and in order."""

from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.commands import Heartbeat
from libs.contracts.topics import partition_of, topic_map
from libs.flow import timers
from libs.flow.flow import Fired, Flow, Timer, Turn
from libs.flow.harness import START, Harness
from libs.flow.store import Store

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
