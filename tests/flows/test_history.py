"""This file proves the history flow on the real database: each event one entry, once, whoever's it turns out to be."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from libs.contracts.envelope import Event, decode_payload
from libs.contracts.ids import entry_id
from libs.contracts.payloads.base import Content, Payload
from libs.contracts.payloads.conversations import ContactResolved
from libs.contracts.payloads.identity import ContactPointLinked
from libs.contracts.payloads.timeline import EntryRecorded
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.contracts.vocabulary import Channel, ContentKind
from libs.flow.harness import START, Harness
from services.history.flow import flow
from tests.unit.history.test_entries import EXAMPLES
from tests.unit.sla.story import Talk

pytestmark = pytest.mark.postgres


def second(n: float) -> datetime:
    return START + timedelta(seconds=n)


class History:
    """The flow, given each event by its key."""

    def __init__(self, harness: Harness) -> None:
        self.h = harness

    async def give(self, *payloads: Payload) -> list[Event[EntryRecorded]]:
        said: list[Event[EntryRecorded]] = []
        for payload in payloads:
            at: datetime = payload.occurred_at  # type: ignore[attr-defined]
            said += await self.h.give(payload, key=key_of(payload), at=at, source=source_of(payload))
        return said

    async def entries(self, columns: str = "entry_id", contact_id: str | None = None) -> list[Any]:
        rows = await self.h.rows(
            f"select {columns} from entry where $1::text is null or contact_id = $1 order by occurred_at, entry_id",
            contact_id,
        )
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    async def pending(self) -> int:
        return int((await self.h.rows("select count(*) from pending"))[0][0])


def source_of(payload: Payload) -> str:
    """Each topic has its producer's source; the harness numbers events by topic and partition."""
    partition = partition_of(key_of(payload).encode(), topic_map().partitions)
    return f"/{topic_of_type()[payload.type].name}/{partition}"


def key_of(payload: Payload) -> str:
    about_contact = payload.type in topic_map()["identity"].types
    return str(getattr(payload, "contact_id" if about_contact else "contact_point_id"))


@pytest.fixture
async def history(postgres_dsn: str) -> AsyncIterator[History]:
    async with Harness(flow(), postgres_dsn) as harness:
        yield History(harness)
        assert await harness.rows("select * from dead_letter") == []


def resolved_contact(talk: Talk, contact_id: str, at: datetime, name: str | None = None) -> ContactResolved:
    return ContactResolved(
        contact_point_id=talk.point,
        contact_id=contact_id,
        inbox_id="wa-main",
        channel=Channel.WHATSAPP,
        address="+6281200000001",
        name=name,
        occurred_at=at,
    )


def of(events: Sequence[Event[EntryRecorded]], *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(event.data, field) for field in fields) for event in events]


async def test_each_event_is_one_entry_on_its_contacts_timeline(history: History) -> None:
    talk = Talk("ana")
    said = await history.give(talk.opened(START), talk.asked(second(1)), talk.answered(second(2)))
    contact = said[0].data.contact_id
    assert of(said, "event_type", "text", "occurred_at") == [
        ("conversation.opened.v1", "Conversation opened in general", START),
        ("message.received.v1", "Halo", second(1)),
        ("message.queued.v1", "Selamat pagi", second(2)),
    ]
    assert {(e.key, e.envelope.correlation_id) for e in said} == {(contact, talk.id)}
    assert [e.envelope.time for e in said] == [START, second(1), second(2)]
    assert await history.entries() == [event.data.entry_id for event in said]


async def test_the_row_and_the_record_of_an_entry_say_the_same(history: History) -> None:
    talk = Talk("ana")
    await history.give(
        talk.opened(START), talk.asked(second(1)), talk.assigned(second(2)), talk.resolved(second(3))
    )
    columns = list(EntryRecorded.model_fields)
    rows = await history.entries(", ".join(columns))
    for row, event in zip(rows, history.h.emitted, strict=True):
        found = dict(zip(columns, row, strict=True))
        for name in ("author", "content", "details"):
            found[name] = found[name] and json.loads(found[name])
        assert EntryRecorded.model_validate(found) == event.data


@pytest.mark.parametrize("topic", ["conversations", "assignments", "sla", "identity"])
async def test_every_type_of_every_topic_becomes_exactly_one_entry(history: History, topic: str) -> None:
    names = topic_map()[topic].types
    whose = resolved_contact(Talk("ana"), "con_ana", START)
    said = []
    for name in names:
        raw = json.loads((EXAMPLES / f"{name}.json").read_text())["data"]
        if topic != "identity":
            raw["contact_point_id"] = whose.contact_point_id
        if "contact_id" in raw:
            raw["contact_id"] = "con_ana"
        said.append(decode_payload(name, json.dumps(raw).encode()))
    await history.give(whose, *said)
    await history.h.crash()
    kept = await history.entries("event_type")
    assert sorted(kept) == sorted([*names, whose.type])
    assert sorted(event.data.event_type for event in history.h.emitted) == sorted(kept)


async def test_an_entry_waits_for_its_contact_across_a_crash_and_keeps_its_own_time(history: History) -> None:
    talk = Talk("ana")
    early = talk.assigned(second(5)), talk.completed(second(9))
    assert await history.give(*early) == []
    assert await history.pending() == 2
    await history.h.crash()
    said = await history.give(talk.opened(second(10)))
    assert of(said, "event_type", "occurred_at") == [
        ("work.assigned.v1", second(5)),
        ("work.completed.v1", second(9)),
        ("conversation.opened.v1", second(10)),
    ]
    assert {event.data.contact_id for event in said} == {said[-1].data.contact_id}
    assert [event.envelope.time for event in said] == [second(5), second(9), second(10)]
    assert await history.pending() == 0
    assert len(await history.give(talk.assigned(second(11)))) == 1


async def test_a_waiting_entry_has_the_same_id_as_one_that_did_not_wait(history: History) -> None:
    talk = Talk("ana")
    record = history.h.record(talk.assigned(second(5)), key=talk.point)
    headers = dict(record.headers)
    await history.h.feed([record, record])
    (said, _) = await history.give(talk.opened(second(10)))
    assert said.data.entry_id == entry_id(headers["ce_source"].decode(), headers["ce_id"].decode())


async def test_contact_resolved_tells_whose_a_contact_point_is_and_what_it_is_called(
    history: History,
) -> None:
    talk = Talk("ana")
    await history.give(talk.assigned(START))
    said = await history.give(resolved_contact(talk, "con_ana", second(1), "Ana"))
    assert of(said, "contact_id", "event_type") == [
        ("con_ana", "work.assigned.v1"),
        ("con_ana", "contact.resolved.v1"),
    ]
    rows = await history.h.rows("select contact_id, inbox_id, channel, address, name from contact_point")
    assert [tuple(row) for row in rows] == [("con_ana", "wa-main", "whatsapp", "+6281200000001", "Ana")]
    await history.give(talk.opened(second(2)))
    rows = await history.h.rows("select name from contact_point")
    assert [tuple(row) for row in rows] == [("Ana",)]


async def test_after_a_contact_point_changes_hands_new_entries_go_to_the_new_contact_and_old_ones_stay(
    history: History,
) -> None:
    talk = Talk("ana")
    await history.give(resolved_contact(talk, "con_one", START), talk.assigned(second(1)))
    await history.h.crash()
    await history.give(resolved_contact(talk, "con_two", second(2)), talk.completed(second(3)))
    assert await history.entries("event_type", "con_one") == ["contact.resolved.v1", "work.assigned.v1"]
    assert await history.entries("event_type", "con_two") == ["contact.resolved.v1", "work.completed.v1"]


async def test_an_event_of_identity_needs_no_contact_point(history: History) -> None:
    linked = ContactPointLinked(
        contact_id="con_ana",
        contact_point_id="cpt_elsewhere",
        inbox_id="wa-main",
        channel=Channel.WHATSAPP,
        address="+6281200000001",
        occurred_at=START,
    )
    assert of(await history.give(linked), "contact_id", "kind") == [("con_ana", "identity")]
    assert await history.h.rows("select * from contact_point") == []


async def test_text_that_the_database_refuses_costs_nothing_but_the_character(history: History) -> None:
    talk = Talk("ana")
    message = talk.asked(START).model_copy(
        update={"content": Content(kind=ContentKind.TEXT, text="a\0b", details={"x": "\0"})}
    )
    said = await history.give(message)
    assert of(said, "text") == [("a\ufffdb",)]
    assert len(await history.entries()) == 1


async def test_a_repeated_event_after_a_crash_changes_nothing(history: History) -> None:
    talk = Talk("ana")
    record = history.h.record(talk.opened(START), key=talk.point)
    await history.h.feed([record])
    before = await history.entries("entry_id, recorded_xid::text")
    await history.h.crash()
    assert await history.h.feed([record, record]) == []
    assert await history.entries("entry_id, recorded_xid::text") == before


@pytest.mark.parametrize("seed", range(4))
async def test_topics_merged_in_any_order_with_crashes_give_the_same_timelines(
    postgres_dsn: str, seed: int
) -> None:
    """Each topic keeps its order; which of them is read first is chance."""
    timelines = []
    for shuffled in (False, True):
        async with Harness(flow(), postgres_dsn) as harness:
            history = History(harness)
            topics: list[list[Payload]] = [[], []]
            for n, name in enumerate(["ana", "budi", "citra"]):
                talk = Talk(name)
                topics[0] += [talk.opened(second(n)), talk.asked(second(n)), talk.answered(second(n + 20))]
                topics[1] += [talk.assigned(second(n + 10)), talk.completed(second(n + 30))]
            dice = random.Random(seed)
            while topics[0] or topics[1]:
                chosen = dice.randrange(2) if shuffled else int(not topics[0])
                if topics[chosen]:
                    await history.give(topics[chosen].pop(0))
                    if dice.random() < 0.2:
                        await harness.crash()
            timelines.append(
                sorted(await history.entries("contact_id, event_type, occurred_at, conversation_id, text"))
            )
            assert await history.pending() == 0
            assert len(history.h.emitted) == 15
    assert timelines[0] == timelines[1]


async def test_entries_are_counted_once_by_kind(history: History) -> None:
    def count(kind: str) -> float:
        return REGISTRY.get_sample_value("sambung_history_entries_total", {"kind": kind}) or 0.0

    lag = "sambung_history_apply_lag_seconds_count"
    before = count("message"), count("assignment"), REGISTRY.get_sample_value(lag) or 0
    talk = Talk("ana")
    await history.give(talk.assigned(START), talk.asked(second(1)))
    after = count("message"), count("assignment"), REGISTRY.get_sample_value(lag) or 0
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
