"""This file proves on the real database how policies, new terms, escalation and migration are announced."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.contracts.payloads.base import Author
from libs.contracts.payloads.commands import MigrateClocks
from libs.contracts.payloads.conversations import (
    ConversationPrioritised,
    ConversationResolved,
    ConversationTagged,
)
from libs.contracts.vocabulary import AuthorKind, Channel, Metric
from libs.flow.harness import START, Harness
from libs.workspace import Escalation, Inbox, Match, Pool, Queue, SlaPolicy, Workspace
from services.sla.flow import flow
from tests.flows.test_sla import Sla, minute, words
from tests.flows.test_sla_calendars import restart
from tests.unit.sla.story import BOT, Talk

pytestmark = pytest.mark.postgres

FIRST, NEXT, ASSIGNED = Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE, Metric.TIME_TO_ASSIGNMENT
MINUTE = timedelta(minutes=1)
SYSTEM = Author(kind=AuthorKind.SYSTEM, name="SLA usual")

USUAL = SlaPolicy(
    "usual",
    first_response=15 * MINUTE,
    warn_at=(0.8, MINUTE),
    by_priority={"first_response": {5: 8 * MINUTE}},
    escalate=(
        Escalation("warning", raise_priority=3),
        Escalation("breach", move_to_queue="urgent", notify=("pengawas",)),
        Escalation("breach", 30 * MINUTE, assign_supervisor="hendra"),
    ),
)
WORKSPACE = Workspace(
    id="shop",
    version="v1",
    inboxes={"wa-main": Inbox("wa-main", Channel.WHATSAPP, "general")},
    pools={"support": Pool("support")},
    queues={
        "general": Queue("general", "support", sla="usual"),
        "urgent": Queue("urgent", "support", priority=10, sla="short"),
        "free": Queue("free", "support"),
    },
    sla_policies={
        "usual": USUAL,
        "short": SlaPolicy("short", first_response=MINUTE, warn_at=()),
        "tagged": SlaPolicy(
            "tagged",
            first_response=4 * MINUTE,
            time_to_assignment=2 * MINUTE,
            warn_at=(),
            match=Match(channel=(Channel.WHATSAPP,), tag=("grosir",)),
        ),
        "elsewhere": SlaPolicy("elsewhere", first_response=MINUTE, match=Match(channel=(Channel.TELEGRAM,))),
    },
)


@pytest.fixture
async def sla(postgres_dsn: str) -> AsyncIterator[Sla]:
    async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
        yield Sla(harness)
        assert await harness.rows("select * from dead_letter") == []


async def test_each_step_of_an_escalation_is_announced_when_it_is_due_and_once(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    said = await sla.until(minute(13))
    assert words(said) == [("warned", minute(12)), ("escalated", minute(12))]
    await sla.h.crash()
    said += await sla.until(minute(100))
    assert words(said)[2:] == [
        ("warned", minute(14)),
        ("breached", minute(15)),
        ("escalated", minute(15)),
        ("escalated", minute(45)),
    ]
    steps = [event.data for event in said if event.data.type == "clock.escalated.v1"]
    assert [(s.step, s.raise_priority, s.move_to_queue, s.notify, s.assign_supervisor) for s in steps] == [
        (0, 3, None, (), None),
        (1, None, "urgent", ("pengawas",), None),
        (2, None, None, (), "hendra"),
    ]
    assert [s.fraction for s in steps] == [0.8, 1.0, 3.0]
    assert await sla.timers() == 0


async def test_an_answer_cancels_what_was_left_of_the_escalation(sla: Sla) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START), talk.answered(minute(20)))
    assert words(said)[-2:] == [("escalated", minute(15)), ("met", minute(20))]
    assert await sla.timers() == 0
    assert await sla.until(minute(100)) == []


async def test_a_breach_is_taken_back_by_a_late_answer_and_its_step_is_not(sla: Sla) -> None:
    talk = Talk("ana")
    opened = talk.opened(START)
    said = await sla.give(opened)
    said += await sla.until(minute(20))
    late = talk.answered(minute(14))
    said += await sla.h.give(late, key=talk.point, at=minute(14))
    assert words(said)[-1] == ("met", minute(14))
    assert said[-1].data.corrects_breach
    assert sum(word == "escalated" for word, _ in words(said)) == 2


async def test_a_move_by_escalation_at_the_breach_leaves_the_breach_and_the_rest_of_its_steps(
    sla: Sla,
) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START))
    said += await sla.until(minute(15))
    said += await sla.give(talk.transferred(minute(15), "urgent"))
    said += await sla.until(minute(60))
    assert words(said)[-2:] == [("escalated", minute(15)), ("escalated", minute(45))]
    assert await sla.rows("queue", "policy", "breached") == [("urgent", "usual", True)]


async def test_a_higher_priority_brings_its_target_and_the_time_used_up_stays(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    raised = ConversationPrioritised(**talk._next(minute(5)), by=SYSTEM, priority=6)
    said = await sla.give(raised)
    assert words(said) == [("retargeted", minute(5))]
    assert (said[0].data.due_at, said[0].data.target_seconds, said[0].data.policy) == (
        minute(8),
        480.0,
        "usual",
    )
    said = await sla.until(minute(9))
    assert words(said) == [
        ("warned", minute(6.4)),
        ("escalated", minute(6.4)),
        ("warned", minute(7)),
        ("breached", minute(8)),
        ("escalated", minute(8)),
    ]
    assert await sla.timers() == 1


async def test_a_transfer_takes_the_other_queues_policy(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    said = await sla.give(talk.transferred(minute(0.5), "urgent"))
    assert [(e.data.type, e.data.policy, e.data.due_at) for e in said] == [
        ("clock.retargeted.v1", "short", minute(1))
    ]
    said = await sla.give(talk.transferred(minute(0.75), "free"))
    assert [(e.data.type, e.data.reason) for e in said] == [("clock.cancelled.v1", "no_policy")]
    assert await sla.timers() == 0


async def test_a_tag_brings_the_policy_that_matches_it_and_a_policy_of_another_channel_never_holds(
    sla: Sla,
) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START))
    assert [event.data.policy for event in said] == ["usual"]
    tagged = ConversationTagged(**talk._next(minute(1)), by=SYSTEM, tags=("grosir",))
    said = await sla.give(tagged)
    assert [(e.data.type, e.data.metric, e.data.due_at) for e in said] == [
        ("clock.retargeted.v1", FIRST, minute(4)),
        ("clock.started.v1", ASSIGNED, minute(3)),
    ]
    said = await sla.give(talk.assigned(minute(2)))
    assert words(said) == [("met", minute(2))]


async def test_an_assignment_that_is_read_before_the_opening_meets_its_clock(sla: Sla) -> None:
    talk = Talk("ana")
    opened = talk.opened(START)
    tagged = ConversationTagged(**talk._next(START), by=SYSTEM, tags=("grosir",))
    assert await sla.give(talk.assigned(minute(1))) == []
    said = await sla.give(opened, tagged)
    assert words(said, ASSIGNED) == [("started", START), ("met", minute(1))]


async def test_what_a_bot_says_is_no_answer(sla: Sla) -> None:
    talk = Talk("ana")
    assert words(await sla.give(talk.opened(START), talk.answered(minute(1), BOT))) == [("started", START)]


async def test_the_clocks_of_a_conversation_that_was_merged_away_are_cancelled(sla: Sla) -> None:
    talk, other = Talk("ana"), Talk("ani")
    await sla.give(talk.opened(START), other.opened(START))
    merged = ConversationResolved(**talk._next(minute(1)), by=SYSTEM, reason="merged")
    said = await sla.give(merged)
    assert [(e.data.conversation_id, e.data.type, e.data.reason) for e in said] == [
        (talk.id, "clock.cancelled.v1", "merged")
    ]
    assert [row[0] for row in await sla.rows("state")].count("running") == 1


async def test_open_clocks_keep_their_policy_until_they_are_migrated(postgres_dsn: str) -> None:
    talk = Talk("ana")
    async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
        sla = Sla(harness)
        await sla.give(talk.opened(START))
        policies = {**WORKSPACE.sla_policies, "usual": replace(USUAL, first_response=30 * MINUTE)}
        newer = replace(WORKSPACE, version="v2", sla_policies=policies)
        await restart(sla, newer)
        order = MigrateClocks(
            conversation_id=talk.id, contact_point_id=talk.point, ordered_by="ops", policies=True
        )
        await sla.until(minute(10))
        said = await harness.give(order, key=talk.point, at=minute(10))
        assert [(e.data.type, e.data.due_at, e.data.policy_version) for e in said] == [
            ("clock.retargeted.v1", minute(30), "v2")
        ]
        assert words(await sla.until(minute(40)))[0] == ("warned", minute(24))
