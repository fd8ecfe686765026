"""This file proves on the real database how customers' messages become conversations."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.contracts.ids import contact_id, incoming_message_id
from libs.contracts.payloads.base import Content
from libs.contracts.payloads.commands import ResolveConversation, SnoozeConversation
from libs.contracts.payloads.conversations import ConversationOpened, MessageReceived
from libs.contracts.payloads.inbound import (
    EditIngested,
    ReactionIngested,
    SignalIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import AuthorKind, Channel, ContentKind
from libs.flow.harness import START
from libs.flow.store import Statement
from tests.flows.conversations_desk import Desk, first, kinds, only, opened
from tests.unit.router.conversations.examples import HOUR, SITI, message, point_of, text

pytestmark = pytest.mark.postgres

POINT = point_of()


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with opened(postgres_dsn) as found:
        yield found


def about(**fields: object) -> dict[str, object]:
    """What every item of the customer has."""
    common = {"inbox_id": "wa", "channel": Channel.WHATSAPP, "address": SITI, "contact_point_id": POINT}
    return {**common, "occurred_at": START, **fields}


async def test_first_message_makes_contact_conversation_and_work(desk: Desk) -> None:
    events = await desk.says("pesanan saya belum sampai", profile_name="Siti")
    assert kinds(events) == [
        "contact.resolved",
        "contact_point.linked",
        "conversation.opened",
        "message.received",
        "work.requested",
    ]
    opened_, received, work = (only(events, kind) for kind in kinds(events)[2:])
    assert (opened_.queue, opened_.pool, opened_.customer_name) == ("umum", "layanan", "Siti")
    assert received.message_id == incoming_message_id(POINT, "wamid.1")
    assert (received.author.kind, received.content.text) == (AuthorKind.CUSTOMER, "pesanan saya belum sampai")
    assert (work.skills, work.queue, work.requested_at) == ({"bahasa": 1}, "umum", START)
    assert {event.key for event in events} == {POINT, "layanan", contact_id(POINT)}


async def test_next_message_goes_to_the_same_conversation_and_claims_nothing_more(desk: Desk) -> None:
    await desk.says()
    events = await desk.says("masih di sana?")
    assert kinds(events) == ["message.received"]
    assert events[0].data.version == 3


async def test_every_crash_between_two_messages_leaves_one_conversation(desk: Desk) -> None:
    for number in range(4):
        await desk.says(str(number))
        await desk.h.crash()
    heard = [event.data.content.text for event in desk.h.emitted if isinstance(event.data, MessageReceived)]
    assert heard == ["0", "1", "2", "3"]
    assert kinds(desk.h.emitted).count("conversation.opened") == 1


async def test_message_in_an_open_conversation_costs_no_query_before_and_two_rows_after(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.says()
    (lane,) = desk.h._lanes.values()
    store, written = lane.work.store, []

    class Refusing:
        async def fetch(self, sql: str, *args: object) -> list[object]:
            raise AssertionError(sql)

    load, statements = store.load, store.statements

    def spying() -> list[Statement]:
        found = statements()
        written.extend([(s.sql.split('"')[1], len(s.columns[0])) for s in found])
        return found

    monkeypatch.setattr(store, "load", lambda db, items: load(Refusing(), items))
    monkeypatch.setattr(store, "statements", spying)
    assert kinds(await desk.says("lagi")) == ["message.received"]
    assert written == [("conversation", 1), ("message", 1)]


async def test_message_within_the_window_reopens_and_a_later_one_begins_the_next(desk: Desk) -> None:
    await desk.says()
    await desk.asks(ResolveConversation)
    await desk.h.advance(24 * HOUR)
    events = await desk.says("satu lagi")
    assert kinds(events) == ["conversation.reopened", "message.received", "work.requested"]
    await desk.asks(ResolveConversation)
    await desk.h.advance(24 * HOUR + timedelta(seconds=1))
    events = await desk.says("soal lain")
    assert kinds(events) == ["conversation.opened", "message.received", "work.requested"]
    assert events[0].data.conversation_id == first(number=2)
    assert only(events, "conversation.opened").previous_conversation_id == first()


async def test_message_written_before_the_end_but_heard_after_it_reopens_and_keeps_its_own_time(
    desk: Desk,
) -> None:
    await desk.says()
    await desk.h.advance(HOUR)
    await desk.asks(ResolveConversation)
    late = START + timedelta(minutes=30)
    events = await desk.says("sebentar", at=late)
    assert only(events, "message.received").occurred_at == late
    assert only(events, "conversation.reopened").occurred_at == START + HOUR


async def test_a_customers_message_wakes_a_snoozed_conversation(desk: Desk) -> None:
    await desk.says()
    await desk.asks(SnoozeConversation, until=START + 5 * HOUR)
    events = await desk.says("sudah saya kirim")
    assert kinds(events) == ["conversation.reopened", "message.received", "work.requested"]
    assert await desk.h.advance(10 * HOUR) == []


async def test_an_older_message_heard_later_does_not_bring_the_old_name_back(desk: Desk) -> None:
    await desk.says(at=START, profile_name="Siti")
    await desk.h.advance(HOUR)
    renamed = await desk.says(at=START + HOUR, profile_name="Siti Aminah")
    assert only(renamed, "contact.resolved").name == "Siti Aminah"
    late = await desk.says(at=START + timedelta(minutes=1), profile_name="Siti")
    assert kinds(late) == ["message.received"]


async def test_time_that_cannot_be_is_replaced_by_the_time_of_hearing(desk: Desk) -> None:
    events = await desk.says(at=START + timedelta(days=9000))
    assert {event.data.occurred_at for event in events if event.data.type != "work.requested.v1"} == {START}
    near = START + timedelta(minutes=5)
    assert only(await desk.says(at=near), "message.received").occurred_at == near


async def test_quoted_message_is_named_by_our_own_id(desk: Desk) -> None:
    await desk.says(name="wamid.first")
    events = await desk.says("yang ini", reply_to="wamid.first")
    assert only(events, "message.received").reply_to == incoming_message_id(POINT, "wamid.first")
    assert only(await desk.says("itu", reply_to="wamid.never"), "message.received").reply_to is None


async def test_echo_is_shown_as_the_business_and_asks_for_no_attention(desk: Desk) -> None:
    await desk.says()
    events = await desk.says("kami bantu ya", echo=True)
    assert kinds(events) == ["message.received"]
    assert only(events, "message.received").author.kind is AuthorKind.AGENT
    await desk.asks(ResolveConversation)
    assert kinds(await desk.says("sampai jumpa", echo=True)) == ["message.received"]
    assert (await desk.row())["state"] == "resolved"


async def test_conversation_that_the_business_began_waits_resolved_for_the_customers_answer(
    desk: Desk,
) -> None:
    events = await desk.says("pesanan Anda siap", echo=True)
    assert kinds(events)[2:] == ["conversation.opened", "message.received", "conversation.resolved"]
    events = await desk.says("terima kasih")
    assert kinds(events) == ["conversation.reopened", "message.received", "work.requested"]


async def test_edit_and_withdrawal_reach_the_message_also_after_the_end(desk: Desk) -> None:
    await desk.says("kode saya 1234", name="wamid.secret")
    await desk.h.advance(2 * HOUR)
    content = Content(kind=ContentKind.TEXT, text="kode saya ****")
    at = START + HOUR
    edit = EditIngested(
        **about(item_id="e1", occurred_at=at), provider_message_id="wamid.secret", content=content
    )
    assert only(await desk.item(edit), "message.edited").content == content
    await desk.asks(ResolveConversation)
    await desk.h.crash()
    gone = EditIngested(**about(item_id="e2", occurred_at=at + HOUR), provider_message_id="wamid.secret")
    assert only(await desk.item(gone), "message.edited").content is None
    stale = EditIngested(
        **about(item_id="e3", occurred_at=at), provider_message_id="wamid.secret", content=content
    )
    assert await desk.item(stale) == []
    unknown = EditIngested(**about(item_id="e4"), provider_message_id="wamid.never")
    assert await desk.item(unknown) == []


async def test_reaction_names_the_message(desk: Desk) -> None:
    await desk.says(name="wamid.1")
    reaction = ReactionIngested(**about(item_id="r1"), provider_message_id="wamid.1", emoji="👍")
    assert only(await desk.item(reaction), "message.reacted").message_id == incoming_message_id(
        POINT, "wamid.1"
    )


async def test_signal_is_a_note_in_a_live_conversation_and_nothing_else(desk: Desk) -> None:
    signal = SignalIngested(**about(item_id="s0"), kind="call", text="panggilan tak terjawab")
    assert await desk.item(signal) == []
    await desk.says()
    note = only(await desk.item(signal.model_copy(update={"item_id": "s1"})), "note.added")
    assert (note.author.kind, note.text) == (AuthorKind.SYSTEM, "call: panggilan tak terjawab")
    await desk.asks(ResolveConversation)
    assert await desk.item(signal.model_copy(update={"item_id": "s2"})) == []


async def test_item_that_nobody_understood_is_shown_where_it_has_an_address(desk: Desk) -> None:
    item = UnsupportedIngested(
        **about(item_id="u1", raw={"type": "hologram"}), reason="unknown type hologram"
    )
    received = only(await desk.item(item), "message.received")
    assert received.content.kind is ContentKind.UNSUPPORTED
    nobody = UnsupportedIngested(**about(item_id="u2", address="", contact_point_id=point_of("")), reason="?")
    assert await desk.item(nobody) == []


async def test_text_with_nul_is_kept_and_harms_no_other_message(desk: Desk) -> None:
    events = await desk.says("a", name="wamid.\0", profile_name="Si\0ti", reply_to="x\0y")
    assert only(events, "contact.resolved").name == "Si�ti"
    edit = EditIngested(**about(item_id="e"), provider_message_id="wamid.\0", content=text("b"))
    assert kinds(await desk.item(edit)) == ["message.edited"]


async def test_message_of_an_inbox_that_the_workspace_does_not_have_is_kept_as_dead(
    postgres_dsn: str,
) -> None:
    async with opened(postgres_dsn) as desk:
        stranger = message("wamid.1").model_copy(update={"inbox_id": "gone"})
        assert await desk.item(stranger) == []
        rows = await desk.h.rows("select state, reason, detail from dead_letter")
        assert [(row["state"], "gone" in row["detail"]) for row in rows] == [("dead", True)]
        await desk.h.database.execute("delete from dead_letter")


async def test_record_under_a_strange_key_touches_no_other_lanes_rows(postgres_dsn: str) -> None:
    async with opened(postgres_dsn) as desk:
        await desk.h.give(message(), key="cpt_other", id="x", source="/ingest/wa")
        assert desk.h.emitted == []
        assert await desk.h.rows("select 1 from contact_point") == []
        await desk.h.database.execute("delete from dead_letter")


async def test_many_contact_points_in_one_batch_each_get_their_own(desk: Desk) -> None:
    records = []
    for number in range(200):
        one = message(f"wamid.{number}", address=f"62812000{number:05}", at=START)
        records.append(desk.h.record(one, key=one.contact_point_id, id=one.item_id, source="/ingest/wa"))
    events = await desk.h.feed(records + records)
    opened_ = [event.data.conversation_id for event in events if isinstance(event.data, ConversationOpened)]
    assert len(set(opened_)) == len(opened_) == 200
