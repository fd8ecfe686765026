"""This file proves on the real database that long silences of held conversations, and their ends, are told to matching."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads.assignments import WorkIdled, WorkRequested
from libs.contracts.payloads.commands import ResolveConversation, SendReply, TransferConversation
from libs.flow.harness import START
from tests.flows.conversations_desk import Desk, E, kinds, only, opened
from tests.unit.router.conversations.examples import GANI, text

pytestmark = pytest.mark.postgres

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    """gani holds a conversation of a pool that lets silent ones go after ten minutes."""
    async with opened(postgres_dsn) as found:
        await found.says()
        await found.asks(TransferConversation, agent_id="gani")
        await found.assigned("gani")
        yield found


async def idled(desk: Desk, since: Any) -> list[E]:
    """Matching says that it has let the work go."""
    return await desk._work(WorkIdled, None, agent_id="gani", since=since)


async def test_ten_minutes_without_a_message_are_told_once(desk: Desk) -> None:
    assert await desk.h.advance(9 * MINUTE) == []
    told = only(await desk.h.advance(MINUTE), "work.fell_silent")
    assert (told.agent_id, told.since, told.occurred_at) == ("gani", START, START + 10 * MINUTE)
    assert await desk.h.advance(60 * MINUTE) == []


async def test_a_message_either_way_begins_the_silence_anew(desk: Desk) -> None:
    await desk.h.advance(4 * MINUTE)
    await desk.says("masih di sana?")
    await desk.h.advance(4 * MINUTE)
    await desk.asks(SendReply, content=text("sebentar"), by=GANI)
    await desk.h.crash()
    assert await desk.h.advance(9 * MINUTE) == []
    assert only(await desk.h.advance(MINUTE), "work.fell_silent").since == START + 8 * MINUTE


async def test_the_customers_next_message_wakes_it_and_the_agents_does_not(desk: Desk) -> None:
    await desk.h.advance(10 * MINUTE)
    assert "work.resumed" not in kinds(await desk.asks(SendReply, content=text("halo?"), by=GANI))
    await desk.h.advance(MINUTE)
    assert kinds(await desk.says("maaf, ya")) == ["work.resumed", "message.received"]
    assert kinds(await desk.says("lanjut")) == ["message.received"]
    assert only(await desk.h.advance(10 * MINUTE), "work.fell_silent").since == START + 11 * MINUTE


async def test_what_was_written_before_matching_let_it_go_wakes_it_again(desk: Desk) -> None:
    await desk.h.advance(3 * MINUTE)
    await desk.says("halo")
    assert kinds(await idled(desk, START)) == ["work.resumed"]
    assert kinds(await idled(desk, START + 4 * MINUTE)) == []
    assert kinds(await desk.says("lagi", at=desk.now + MINUTE)) == ["work.resumed", "message.received"]


async def test_another_holder_begins_the_silence_anew(desk: Desk) -> None:
    await desk.h.advance(10 * MINUTE)
    await desk.assigned("gani2")
    assert not (await desk.row())["silent"]
    assert await desk.h.advance(9 * MINUTE) == []
    assert only(await desk.h.advance(MINUTE), "work.fell_silent").agent_id == "gani2"


async def test_nothing_is_told_of_what_is_over_or_of_pools_without_the_rule(desk: Desk) -> None:
    await desk.asks(TransferConversation, queue="umum", by=GANI)
    await desk.assigned("ayu")
    assert await desk.h.advance(60 * MINUTE) == []
    assert desk.last(WorkRequested).pool == "layanan"


async def test_a_resolved_conversation_does_not_fall_silent(desk: Desk) -> None:
    await desk.asks(ResolveConversation, by=GANI)
    assert await desk.h.advance(60 * MINUTE) == []
