"""This file proves that clocks come out as computed at leisure from the whole log: recorded traffic and made-up months,
lanes read in any order, records doubled, the service killed and away for random stretches."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.envelope import Event, decode
from libs.flow.flow import Flow
from libs.flow.harness import START, Harness
from libs.flow.recording import read
from libs.flow.wire import Incoming
from libs.workspace import Workspace, load
from services.sla.calendars import KnownCalendars
from services.sla.domain.calendar import Calendar
from services.sla.dryrun.traffic import HEARD
from services.sla.flow import flow
from tests.flows.sla_month import DAYS, WORKSPACE, Month
from tests.flows.sla_offline import Logged, Verdict, told, verdicts

pytestmark = pytest.mark.postgres

RECORDED = Path(__file__).parents[1] / "fixtures" / "recorded" / "sla"
RARE, OFTEN = 0.1, 0.3


class Delivery:
    """Gives records to the flow, in the order of their partitions and in no other."""

    def __init__(self, harness: Harness, records: Sequence[Incoming], seed: int) -> None:
        self.h, self.dice = harness, random.Random(seed)
        self.waiting = sorted(records, key=lambda record: record.timestamp)
        self.lanes = sorted({record.partition for record in records})
        self.written: dict[tuple[str, int], list[Incoming]] = defaultdict(list)
        self.stops = self.repeats = 0

    async def until(self, end: datetime, stretches: Sequence[timedelta]) -> None:
        """Time goes on by random stretches; in some of them the service is away, in some a lane is behind."""
        while self.h.time.now() < end:
            step = self.dice.choice(stretches) * self.dice.uniform(0.5, 1.5)
            await self.h.time.advance(min(step, end - self.h.time.now()))
            self._write()
            if self.dice.random() < OFTEN:
                self.stops += 1
                await self.h.crash()
                continue  # away
            await self._read([lane for lane in self.lanes if self.dice.random() > RARE])
        await self._read(self.lanes)
        assert not self.waiting

    def _write(self) -> None:
        """What was written by now is on the log; now and then a source publishes the last of it again."""
        now = self.h.time.now().timestamp() * 1000
        while self.waiting and self.waiting[0].timestamp <= now:
            record = self.waiting.pop(0)
            log = self.written[record.topic, record.partition]
            log.append(record)
            self.h.append(record)
            if self.dice.random() < RARE:
                again = log[-self.dice.randrange(1, 4) :]
                self.repeats += len(again)
                for repeat in again:
                    self.h.append(repeat)

    async def _read(self, lanes: Sequence[int]) -> None:
        for lane in self.dice.sample(lanes, len(lanes)):
            await self.h.catch_up(lane)
        await self.h.advance(timedelta(0))


def by_conversation(events: Sequence[Logged]) -> dict[str, list[Logged]]:
    found: dict[str, list[Logged]] = defaultdict(list)
    for logged in events:
        found[logged.event.conversation_id].append(logged)
    for log in found.values():
        log.sort(key=lambda logged: logged.event.version)
    return found


def computed(events: Sequence[Logged], workspace: Workspace, until: datetime) -> dict[str, Verdict]:
    known = KnownCalendars(workspace)
    names = {policy.calendar for policy in workspace.sla_policies.values()}
    calendars: Mapping[str | None, Calendar] = {name: known.calendars[known.current(name)] for name in names}
    found: dict[str, Verdict] = {}
    for log in by_conversation(events).values():
        found |= verdicts(log, workspace, calendars, until)
    return found


def doubled(events: Sequence[Event[Any]]) -> list[str]:
    """Happenings that were told twice, with nothing between that took the first one back or began the clock anew."""
    found, since = [], dict[str, set[Any]]()
    for event in events:
        data = event.data
        if data.type == "clock.started.v1" or data.corrects_breach:
            since[data.clock_id] = set()
        what = (data.type, data.occurred_at, data.due_at, getattr(data, "fraction", None))
        if what in since[data.clock_id]:
            found.append(f"{data.clock_id} {what}")
        since[data.clock_id].add(what)
    return found


def differences(ours: Mapping[str, Verdict], wanted: Mapping[str, Verdict]) -> list[str]:
    return [
        f"{name}: {ours.get(name)}, computed {wanted.get(name)}"
        for name in sorted(ours.keys() | wanted.keys())
        if ours.get(name) != wanted.get(name)
    ]


TALLIED = """
    select metric, policy, sum(open)::bigint, sum(overdue)::bigint from tally
    group by metric, policy having sum(open) <> 0 or sum(overdue) <> 0 order by metric, policy
"""
COUNTED = """
    select metric, policy, count(*), count(*) filter (where breached) from clock
    where state in ('running', 'paused') group by metric, policy order by metric, policy
"""


def breaches(found: Mapping[str, Verdict]) -> int:
    return sum(verdict.breached is not None for verdict in found.values())


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_month_delivered_in_disorder_gives_the_clocks_of_the_ordered_log(
    postgres_dsn: str, seed: int
) -> None:
    talks = Month(seed, 120).talks
    events = sorted((logged for talk in talks for logged in talk), key=lambda logged: logged.recorded_at)
    end = max(START + timedelta(days=DAYS), events[-1].recorded_at) + timedelta(days=14)
    async with Harness(flow(WORKSPACE), postgres_dsn) as h:
        records = [
            h.record(logged.event, key=logged.event.contact_point_id, recorded_at=logged.recorded_at)
            for logged in events
        ]
        delivery = Delivery(h, records, seed)
        stretches = [timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=8), timedelta(hours=30)]
        await delivery.until(end, stretches)
        wanted = computed(events, WORKSPACE, end)
        assert breaches(wanted) > 50
        assert delivery.stops > 5
        assert delivery.repeats > 50
        assert differences(told(h.emitted), wanted) == []
        assert doubled(h.emitted) == []
        assert await h.rows("select * from dead_letter") == []
        assert await h.rows(TALLIED) == await h.rows(COUNTED)
        assert await h.rows("select * from timer") == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_demos_traffic_delivered_in_disorder_gives_the_clocks_of_the_ordered_log(
    postgres_dsn: str, seed: int
) -> None:
    workspace = load(RECORDED / "workspace.yaml", secrets=False)
    recording = read(RECORDED, HEARD, needed=HEARD)
    records = [record for topic in HEARD for record in recording.all(topic)]
    service = flow(workspace)
    events = logged_of(records, service)
    end = datetime.fromtimestamp(max(record.timestamp for record in records) / 1000, UTC) + timedelta(hours=1)
    async with Harness(service, postgres_dsn) as h:
        begun = datetime.fromtimestamp(min(record.timestamp for record in records) / 1000, UTC)
        await h.time.advance(begun - h.time.now())
        delivery = Delivery(h, records, seed)
        await delivery.until(end - timedelta(minutes=59), [timedelta(seconds=n) for n in (0.3, 2, 8)])
        await h.advance(end - h.time.now())
        wanted = computed(events, workspace, end)
        assert breaches(wanted) > 10
        assert differences(told(h.emitted), wanted) == []
        assert doubled(h.emitted) == []
        assert await h.rows("select * from dead_letter") == []
        assert await h.rows(TALLIED) == await h.rows(COUNTED)


def logged_of(records: Sequence[Incoming], service: Flow) -> list[Logged]:
    """The events of conversations that the flow reads, each once; the recording may hold repeats."""
    found: dict[str, Logged] = {}
    for record in records:
        event = decode(record.key, record.value, record.headers)
        if record.topic == "conversations" and type(event.data) in service.reads["conversations"]:
            recorded = event.envelope.recorded_at
            assert recorded is not None
            found.setdefault(event.envelope.name, Logged(recorded, event.data))
    return list(found.values())
