"""This file proves the kernel's promises on one lane: real Postgres, no broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import AgentChanged
from libs.contracts.payloads.commands import Heartbeat
from libs.flow.flow import Effect, Fired, Flow, Performed, Performing, Timer, Turn
from libs.flow.harness import Harness
from libs.flow.shared import Limits, Lost, Stopped
from libs.flow.store import Reader, Store, Table

DDL = "create table tally (agent_id text primary key, count bigint not null, note text)"


@dataclass(frozen=True)
class Tally:
    agent_id: str
    count: int
    note: str | None = None


class TallyStore(Store):
    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        self.tallies = Table("tally", Tally, key=("agent_id",), group="agent_id")
        self.tables = (self.tallies,)

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        await self.tallies.load(db, {item.key for item in items})


class Remind(Timer):
    name = "remind"
    agent_id: str


class Call(Effect):
    name = "call"
    agent_id: str


class Bench:
    """A flow that counts heartbeats by agent, with every feature behind a magic agent id."""

    def __init__(self) -> None:
        self.broken = {"poison"}
        self.performed: list[tuple[str, bool]] = []
        self.fail_performing = 0
        self.line: asyncio.Event | None = None
        """Where set, a call ends when this does."""

    def on_heartbeat(self, turn: Turn[TallyStore], event: Event[Heartbeat]) -> None:
        agent = event.data.agent_id
        key = event.key
        row = turn.store.tallies.get(key, key) or Tally(key, 0)
        turn.store.tallies.put(Tally(key, row.count + 1, agent))
        if agent in self.broken:
            raise RuntimeError("this handler has a bug")
        if agent == "nul":
            turn.store.tallies.put(Tally(key, row.count + 1, "a\0b"))
        if agent == "huge":
            turn.store.tallies.put(Tally(key, 2**70, agent))
        if agent == "remind":
            turn.set_timer(
                Remind(agent_id=agent), id=f"remind/{key}", key=key, due=turn.now + timedelta(seconds=10)
            )
        if agent == "cancel":
            turn.cancel_timer(f"remind/{key}")
        if agent == "call":
            turn.perform(Call(agent_id=agent), id=f"call/{event.envelope.id}", key=key)
        self._say(turn, key, row.count + 1)

    def on_remind(self, turn: Turn[TallyStore], fired: Fired[Any]) -> None:
        if "timer" in self.broken:
            raise RuntimeError("this timer has a bug")
        self._say(turn, fired.key, -1)

    def on_called(self, turn: Turn[TallyStore], done: Performed) -> None:
        if "result" in self.broken:
            raise RuntimeError("this result has a bug")
        self._say(turn, done.key, done.result)

    async def call(self, performing: Performing) -> int:
        self.performed.append((performing.id, performing.again))
        if self.fail_performing:
            self.fail_performing -= 1
            raise OSError("no line")
        if self.line is not None:
            await self.line.wait()
        return -100

    def _say(self, turn: Turn[TallyStore], key: str, load: int) -> None:
        said = AgentChanged(
            agent_id=key,
            pool="p",
            presence="available",
            load=load,
            capacity=1,
            version=1,
            occurred_at=turn.now,
        )
        turn.emit(said, key=key, at=turn.now)

    def flow(self) -> Flow:
        return Flow(
            name="assignment",
            schema="kernel",
            reads={"agent-commands": {Heartbeat: self.on_heartbeat}},
            store=TallyStore,
            emits={"agents": (AgentChanged,)},
            timers={Remind: self.on_remind},
            performers={Call: self.call},
            results={Call: self.on_called},
        )


def beat(agent: str = "a") -> Heartbeat:
    return Heartbeat(agent_id=agent, pool="p")


class KernelHarness(Harness):
    async def __aenter__(self) -> "KernelHarness":
        await super().__aenter__()
        await self.database.execute(DDL)
        return self

    async def count(self, key: str) -> int:
        rows = await self.rows("select count from tally where agent_id = $1", key)
        return int(rows[0][0]) if rows else 0


@pytest.fixture
def bench() -> Bench:
    return Bench()


def harness(bench: Bench, dsn: str, limits: Limits | None = None) -> KernelHarness:
    return KernelHarness(bench.flow(), dsn, package="libs.flow", limits=limits)


def loads(events: list[Event[Any]]) -> list[int]:
    return [event.data.load for event in events]


async def test_a_repeated_first_hand_event_has_one_effect(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        assert loads(await h.give(beat(), key="k", id="1")) == [1]
        assert loads(await h.give(beat(), key="k", id="1")) == []
        await h.crash()
        assert loads(await h.give(beat(), key="k", id="1")) == []
        assert loads(await h.give(beat(), key="k", id="2")) == [2]


async def test_events_of_one_partition_form_an_unbroken_chain_across_a_crash(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        for n in range(5):
            await h.give(beat(), key="k", id=str(n))
            if n == 2:
                await h.crash()
        envelopes = [event.envelope for event in h.emitted]
        assert [e.previous for e in envelopes] == [0, *[e.sequence for e in envelopes][:-1]]
        assert len({e.source for e in envelopes}) == 1


async def test_a_lane_with_another_owner_writes_nothing(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat(), key="k", id="1")
        await h.database.execute("update lane set epoch = epoch + 1")
        with pytest.raises(Lost):
            await h.give(beat(), key="k", id="2")
        assert await h.count("k") == 1
        assert await h.rows("select 1 from outbox where first_seq > 1") == []


async def test_without_the_epoch_check_a_zombie_writes(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn, Limits(lease=3600, unsafe=frozenset({"epoch"}))) as h:
        await h.give(beat(), key="k", id="1")
        await h.database.execute("update lane set epoch = epoch + 1")
        await h.give(beat(), key="k", id="2")
        assert await h.count("k") == 2


async def test_poison_is_kept_and_later_records_of_its_key_wait_until_it_is_replayed(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat(), key="k", id="1")
        assert loads(await h.give(beat("poison"), key="k", id="2")) == []
        assert loads(await h.give(beat(), key="k", id="3")) == []
        assert loads(await h.give(beat(), key="other", id="4")) == [1]
        letters = await h.rows("select id, state, reason, detail from dead_letter order by id")
        assert [(row["state"], row["reason"]) for row in letters] == [
            ("dead", "bug"),
            ("parked", "behind_dead"),
        ]
        assert "this handler has a bug" in letters[0]["detail"]
        assert await h.count("k") == 1
        await h.crash()
        assert loads(await h.give(beat(), key="k", id="5")) == []
        bench.broken.clear()
        assert loads(await h.replay(letters[0]["id"])) == [2, 3, 4]
        assert await h.count("k") == 4
        assert await h.rows("select 1 from dead_letter") == []
        assert loads(await h.give(beat(), key="k", id="6")) == [5]


async def test_a_replay_that_fails_again_stays_dead(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("poison"), key="k", id="1")
        await h.give(beat(), key="k", id="2")
        letter = (await h.rows("select id from dead_letter order by id"))[0][0]
        assert await h.replay(letter) == []
        assert [r[0] for r in await h.rows("select state from dead_letter order by id")] == ["dead", "parked"]
        assert await h.rows("select 1 from dead_letter where replay") == []


async def test_a_parked_record_that_fails_when_it_is_replayed_is_dead_itself(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("poison"), key="k", id="1")
        bad = h.record(beat(), key="k", id="2")
        await h.feed([replace(bad, value=b"{}")])
        await h.give(beat(), key="k", id="3")
        letter = (await h.rows("select id from dead_letter order by id"))[0][0]
        bench.broken.clear()
        assert loads(await h.replay(letter)) == [1]
        left = await h.rows("select state, reason, detail from dead_letter order by id")
        assert [(row["state"], row["reason"]) for row in left] == [
            ("dead", "bad_payload"),
            ("parked", "behind_dead"),
        ]
        assert "Field required" in left[0]["detail"]


@pytest.mark.parametrize("refused", ["nul", "huge"])
async def test_what_the_database_refuses_is_found_and_kept_while_the_rest_goes_through(
    bench: Bench, postgres_dsn: str, refused: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        keys = [key_on(3, n) for n in range(3)] + ["elsewhere", "far"]
        records = [
            h.record(beat(refused if n == 2 else "a"), key=key, id=str(n)) for n, key in enumerate(keys)
        ]
        same_lane = [r for r in records if r.partition == records[2].partition]
        for record in records:
            if record not in same_lane:
                await h.feed([record])
        assert len(same_lane) > 1, "the poison must share its batch"
        await h.feed(same_lane)
        assert (await h.rows("select reason from dead_letter"))[0][0] == "bug"
        assert [await h.count(key) for key in keys] == [1, 1, 0, 1, 1]


async def test_garbage_costs_one_record_and_parks_nothing(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        good = h.record(beat(), key="k", id="1")
        garbage = replace(good, headers=(), value=b"\xff\x00garbage")
        wrong = replace(good, value=b'{"agent_id": 7}')
        assert loads(await h.feed([garbage, good])) == [1]
        rows = await h.rows("select reason, key, record_value from dead_letter")
        assert [(r["reason"], r["key"], r["record_value"]) for r in rows] == [
            ("not_an_event", "", b"\xff\x00garbage")
        ]
        other = h.record(beat(), key="k", id="2")
        await h.feed([replace(wrong, headers=other.headers)])
        rows = await h.rows("select reason, detail from dead_letter where key = 'k'")
        assert rows[0]["reason"] == "bad_payload"
        assert "pool" in rows[0]["detail"]


async def test_too_many_dead_in_a_row_stop_the_lane(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn, Limits(lease=3600, dead_in_a_row=3)) as h:
        same = [h.record(beat("poison"), key="k", id=str(n)) for n in range(1)]
        for n in range(3):
            await h.feed([h.record(beat("poison"), key=key_on(same[0].partition, n), id=f"x{n}")])
        with pytest.raises(Stopped):
            await h.feed([h.record(beat("poison"), key=key_on(same[0].partition, 9), id="last")])


def key_on(partition: int, number: int) -> str:
    """The number-th key that falls on a partition."""
    from libs.contracts.topics import partition_of

    found = (f"q{n}" for n in range(10_000) if partition_of(f"q{n}".encode(), 12) == partition)
    for _ in range(number):
        next(found)
    return next(found)


async def test_a_timer_fires_once_after_a_crash_and_a_cancelled_one_never(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("remind"), key="k", id="1")
        await h.give(beat("remind"), key="c", id="2")
        await h.give(beat("cancel"), key="c", id="3")
        assert await h.advance(timedelta(seconds=9)) == []
        await h.crash()
        assert loads(await h.advance(timedelta(hours=1))) == [-1]
        await h.crash()
        assert await h.advance(timedelta(hours=1)) == []
        assert await h.rows("select 1 from timer") == []


async def test_an_effect_is_performed_and_its_result_handled_once(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        assert loads(await h.give(beat("call"), key="k", id="1")) == [1, -100]
        assert bench.performed == [("call/1", False)]
        await h.crash()
        assert await h.settle() == []
        assert await h.rows("select 1 from effect") == []


async def test_the_outbox_is_published_again_by_the_next_owner(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        first = await h.give(beat(), key="k", id="1")
        assert await h.rows("select 1 from outbox") != []
        await h.crash()
        assert loads(await h.give(beat(), key="k", id="2")) == [2]
        assert [e.envelope for e in h.republished] == [first[0].envelope]


async def test_records_that_come_while_a_key_is_replayed_follow_in_order(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("poison"), key="k", id="1")
        await h.give(beat(), key="k", id="2")
        letter = (await h.rows("select id from dead_letter order by id"))[0][0]
        bench.broken.clear()
        late = h.record(beat(), key="k", id="3")
        h.append(late)
        await h.catch_up(late.partition)
        assert loads(await h.replay(letter)) == [1, 2, 3]
        assert await h.rows("select 1 from dead_letter") == []


async def test_dropping_the_dead_one_lets_the_parked_ones_through(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("poison"), key="k", id="1")
        await h.give(beat(), key="k", id="2")
        await h.database.execute("delete from dead_letter where state = 'dead'")
        letter = (await h.rows("select id from dead_letter"))[0][0]
        assert loads(await h.replay(letter)) == [1]
        assert loads(await h.give(beat(), key="k", id="3")) == [2]


async def test_a_timer_whose_handler_fails_is_kept_and_fires_when_it_is_replayed(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat("remind"), key="k", id="1")
        bench.broken.add("timer")
        assert await h.advance(timedelta(minutes=1)) == []
        assert await h.rows("select 1 from timer") == []
        letter = (await h.rows("select id, topic from dead_letter"))[0]
        assert letter["topic"] == "(timer)"
        bench.broken.clear()
        assert loads(await h.replay(letter["id"])) == [-1]


async def test_the_end_of_an_effect_that_cannot_be_handled_is_kept(bench: Bench, postgres_dsn: str) -> None:
    async with harness(bench, postgres_dsn) as h:
        bench.broken.add("result")
        assert loads(await h.give(beat("call"), key="k", id="1")) == [1]
        letter = (await h.rows("select id, topic from dead_letter"))[0]
        assert letter["topic"] == "(effect)"
        bench.broken.clear()
        assert loads(await h.replay(letter["id"])) == [-100]
        assert bench.performed == [("call/1", False), ("call/1", False)]


async def test_a_batch_without_effect_costs_no_transaction_and_loses_nothing(
    bench: Bench, postgres_dsn: str
) -> None:
    async with harness(bench, postgres_dsn) as h:
        await h.give(beat(), key="k", id="1")
        before = await h.rows('select next_offset from "position"')
        assert loads(await h.give(beat(), key="k", id="1")) == []
        assert await h.rows('select next_offset from "position"') == before
        await h.crash()
        assert loads(await h.give(beat(), key="k", id="2")) == [2]
        assert (await h.rows('select next_offset from "position"'))[0][0] > before[0][0]
