"""This file is two flows that count, on the real kernel, as a process of their own: `python -m tests.chaos.counting`.

inbound ─▶ conversations: number the items of each key ─▶ conversations ─▶ sla: check the numbers, remind every fifth time
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import uvloop

from libs.contracts.envelope import Event
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.conversations import ConversationTagged
from libs.contracts.payloads.inbound import SignalIngested
from libs.contracts.vocabulary import AuthorKind
from libs.flow.database import Database
from libs.flow.flow import Fired, Flow, Timer, Turn
from libs.flow.publisher import Publisher
from libs.flow.runner import Runner
from libs.flow.store import Log, Reader, Store, Table
from libs.timesource import random_token

SCHEMA = "counting"
DDL = """
create table tally (name text primary key, count bigint not null);
create table applied (nonce text primary key, what text not null, key text not null, number bigint not null);
"""
TAKEN, COUNTED, FIRED, OUT_OF_ORDER = "taken", "counted", "fired", "out_of_order"
REMIND_EVERY, REMIND_AFTER = 5, timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Tally:
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Applied:
    """One committed effect. The nonce is new each time, so that an effect that happened twice is there twice."""

    nonce: str
    what: str
    key: str
    number: int


class Reminder(Timer):
    name = "reminder"
    number: int


class CountingStore(Store):
    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        self.tallies = Table("tally", Tally, key=["name"], group="name")
        self.applied = Log("applied", Applied, key=["nonce"])
        self.tables = (self.tallies, self.applied)

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        await self.tallies.load(db, {f"{what}/{item.key}" for item in items for what in (TAKEN, COUNTED)})

    def add_one(self, what: str, key: str) -> int:
        name = f"{what}/{key}"
        known = self.tallies.get(name, name)
        count = known.count + 1 if known else 1
        self.tallies.put(Tally(name, count))
        return count

    def note(self, what: str, key: str, number: int) -> None:
        self.applied.add(Applied(random_token(), what, key, number))


def on_signal(turn: Turn[CountingStore], event: Event[SignalIngested]) -> None:
    key, sent = event.key, int(event.data.item_id)
    number = turn.store.add_one(TAKEN, key)
    turn.store.note(TAKEN, key, sent)
    told = ConversationTagged(
        conversation_id=key,
        contact_point_id=key,
        contact_id=key,
        inbox_id=event.data.inbox_id,
        version=number,
        occurred_at=event.data.occurred_at,
        by=Author(kind=AuthorKind.SYSTEM),
        tags=(event.data.item_id,),
    )
    turn.emit(told, key=key, at=event.data.occurred_at)


def on_tagged(turn: Turn[CountingStore], event: Event[ConversationTagged]) -> None:
    key, said = event.key, event.data
    turn.store.note(COUNTED, key, int(said.tags[0]))
    if not turn.store.add_one(COUNTED, key) == said.version == int(said.tags[0]):
        turn.store.note(OUT_OF_ORDER, key, said.version)
    if said.version % REMIND_EVERY == 0:
        due = said.occurred_at + REMIND_AFTER
        turn.set_timer(Reminder(number=said.version), id=f"{key}/{said.version}", key=key, due=due)


def on_reminder(turn: Turn[CountingStore], fired: Fired[Reminder]) -> None:
    turn.store.note(FIRED, fired.key, fired.timer.number)


def flows() -> list[Flow]:
    """Under the names of real flows, since the map of topics says who may read and write what."""
    first = Flow(
        name="conversations",
        schema=SCHEMA,
        store=CountingStore,
        reads={"inbound": {SignalIngested: on_signal}},
        emits={"conversations": (ConversationTagged,)},
    )
    second = Flow(
        name="sla",
        schema=SCHEMA,
        store=CountingStore,
        reads={"conversations": {ConversationTagged: on_tagged}},
        timers={Reminder: on_reminder},
    )
    return [first, second]


async def serve() -> None:
    """Until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    kafka = os.environ["SAMBUNG_KAFKA"]
    database = Database(os.environ["SAMBUNG_POSTGRES"], SCHEMA, application="counting")
    publisher = Publisher(kafka, "counting")
    await database.start()
    runner = Runner(flows(), database=database, kafka=kafka, publisher=publisher)
    await runner.start()
    await over.wait()
    await runner.stop()
    await publisher.stop()
    await database.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as running:
        running.run(serve())
