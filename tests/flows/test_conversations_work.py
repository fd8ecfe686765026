"""This file proves on the real database how matching and SLA clocks bear on a conversation."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.assignments import WorkRequested
from libs.contracts.payloads.commands import ResolveConversation, SnoozeConversation, TransferConversation
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEscalated,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockRetargeted,
    ClockStarted,
    ClockWarned,
)
from libs.flow.harness import START
from tests.flows.conversations_desk import Desk, E, kinds, only, opened
from tests.unit.router.conversations.examples import HOUR

pytestmark = pytest.mark.postgres

MINUTES = timedelta(minutes=1)


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    """The customer has written."""
    async with opened(postgres_dsn) as found:
        await found.says()
        yield found


async def test_holder_is_known_and_preferred_when_the_conversation_comes_back(desk: Desk) -> None:
    await desk.assigned("ayu")
    assert (await desk.row())["agent_id"] == "ayu"
    await desk.asks(ResolveConversation)
    await desk.h.crash()
    assert only(await desk.says(), "work.requested").last_agent_id == "ayu"


async def test_preference_outlives_the_conversation(desk: Desk) -> None:
    await desk.assigned("ayu")
    await desk.asks(ResolveConversation)
    await desk.h.advance(48 * HOUR)
    assert only(await desk.says(), "work.requested").last_agent_id == "ayu"


async def test_what_a_queue_asks_for_and_what_it_prefers_are_told_to_matching(desk: Desk) -> None:
    await desk.asks(TransferConversation, queue="prioritas")
    asked = desk.last(WorkRequested)
    assert (asked.skills, asked.preferred_skills, asked.priority) == ({"bahasa": 3}, {"refund": 4}, 10)


async def test_assignment_of_a_work_item_that_was_withdrawn_makes_nobody_the_holder(desk: Desk) -> None:
    old = desk.last(WorkRequested).work_item_id
    await desk.asks(TransferConversation, queue="prioritas")
    await desk.assigned("ayu", work_item_id=old)
    assert (await desk.row())["agent_id"] is None
    await desk.assigned("budi")
    assert (await desk.row())["agent_id"] == "budi"


async def test_customer_who_writes_after_matching_ended_the_work_gets_new_attention(desk: Desk) -> None:
    await desk.assigned("ayu")
    await desk.completed("ayu")
    assert kinds(await desk.says("masih ada")) == ["message.received", "work.requested"]
    assert (await desk.row())["work_items"] == 2


async def test_nearest_deadline_is_told_to_matching_once(desk: Desk) -> None:
    events = await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    assert only(events, "work.reprioritised").due_at == START + 15 * MINUTES
    assert await desk.clock(ClockStarted, 24 * HOUR, name="clk_b", target_seconds=86_400) == []
    assert only(await desk.clock(ClockMet, 15 * MINUTES), "work.reprioritised").due_at == START + 24 * HOUR
    cancelled = await desk.clock(ClockCancelled, 24 * HOUR, name="clk_b", reason="resolved")
    assert only(cancelled, "work.reprioritised").due_at is None


async def test_warning_and_breach_wake_matching_although_the_deadline_is_known(desk: Desk) -> None:
    await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    warned = await desk.clock(ClockWarned, 15 * MINUTES, fraction=0.8)
    breached = await desk.clock(ClockBreached, 15 * MINUTES)
    dues = [only(events, "work.reprioritised").due_at for events in (warned, breached)]
    assert dues == [START + 15 * MINUTES] * 2


async def test_paused_clock_has_no_deadline_and_a_resumed_one_a_new(desk: Desk) -> None:
    await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    assert (
        only(await desk.clock(ClockPaused, 15 * MINUTES, reason="snoozed"), "work.reprioritised").due_at
        is None
    )
    resumed = only(await desk.clock(ClockResumed, 20 * MINUTES), "work.reprioritised")
    assert resumed.due_at == START + 20 * MINUTES


async def test_deadline_of_held_work_is_told_when_it_waits_again(desk: Desk) -> None:
    await desk.assigned("ayu")
    assert await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900) == []
    await desk.h.crash()
    assert only(await desk.queued_again(), "work.reprioritised").due_at == START + 15 * MINUTES


async def test_transferred_work_carries_the_deadline(desk: Desk) -> None:
    await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    events = await desk.asks(TransferConversation, queue="prioritas")
    assert only(events, "work.requested").due_at == START + 15 * MINUTES


async def test_clocks_of_a_conversation_that_is_over_are_not_kept(desk: Desk) -> None:
    await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    await desk.asks(ResolveConversation)
    assert await desk.clock(ClockBreached, 15 * MINUTES) == []
    assert only(await desk.says(), "work.requested").due_at is None


async def test_new_terms_of_a_running_clock_move_the_deadline_and_those_of_a_paused_one_do_not(
    desk: Desk,
) -> None:
    await desk.clock(ClockStarted, 15 * MINUTES, target_seconds=900)
    moved = await desk.clock(ClockRetargeted, 5 * MINUTES, target_seconds=300)
    assert only(moved, "work.reprioritised").due_at == START + 5 * MINUTES
    await desk.clock(ClockPaused, 5 * MINUTES, reason="on_hold")
    assert await desk.clock(ClockRetargeted, 7 * MINUTES, target_seconds=420) == []


async def escalated(desk: Desk, **deeds: Any) -> list[E]:
    return await desk.clock(ClockEscalated, 15 * MINUTES, step=0, fraction=1.0, **deeds)


async def test_escalation_raises_the_priority_of_the_work(desk: Desk) -> None:
    events = await escalated(desk, raise_priority=7)
    assert only(events, "conversation.prioritised").priority == 7
    work = only(events, "work.reprioritised")
    assert (work.least_priority, work.priority) == (7, None)


async def test_raised_priority_is_that_of_later_work_until_another_queue_or_the_end(desk: Desk) -> None:
    await escalated(desk, raise_priority=7)
    await desk.asks(SnoozeConversation, until=desk.now + HOUR)
    assert only(await desk.h.advance(HOUR), "work.requested").priority == 7
    await desk.h.crash()
    await desk.asks(TransferConversation, agent_id="budi")
    assert desk.last(WorkRequested).priority == 7
    await desk.asks(TransferConversation, queue="prioritas")
    assert desk.last(WorkRequested).priority == 10
    await desk.asks(TransferConversation, queue="umum")
    assert desk.last(WorkRequested).priority == 0
    await escalated(desk, raise_priority=7)
    await desk.asks(ResolveConversation)
    assert only(await desk.says(), "work.requested").priority == 0


async def test_escalation_moves_to_a_queue_with_its_age_and_raises_the_work_as_it_waits_there(
    desk: Desk,
) -> None:
    since = desk.last(WorkRequested).requested_at
    events = await escalated(desk, move_to_queue="prioritas", raise_priority=20)
    assert kinds(events) == [
        "work.withdrawn",
        "conversation.transferred",
        "work.requested",
        "conversation.prioritised",
        "work.reprioritised",
    ]
    work = only(events, "work.requested")
    assert (work.queue, work.priority, work.requested_at) == ("prioritas", 10, since)
    assert only(events, "work.reprioritised").work_item_id == work.work_item_id


async def test_escalation_to_a_supervisor_orders_matching_to_give_it_to_them(desk: Desk) -> None:
    work = only(await escalated(desk, assign_supervisor="hendra"), "work.escalated")
    assert (work.agent_id, work.work_item_id) == ("hendra", desk.last(WorkRequested).work_item_id)


async def test_escalation_to_a_supervisor_of_another_pool_moves_the_conversation_there(desk: Desk) -> None:
    events = await escalated(desk, assign_supervisor="gani")
    assert only(events, "conversation.transferred").queue == "gudang"
    assert only(events, "work.escalated").pool == "logistik"


async def test_escalation_of_a_conversation_that_is_over_or_snoozed_or_where_it_should_be_does_nothing(
    desk: Desk,
) -> None:
    assert await escalated(desk, move_to_queue="umum") == []
    assert await escalated(desk, move_to_queue="gone") == []
    await desk.asks(ResolveConversation)
    assert await escalated(desk, move_to_queue="prioritas", raise_priority=7) == []
