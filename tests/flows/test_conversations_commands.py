"""This file proves on the real database what becomes of each command: an event, or a refusal with its code."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.envelope import Event
from libs.contracts.ids import incoming_message_id, outgoing_message_id
from libs.contracts.payloads.assignments import WorkRequested
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.commands import (
    AddNote,
    ConversationCommand,
    PrioritiseConversation,
    ResolveConversation,
    SendReply,
    SnoozeConversation,
    TagConversation,
    TransferConversation,
)
from libs.contracts.payloads.conversations import ConversationResolved, MessageQueued
from libs.contracts.vocabulary import MessageStatus
from libs.flow.harness import START
from tests.flows.conversations_desk import Desk, first, kinds, only, opened
from tests.unit.router.conversations.examples import (
    AYU,
    BOT,
    BUDI,
    GANI,
    HENDRA,
    HOUR,
    NOBODY,
    SITI,
    point_of,
    text,
)

pytestmark = pytest.mark.postgres

POINT = point_of()


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    """The customer has written."""
    async with opened(postgres_dsn) as found:
        await found.says()
        yield found


def refusal(events: list[Event[Any]]) -> str:
    code: str = only(events, "command.refused").code
    assert len(events) == 1
    return code


async def test_reply_is_told_and_handed_to_delivery_once(desk: Desk) -> None:
    events = await desk.asks(
        SendReply, content=text("sebentar ya"), id="k1", reply_to=incoming_message_id(POINT, "wamid.1")
    )
    assert kinds(events) == ["message.queued", "message.requested"]
    queued, requested = (event.data for event in events)
    assert queued.message_id == requested.message_id == outgoing_message_id(POINT, "/desk/ayu#k1")
    assert (queued.author.agent_id, queued.author.name) == ("ayu", "Ayu Lestari")
    assert (requested.address, requested.reply_to) == (SITI, "wamid.1")
    assert {event.envelope.causation_id for event in events} == {"/desk/ayu#k1"}


async def test_one_idempotency_key_used_by_two_agents_names_two_messages(desk: Desk) -> None:
    await desk.asks(SendReply, content=text("a"), by=AYU, id="1")
    await desk.asks(SendReply, content=text("b"), by=BUDI, id="1")
    names = {event.data.message_id for event in desk.h.emitted if isinstance(event.data, MessageQueued)}
    assert len(names) == 2


async def test_command_repeated_after_a_crash_is_carried_out_once(desk: Desk) -> None:
    await desk.asks(SendReply, content=text("a"), id="k")
    await desk.h.crash()
    assert await desk.asks(SendReply, content=text("a"), id="k") == []


async def test_reply_outside_the_window_of_the_channel_is_refused(desk: Desk) -> None:
    await desk.h.advance(24 * HOUR)
    assert kinds(await desk.asks(SendReply, content=text("masih sempat")))[0] == "message.queued"
    await desk.h.advance(timedelta(seconds=1))
    assert refusal(await desk.asks(SendReply, content=text("terlambat"))) == "window_closed"
    await desk.says("saya di sini")
    assert kinds(await desk.asks(SendReply, content=text("baik")))[0] == "message.queued"


async def test_window_stays_open_over_the_end_of_a_conversation(desk: Desk) -> None:
    """The window is the customer's, not the conversation's."""
    await desk.asks(ResolveConversation)
    await desk.says("halo lagi")
    assert kinds(await desk.asks(SendReply, content=text("ya?")))[0] == "message.queued"


async def test_snoozed_conversation_takes_a_reply_and_stays_snoozed(desk: Desk) -> None:
    await desk.asks(SnoozeConversation, until=START + HOUR)
    assert kinds(await desk.asks(SendReply, content=text("kami cek"))) == [
        "message.queued",
        "message.requested",
    ]
    assert (await desk.row())["state"] == "snoozed"


REFUSED: list[tuple[type[ConversationCommand], dict[str, Any], str]] = [
    (SendReply, {"content": text("  ")}, "empty"),
    (SendReply, {"content": text("x" * 65_537)}, "too_long"),
    (SendReply, {"content": text("x"), "reply_to": "msg_never"}, "unknown_message"),
    (SendReply, {"content": text("x"), "of": "cnv_never"}, "not_found"),
    (SendReply, {"content": text("x"), "of": "cnv_\0"}, "not_found"),
    (AddNote, {"text": " "}, "empty"),
    (AddNote, {"text": "x" * 65_537}, "too_long"),
    (SnoozeConversation, {"until": START}, "until_past"),
    (SnoozeConversation, {"until": START - HOUR}, "until_past"),
    (SnoozeConversation, {"until": START + timedelta(days=400)}, "until_far"),
    (TransferConversation, {}, "invalid"),
    (TransferConversation, {"queue": "umum", "agent_id": "ayu"}, "invalid"),
    (TransferConversation, {"queue": "never"}, "unknown_queue"),
    (TransferConversation, {"agent_id": "never"}, "unknown_agent"),
    (TransferConversation, {"queue": "umum", "skill": "refund"}, "invalid"),
    (TransferConversation, {"skill": "refund", "level": 4}, "no_skill"),
    (TagConversation, {"add": ("x" * 101,)}, "too_long"),
    (TagConversation, {"add": tuple(map(str, range(51)))}, "too_many_tags"),
    (AddNote, {"text": "x", "by": NOBODY}, "unknown_agent"),
    (AddNote, {"text": "x", "by": GANI}, "not_yours"),
    (AddNote, {"text": "x", "by": Author(kind="customer")}, "not_allowed"),
]
GOING_ON: list[tuple[type[ConversationCommand], dict[str, Any]]] = [
    (SendReply, {"content": text("x")}),
    (ResolveConversation, {}),
    (SnoozeConversation, {"until": START + HOUR}),
    (TransferConversation, {"queue": "prioritas"}),
]


async def test_command_that_cannot_be_carried_out_is_refused_and_changes_nothing(desk: Desk) -> None:
    before = dict(await desk.row())
    for number, (command, fields, code) in enumerate(REFUSED):
        events = await desk.asks(command, id=f"k{number}", **fields)
        assert refusal(events) == code
        assert only(events, "command.refused").command_id == f"k{number}"
        assert events[0].envelope.causation_id.endswith(f"#k{number}")
    assert dict(await desk.row()) == before


async def test_resolved_conversation_refuses_what_would_go_on_with_it(desk: Desk) -> None:
    await desk.asks(ResolveConversation)
    for command, fields in GOING_ON:
        assert refusal(await desk.asks(command, **fields)) == "resolved"


async def test_resolved_conversation_takes_notes_and_tags_also_when_another_has_begun(desk: Desk) -> None:
    await desk.asks(ResolveConversation)
    await desk.h.advance(48 * HOUR)
    await desk.says("soal lain")
    await desk.h.crash()
    assert kinds(await desk.asks(AddNote, text="dibayar 2 Maret")) == ["note.added"]
    assert only(await desk.asks(TagConversation, add=("bayar",)), "conversation.tagged").tags == ("bayar",)


async def test_holder_and_supervisor_command_and_others_do_not(desk: Desk) -> None:
    await desk.assigned("ayu")
    assert refusal(await desk.asks(AddNote, text="x", by=BUDI)) == "not_yours"
    for author in (AYU, HENDRA, BOT):
        assert kinds(await desk.asks(AddNote, text="x", by=author)) == ["note.added"]
    await desk.queued_again()
    assert kinds(await desk.asks(AddNote, text="x", by=BUDI)) == ["note.added"]


async def test_resolve_gives_the_work_up_with_wrap_up(desk: Desk) -> None:
    work = desk.last(WorkRequested)
    await desk.assigned("ayu")
    events = await desk.asks(ResolveConversation, reason="selesai")
    assert sorted(kinds(events)) == ["conversation.resolved", "work.withdrawn"]
    withdrawn = only(events, "work.withdrawn")
    assert (withdrawn.work_item_id, withdrawn.reason, withdrawn.wrap_up) == (
        work.work_item_id,
        "resolved",
        True,
    )
    resolved = only(events, "conversation.resolved")
    assert (resolved.by.agent_id, resolved.reason) == ("ayu", "selesai")


async def test_snooze_ends_at_its_hour_with_new_work_for_whoever_held_it(desk: Desk) -> None:
    await desk.assigned("ayu")
    events = await desk.asks(SnoozeConversation, until=START + HOUR)
    assert sorted(kinds(events)) == ["conversation.snoozed", "work.withdrawn"]
    assert only(events, "work.withdrawn").wrap_up is False
    await desk.h.crash()
    events = await desk.h.advance(3 * HOUR)
    assert kinds(events) == ["conversation.reopened", "work.requested"]
    assert only(events, "conversation.reopened").occurred_at == START + HOUR
    assert only(events, "work.requested").last_agent_id == "ayu"
    assert await desk.h.advance(24 * HOUR) == []


async def test_snooze_that_is_moved_ends_once_at_the_new_hour(desk: Desk) -> None:
    await desk.asks(SnoozeConversation, until=START + HOUR)
    assert kinds(await desk.asks(SnoozeConversation, until=START + 3 * HOUR)) == ["conversation.snoozed"]
    assert await desk.h.advance(2 * HOUR) == []
    assert kinds(await desk.h.advance(2 * HOUR)) == ["conversation.reopened", "work.requested"]


async def test_snoozed_conversation_that_is_resolved_does_not_come_back(desk: Desk) -> None:
    await desk.asks(SnoozeConversation, until=START + HOUR)
    assert kinds(await desk.asks(ResolveConversation)) == ["conversation.resolved"]
    assert await desk.h.advance(2 * HOUR) == []


async def test_transfer_to_a_queue_goes_on_waiting_with_its_age(desk: Desk) -> None:
    await desk.assigned("ayu")
    await desk.h.advance(HOUR)
    events = await desk.asks(TransferConversation, queue="prioritas")
    assert sorted(kinds(events)) == ["conversation.transferred", "work.requested", "work.withdrawn"]
    work = only(events, "work.requested")
    assert (work.queue, work.priority, work.skills) == ("prioritas", 10, {"bahasa": 3})
    assert (work.requested_at, work.last_agent_id, work.only_agent_id) == (START, None, None)
    assert (work.reason, work.excluded_agent_ids) == ("transferred", ("ayu",))
    assert kinds(events).index("work.withdrawn") < kinds(events).index("work.requested")


async def test_transfer_to_an_agent_names_them_alone_and_moves_to_their_pool(desk: Desk) -> None:
    near = await desk.asks(TransferConversation, agent_id="budi")
    assert (only(near, "work.requested").only_agent_id, only(near, "work.requested").queue) == (
        "budi",
        "umum",
    )
    far = await desk.asks(TransferConversation, agent_id="gani")
    withdrawn, requested = only(far, "work.withdrawn"), only(far, "work.requested")
    assert (withdrawn.pool, requested.pool, requested.queue) == ("layanan", "logistik", "gudang")
    assert only(far, "conversation.transferred").queue == "gudang"
    assert refusal(await desk.asks(AddNote, text="x", by=AYU)) == "not_yours"
    assert kinds(await desk.asks(AddNote, text="x", by=GANI)) == ["note.added"]


async def test_transfer_to_a_skill_asks_for_it_besides_those_of_the_queue(desk: Desk) -> None:
    events = await desk.asks(TransferConversation, skill="refund", level=2)
    work = only(events, "work.requested")
    assert (work.queue, work.skills, work.excluded_agent_ids) == ("umum", {"bahasa": 1, "refund": 2}, ())
    assert only(events, "conversation.transferred").skill == "refund"


async def test_transfer_by_a_supervisor_leaves_out_who_held_it_and_to_the_holder_is_refused(
    desk: Desk,
) -> None:
    await desk.assigned("ayu")
    assert refusal(await desk.asks(TransferConversation, agent_id="ayu", by=HENDRA)) == "already_theirs"
    events = await desk.asks(TransferConversation, agent_id="budi", by=HENDRA)
    work = only(events, "work.requested")
    assert (work.only_agent_id, work.excluded_agent_ids) == ("budi", ("ayu",))


async def test_transfer_opens_a_snoozed_conversation(desk: Desk) -> None:
    await desk.asks(SnoozeConversation, until=START + HOUR)
    events = await desk.asks(TransferConversation, queue="prioritas")
    assert kinds(events) == ["conversation.reopened", "conversation.transferred", "work.requested"]
    assert await desk.h.advance(2 * HOUR) == []


async def test_tags_are_told_whole_after_each_change(desk: Desk) -> None:
    await desk.asks(TagConversation, add=("retur", "vip", " retur "))
    await desk.h.crash()
    events = await desk.asks(TagConversation, add=("lunas",), remove=("vip",))
    assert only(events, "conversation.tagged").tags == ("retur", "lunas")


async def test_the_tag_vip_of_waiting_work_is_told_to_matching_and_goes_along_to_later_work(
    desk: Desk,
) -> None:
    assert not desk.last(WorkRequested).vip
    tagged = await desk.asks(TagConversation, add=("vip",))
    told = only(tagged, "work.reprioritised")
    work = desk.last(WorkRequested)
    assert (told.vip, told.work_item_id, told.priority, told.due_at) == (True, work.work_item_id, None, None)
    assert kinds(await desk.asks(TagConversation, add=("retur",))) == ["conversation.tagged"]
    await desk.h.crash()
    moved = await desk.asks(TransferConversation, queue="prioritas")
    assert only(moved, "work.requested").vip
    assert only(await desk.asks(TagConversation, remove=("vip",)), "work.reprioritised").vip is False


async def test_the_tag_vip_of_a_conversation_without_work_is_told_with_its_next(desk: Desk) -> None:
    await desk.asks(ResolveConversation)
    assert kinds(await desk.asks(TagConversation, add=("vip",))) == ["conversation.tagged"]
    assert only(await desk.says("masih ada"), "work.requested").vip


async def test_a_priority_is_raised_by_a_person_as_by_a_policy_and_never_lowered(desk: Desk) -> None:
    events = await desk.asks(PrioritiseConversation, priority=8)
    told = only(events, "conversation.prioritised")
    assert (told.priority, told.by.agent_id) == (8, "ayu")
    assert only(events, "work.reprioritised").least_priority == 8
    await desk.asks(PrioritiseConversation, priority=3)
    await desk.asks(TransferConversation, agent_id="budi")
    assert desk.last(WorkRequested).priority == 8
    await desk.asks(ResolveConversation)
    assert only(await desk.asks(PrioritiseConversation, priority=9), "command.refused").code == "resolved"


async def test_queue_that_the_workspace_lost_is_replaced_by_the_inboxes_own(desk: Desk) -> None:
    await desk.asks(ResolveConversation)
    await desk.h.database.execute("update conversation set queue = 'gone'")
    await desk.h.crash()
    assert only(await desk.says(), "work.requested").queue == "umum"


async def test_late_command_is_not_dated_before_the_state_it_changes(desk: Desk) -> None:
    await desk.h.advance(HOUR)
    await desk.says("masih ada")
    await desk.asks(ResolveConversation)
    await desk.says("eh, satu lagi")
    await desk.asks(ResolveConversation, at=START)
    ends = [
        event.data.occurred_at for event in desk.h.emitted if isinstance(event.data, ConversationResolved)
    ]
    assert ends == [START + HOUR, START + HOUR]


async def test_message_of_ours_is_known_by_its_status(desk: Desk) -> None:
    message = (await desk.asks(SendReply, content=text("x")))[0].data.message_id
    (row,) = await desk.h.rows("select * from message where message_id = $1", message)
    assert (row["status"], row["conversation_id"]) == (MessageStatus.QUEUED, first())


async def test_command_whose_key_holds_a_nul_can_set_a_timer(desk: Desk) -> None:
    events = await desk.asks(SnoozeConversation, id="a\0b", until=desk.now + timedelta(hours=1))
    assert "conversation.snoozed" in kinds(events)
    assert "conversation.reopened" in kinds(await desk.h.advance(timedelta(hours=2)))
