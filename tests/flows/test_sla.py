"""This file proves the SLA flow on the real database: every event twice, crashes between steps, outages, late arrivals."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from libs.contracts.envelope import Event
from libs.contracts.payloads.base import Author, Payload
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.topics import partition_of
from libs.contracts.vocabulary import AuthorKind, Metric
from libs.flow.harness import START, Harness
from libs.flow.wire import Incoming
from services.sla.domain.conversation import KEPT
from services.sla.flow import flow
from services.sla.gauges import count_open_clocks
from services.sla.store import Reads
from tests.unit.sla.story import BOT, WORKSPACE, Talk

pytestmark = pytest.mark.postgres

FIRST, NEXT, SOLVED = Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE, Metric.RESOLUTION


def minute(n: float) -> datetime:
    return START + timedelta(minutes=n)


class Sla:
    """The flow, with time that goes where the events are."""

    def __init__(self, harness: Harness) -> None:
        self.h = harness

    async def until(self, at: datetime) -> list[Event[Any]]:
        """Let time come to a moment; what is due fires."""
        return await self.h.advance(max(at - self.h.time.now(), timedelta(0)))

    async def give(self, *payloads: Payload) -> list[Event[Any]]:
        said: list[Event[Any]] = []
        for payload in payloads:
            at: datetime = payload.occurred_at  # type: ignore[attr-defined]
            said += await self.until(at)
            key: str = payload.contact_point_id  # type: ignore[attr-defined]
            said += await self.h.give(payload, key=key, at=at)
        return said

    def record(self, payload: Payload) -> Incoming:
        return self.h.record(payload, key=payload.contact_point_id, at=payload.occurred_at)  # type: ignore[attr-defined]

    async def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Of clocks that should have been started, in a fixed order."""
        found = await self.h.rows(
            f"select {', '.join(columns)} from clock where reason is distinct from 'superseded' "
            "order by conversation_id, started_at, metric"
        )
        return [tuple(row) for row in found]

    async def timers(self) -> int:
        return int((await self.h.rows("select count(*) from timer"))[0][0])


@pytest.fixture
async def sla(postgres_dsn: str) -> AsyncIterator[Sla]:
    async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
        yield Sla(harness)
        assert await harness.rows("select * from dead_letter") == []


def words(events: Sequence[Event[Any]], metric: Metric | None = None) -> list[tuple[str, datetime]]:
    return [
        (event.data.type.removeprefix("clock.").removesuffix(".v1"), event.data.occurred_at)
        for event in events
        if metric in (None, event.data.metric)
    ]


async def test_an_opening_starts_the_clocks_of_its_queues_policy(sla: Sla) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START), talk.asked(START))
    assert [(e.data.metric, e.data.due_at, e.data.policy, e.data.policy_version) for e in said] == [
        (FIRST, minute(15), "gold", "v1"),
        (SOLVED, minute(480), "gold", "v1"),
    ]
    assert [e.data.target_seconds for e in said] == [900.0, 28_800.0]
    assert {(e.key, e.envelope.correlation_id, e.envelope.time) for e in said} == {
        (talk.point, talk.id, START)
    }
    assert await sla.timers() == 4


async def test_a_queue_without_a_policy_has_no_clocks(sla: Sla) -> None:
    talk = Talk("ana", "free")
    assert await sla.give(talk.opened(START), talk.asked(START), talk.resolved(minute(1))) == []
    assert await sla.timers() == 0


async def test_warning_and_breach_are_stamped_with_when_they_were_due_however_late_they_fire(
    sla: Sla,
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    said = await sla.until(minute(120))
    assert words(said) == [("warned", minute(12)), ("breached", minute(15))]
    assert [event.envelope.time for event in said] == [minute(12), minute(15)]
    assert said[0].data.fraction == 0.8
    assert await sla.until(minute(240)) == []


async def test_a_met_clock_fires_no_more(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    said = await sla.give(talk.opened(START), talk.answered(minute(0.5)))
    assert words(said) == [("started", START), ("met", minute(0.5))]
    assert await sla.timers() == 0
    assert await sla.until(minute(60)) == []


async def test_a_late_answer_ends_a_breached_clock_and_leaves_the_breach(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    said = await sla.give(talk.opened(START), talk.answered(minute(2)))
    assert words(said) == [("started", START), ("breached", minute(1)), ("met", minute(2))]
    assert not said[-1].data.corrects_breach
    assert await sla.rows("state", "breached") == [("met", True)]


async def test_an_answer_in_time_that_comes_late_turns_the_breach_back_into_met(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    await sla.give(talk.opened(START))
    assert words(await sla.until(minute(2))) == [("breached", minute(1))]
    await sla.h.crash()
    said = await sla.give(talk.answered(minute(0.5)))
    assert words(said) == [("met", minute(0.5))]
    assert said[0].data.corrects_breach
    assert await sla.rows("state", "breached") == [("met", False)]


async def test_an_answer_exactly_at_the_deadline_is_met(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    opening = sla.record(talk.opened(START))
    await sla.h.time.advance(timedelta(minutes=1))
    said = await sla.h.feed([opening, sla.record(talk.answered(minute(1)))])
    assert await sla.rows("state", "breached") == [("met", False)]
    assert said[-1].data.occurred_at == said[-1].data.due_at


@pytest.mark.parametrize("kind", [AuthorKind.BOT, AuthorKind.SYSTEM, AuthorKind.UNKNOWN])
async def test_only_a_person_answers(sla: Sla, kind: AuthorKind) -> None:
    talk = Talk("ana", "quick")
    said = await sla.give(talk.opened(START), talk.answered(minute(0.5), Author(kind=kind)))
    assert words(said) == [("started", START)]


async def test_a_message_typed_in_the_providers_own_app_answers(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    said = await sla.give(talk.opened(START), talk.asked(minute(0.5), Author(kind=AuthorKind.AGENT)))
    assert words(said) == [("started", START), ("met", minute(0.5))]


async def test_a_bots_echo_starts_no_next_response(sla: Sla) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START), talk.answered(minute(1)), talk.asked(minute(2), BOT))
    assert words(said, NEXT) == []


async def test_a_provider_whose_clock_is_fast_does_not_age_ours(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    said = await sla.h.give(talk.opened(minute(60 * 24 * 365)), key=talk.point)
    assert words(said) == [("started", START)]
    assert said[0].data.due_at == minute(1)


async def test_a_snooze_pauses_the_resolution_across_crashes(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)))
    said = await sla.give(talk.snoozed(minute(10)))
    assert words(said) == [("paused", minute(10))]
    assert await sla.timers() == 0
    await sla.h.crash()
    assert await sla.until(minute(1000)) == []
    said = await sla.give(talk.reopened(minute(1000)))
    assert words(said) == [("resumed", minute(1000))]
    assert said[0].data.due_at == minute(1000 + 470)
    await sla.h.crash()
    assert words(await sla.until(minute(2000))) == [
        ("warned", minute(990 + 384)),
        ("breached", minute(990 + 480)),
    ]


async def test_a_reopening_starts_a_new_resolution_and_no_new_first_response(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)), talk.resolved(minute(2)))
    said = await sla.give(talk.reopened(minute(30)), talk.asked(minute(30)))
    assert [(e.data.metric, e.data.due_at) for e in said] == [(SOLVED, minute(510)), (NEXT, minute(40))]
    assert await sla.rows("metric", "state") == [
        ("first_response", "met"),
        ("resolution", "met"),
        ("next_response", "running"),
        ("resolution", "running"),
    ]


async def test_timers_survive_a_crash_and_fire_once(sla: Sla) -> None:
    talk = Talk("ana", "quick")
    await sla.give(talk.opened(START))
    await sla.h.crash()
    assert words(await sla.until(minute(60))) == [("breached", minute(1))]
    await sla.h.crash()
    assert await sla.until(minute(120)) == []
    assert await sla.timers() == 0


async def test_after_an_outage_what_was_due_fires_in_the_order_in_which_it_was_due(sla: Sla) -> None:
    everyone = [Talk(f"c{n}") for n in range(60)]
    one_lane = [talk for talk in everyone if partition_of(talk.point.encode(), 12) == 3]
    for n, talk in enumerate(one_lane):
        await sla.give(talk.opened(minute(n * 0.1)))
    await sla.h.crash()
    said = await sla.until(minute(60))
    assert len(said) == 2 * len(one_lane) > 4
    assert [e.data.occurred_at for e in said] == sorted(e.data.occurred_at for e in said)


async def test_events_of_one_clock_count_from_one_without_gaps(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.snoozed(minute(5)))
    await sla.h.crash()
    await sla.give(talk.reopened(minute(6)), talk.answered(minute(30)), talk.resolved(minute(900)))
    by_clock: dict[str, list[int]] = {}
    for event in sla.h.emitted:
        by_clock.setdefault(event.data.clock_id, []).append(event.data.version)
    assert [len(versions) for versions in by_clock.values()] == [4, 6]
    assert all(versions == list(range(1, len(versions) + 1)) for versions in by_clock.values())


async def test_an_earlier_message_that_comes_late_supersedes_the_clock_of_the_later_one(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)), talk.asked(minute(8)))
    said = await sla.give(talk.asked(minute(5)))
    assert [(e.data.type, e.data.started_at) for e in said] == [
        ("clock.started.v1", minute(5)),
        ("clock.cancelled.v1", minute(8)),
    ]
    assert said[1].data.reason == "superseded"
    assert [row for row in await sla.rows("metric", "due_at") if row[0] == NEXT] == [(NEXT, minute(15))]
    assert words(await sla.until(minute(20)), NEXT) == [("warned", minute(13)), ("breached", minute(15))]


STANDING = (
    "metric",
    "number",
    "state",
    "started_at",
    "due_at",
    "warned",
    "breached",
    "pauses",
    "ended_at",
    "reason",
)


def day(talk: Talk) -> list[ConversationEvent]:
    return [
        talk.opened(START),
        talk.asked(START),
        talk.answered(minute(20)),
        talk.asked(minute(25)),
        talk.snoozed(minute(27)),
        talk.reopened(minute(60)),
        talk.answered(minute(61)),
        talk.resolved(minute(70)),
        talk.reopened(minute(80)),
        talk.asked(minute(80)),
        talk.transferred(minute(82), "quick"),
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_events_shuffled_within_a_conversation_end_in_the_same_rows(
    postgres_dsn: str, seed: int
) -> None:
    ends = []
    for shuffled in (False, True):
        async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
            sla = Sla(harness)
            events = day(Talk("ana"))
            if shuffled:
                random.Random(seed).shuffle(events)
                await harness.time.advance(timedelta(minutes=90))
            for number, event in enumerate(events):
                await sla.give(event)
                if number % 3 == seed % 3:
                    await harness.crash()
            await sla.until(minute(600))
            ends.append(await sla.rows(*STANDING))
            assert await harness.rows("select * from dead_letter") == []
    assert len(ends[0]) == 5
    assert ends[0] == ends[1]


def stories(seed: int) -> list[ConversationEvent]:
    """Some hours of several conversations, in order of event time."""
    dice = random.Random(seed)
    events: list[ConversationEvent] = []
    for n in range(25):
        talk, at, phase = (
            Talk(f"s{n}", dice.choice(["general", "quick"])),
            minute(dice.uniform(0, 100)),
            "open",
        )
        events.append(talk.opened(at))
        for _ in range(dice.randrange(9)):
            at += timedelta(seconds=dice.choice([5, 50, 300, 650, 1000, 3000]))
            tell = {
                "open": [talk.asked, talk.answered, talk.asked, talk.snoozed, talk.resolved],
                "snoozed": [talk.reopened],
                "resolved": [talk.reopened],
            }[phase]
            event = dice.choice(tell)(at)
            phase = {
                "conversation.snoozed.v1": "snoozed",
                "conversation.resolved.v1": "resolved",
                "conversation.reopened.v1": "open",
            }.get(event.type, phase)
            events.append(event)
    return sorted(events, key=lambda event: event.occurred_at)


def breaches(events: Sequence[Event[Any]]) -> list[tuple[str, Metric, datetime]]:
    return sorted(
        (e.data.conversation_id, e.data.metric, e.data.occurred_at)
        for e in events
        if e.data.type == "clock.breached.v1"
    )


@pytest.mark.parametrize("seed", range(3))
async def test_an_outage_of_an_hour_ends_in_the_same_breaches_each_once(postgres_dsn: str, seed: int) -> None:
    """The same log, once read as it comes and once with an hour in which nobody reads."""
    ends, heard = [], []
    for outage in (False, True):
        async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
            sla = Sla(harness)
            missed = []
            for event in stories(seed):
                if outage and minute(40) <= event.occurred_at < minute(100):
                    await harness.time.advance(max(event.occurred_at - harness.time.now(), timedelta(0)))
                    missed.append(sla.record(event))
                    continue
                if missed:
                    await harness.time.advance(minute(100) - harness.time.now())
                    await harness.crash()
                    await harness.feed(missed)
                    missed.clear()
                await sla.give(event)
            await sla.until(minute(2000))
            heard.append(list(harness.emitted))
            ends.append(await sla.rows("conversation_id", *STANDING))
    assert len(breaches(heard[0])) > 10
    assert breaches(heard[1]) == breaches(heard[0])
    assert len(set(breaches(heard[1]))) == len(breaches(heard[1]))
    assert not any(event.data.corrects_breach for event in heard[1])
    assert ends[1] == ends[0]
    assert {(e.data.clock_id, e.data.version): e.data for e in heard[1]} == {
        (e.data.clock_id, e.data.version): e.data for e in heard[0]
    }


async def test_what_is_too_old_to_change_is_settled_and_the_conversation_goes_on(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)), talk.resolved(minute(2)))
    later = 60.0 * 30
    await sla.give(talk.reopened(minute(later)), talk.asked(minute(later)))
    row = (await sla.h.rows("select facts::text, base::text from conversation"))[0]
    assert '"opened"' not in row["facts"]
    assert row["facts"].count('"kind"') == 2
    assert await sla.rows("metric", "settled") == [
        ("first_response", True),
        ("resolution", True),
        ("next_response", False),
        ("resolution", False),
    ]
    await sla.h.crash()
    said = await sla.give(talk.answered(minute(later + 1)))
    assert words(said) == [("met", minute(later + 1))]
    # An answer from the settled past cannot change what ended then, nor end anything twice.
    assert await sla.give(talk.answered(minute(0.5))) == []


async def test_a_busy_conversation_keeps_a_bounded_number_of_facts(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)))
    asked = [START + timedelta(seconds=70 + n) for n in range(KEPT * 2)]
    await sla.h.time.advance(asked[-1] - START)
    await sla.h.feed([sla.record(talk.asked(at)) for at in asked])
    facts = (await sla.h.rows("select facts::text from conversation"))[0][0]
    assert facts.count('"kind"') <= KEPT
    assert facts.count('"kind"') >= KEPT // 2
    await sla.h.crash()
    said = await sla.give(talk.answered(asked[-1]))
    assert [(e.data.type, e.data.started_at) for e in said] == [("clock.met.v1", asked[0])]


async def test_the_holder_is_who_has_the_latest_work_item(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.assigned(minute(1)), talk.assigned(minute(2), "budi", "wki_2"))
    await sla.give(talk.completed(minute(3), "wki_1"))
    assert [tuple(row) for row in await sla.h.rows("select agent_id from holder")] == [("budi",)]
    await sla.give(talk.completed(minute(4), "wki_2"))
    assert await sla.h.rows("select * from holder") == []


async def test_gauges_tell_open_due_and_overdue_clocks(sla: Sla) -> None:
    await sla.give(Talk("ana").opened(START))
    await sla.give(Talk("budi").opened(minute(12)))
    await sla.until(minute(15.5))
    await count_open_clocks(Reads(sla.h.database), sla.h.time)
    labels = {"metric": "first_response", "policy": "gold"}
    found = [
        REGISTRY.get_sample_value(f"sambung_sla_{name}_clocks", labels) for name in ("open", "due", "overdue")
    ]
    assert found == [2, 0, 1]
    await sla.until(minute(23))
    await count_open_clocks(Reads(sla.h.database), sla.h.time)
    assert REGISTRY.get_sample_value("sambung_sla_due_clocks", labels) == 1


async def test_what_was_written_without_being_counted_is_counted_by_a_recount(sla: Sla) -> None:
    labels, reads = {"metric": "first_response", "policy": "gold"}, Reads(sla.h.database)

    async def counted() -> list[float | None]:
        await count_open_clocks(reads, sla.h.time)
        return [
            REGISTRY.get_sample_value(f"sambung_sla_{name}_clocks", labels) for name in ("open", "overdue")
        ]

    for name in ("ana", "budi", "citra"):
        await sla.give(Talk(name).opened(START))
    await sla.until(minute(15.5))
    await sla.h.crash()  # an older build goes on, and counts nothing
    await sla.h.database.execute("update clock set state = 'met' where conversation_id = $1", Talk("ana").id)
    for _ in range(2):
        await reads.recount()
        assert await counted() == [2, 2]
    await sla.give(Talk("budi").answered(minute(16)))
    assert await counted() == [1, 1]
    await reads.recount()
    assert await counted() == [1, 1]


async def test_figures_are_counted_once_per_event(sla: Sla) -> None:
    labels = {"metric": "first_response", "policy": "quick"}

    def count(name: str, **more: str) -> float:
        return REGISTRY.get_sample_value(f"sambung_sla_{name}", labels | more) or 0.0

    before = count("breached_total"), count("met_total", in_time="no"), count("started_total")
    talk = Talk("ana", "quick")
    await sla.give(talk.opened(START), talk.answered(minute(2)))
    after = count("breached_total"), count("met_total", in_time="no"), count("started_total")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
    lateness = labels | {"what": "deadline"}
    assert (REGISTRY.get_sample_value("sambung_sla_firing_lateness_seconds_count", lateness) or 0) >= 1
