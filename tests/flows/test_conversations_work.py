"""This file proves on the real database how matching and SLA clocks bear on a conversation."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from libs.contracts.payloads.assignments import WorkRequested
from libs.contracts.payloads.commands import ResolveConversation, TransferConversation
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockStarted,
    ClockWarned,
)
from libs.flow.harness import START
from tests.flows.conversations_desk import Desk, kinds, only, opened
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
