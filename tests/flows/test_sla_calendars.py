"""This file proves that a clock keeps the calendar with which it began, whatever the workspace says later and who reads it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from libs.contracts.payloads.commands import MigrateClocks
from libs.flow.harness import START, Harness
from libs.workspace import Calendar, Holidays, OwnDay, SlaPolicy, Span, Workspace
from services.sla.calendars import KnownCalendars
from services.sla.flow import flow
from services.sla.migrate import orders
from services.sla.migrating import moved, open_clocks
from services.sla.store import Reads
from tests.flows.test_sla import Sla, minute, words
from tests.unit.sla.story import WORKSPACE, Talk

pytestmark = pytest.mark.postgres

OFFICE = Calendar("kantor", "Asia/Jakarta", ((Span(8 * 60, 17 * 60),),) * 5 + ((), ()), Holidays("ID"))
LONGER = replace(OFFICE, week=((Span(8 * 60, 20 * 60),),) * 7)
POLICY = SlaPolicy("gold", first_response=timedelta(hours=3), warn_at=(0.5,), calendar="kantor")

DUE, WARNED = minute(18 * 60), minute(90)
"""Time begins on Monday at 15:00 WIB: two hours are left of that day, the third ends on Tuesday at 9:00."""
DUE_LONGER = minute(3 * 60)


def workspace(calendar: Calendar | None, version: str) -> Workspace:
    """With the calendar, or with none and a policy that counts all hours."""
    return replace(
        WORKSPACE,
        version=version,
        calendars={calendar.id: calendar} if calendar else {},
        sla_policies={"gold": replace(POLICY, calendar=calendar.id if calendar else None)},
        queues={"general": WORKSPACE.queues["general"]},
    )


@pytest.fixture
async def sla(postgres_dsn: str) -> AsyncIterator[Sla]:
    async with Harness(flow(workspace(OFFICE, "v1")), postgres_dsn) as harness:
        yield Sla(harness)
        assert await harness.rows("select * from dead_letter") == []


async def restart(sla: Sla, changed: Workspace) -> None:
    """Kill the process and start another that reads a changed file."""
    await sla.h.crash()
    sla.h.flow = sla.h._shared.flow = flow(changed)


async def kept(sla: Sla) -> int:
    return int((await sla.h.rows("select count(*) from calendar"))[0][0])


async def test_a_deadline_is_counted_in_office_hours_and_fires_when_it_is_due(sla: Sla) -> None:
    talk = Talk("ana")
    said = await sla.give(talk.opened(START))
    assert [event.data.due_at for event in said] == [DUE]
    assert words(await sla.until(DUE)) == [("warned", WARNED), ("breached", DUE)]
    said = await sla.give(talk.answered(DUE + timedelta(minutes=1)))
    assert [(event.data.due_at, event.data.corrects_breach) for event in said] == [(DUE, False)]


async def test_an_answer_after_hours_leaves_the_breach_of_a_deadline_at_the_end_of_hours(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(minute(-60)))
    assert words(await sla.until(minute(120)))[-1] == ("breached", minute(120))
    said = await sla.give(talk.answered(minute(240)))
    assert words(said) == [("met", minute(240))]
    assert not said[0].data.corrects_breach
    assert await sla.rows("state", "breached") == [("met", True)]


async def test_a_clock_keeps_its_calendar_when_the_file_changes_and_new_clocks_take_the_new_one(
    sla: Sla,
) -> None:
    await sla.give(Talk("ana").opened(START))
    await restart(sla, workspace(LONGER, "v2"))
    half = timedelta(seconds=30)
    said = await sla.give(Talk("budi").opened(START + half))
    assert [(e.data.due_at, e.data.policy_version) for e in said] == [(DUE_LONGER + half, "v2")]
    assert set(await sla.rows("workspace_version", "due_at")) == {("v1", DUE), ("v2", DUE_LONGER + half)}
    assert len({row[0] for row in await sla.rows("calendar")}) == await kept(sla) == 2
    await sla.h.crash()
    assert sorted(words(await sla.until(DUE + half))) == [
        ("breached", DUE_LONGER + half),
        ("breached", DUE),
        ("warned", WARNED),
        ("warned", WARNED + half),
    ]


async def test_a_late_event_is_folded_with_the_calendar_of_the_clock_though_the_file_has_lost_it(
    sla: Sla,
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    await restart(sla, workspace(None, "v2"))
    assert words(await sla.until(DUE)) == [("warned", WARNED), ("breached", DUE)]
    await restart(sla, workspace(None, "v3"))
    said = await sla.give(talk.answered(DUE))
    assert [(e.data.type, e.data.due_at, e.data.corrects_breach) for e in said] == [
        ("clock.met.v1", DUE, True)
    ]


async def test_a_reopening_takes_the_calendar_that_the_file_has_now(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.resolved(minute(1)))
    await restart(sla, workspace(LONGER, "v2"))
    said = await sla.give(talk.reopened(minute(2)))
    assert [event.data.due_at for event in said] == [DUE_LONGER + timedelta(minutes=2)]


async def test_a_holiday_or_a_half_day_in_between_moves_the_deadline(sla: Sla) -> None:
    closed = replace(OFFICE, closed=(date(2026, 3, 3),), days=(OwnDay(date(2026, 3, 4), (Span(600, 720),)),))
    await restart(sla, workspace(closed, "v2"))
    said = await sla.give(Talk("ana").opened(START))
    assert [event.data.due_at for event in said] == [START + timedelta(days=1, hours=20)]


async def test_a_calendar_is_kept_once_and_only_when_a_clock_has_it(sla: Sla) -> None:
    await sla.give(Talk("nobody", "free").opened(START))
    assert await kept(sla) == 0
    for n in range(30):  # in many lanes
        await sla.give(Talk(f"c{n}").opened(START))
    assert await kept(sla) == 1


async def test_all_hours_need_not_be_kept(postgres_dsn: str) -> None:
    async with Harness(flow(workspace(None, "v1")), postgres_dsn) as harness:
        sla = Sla(harness)
        await sla.give(Talk("ana").opened(START))
        assert await kept(sla) == 0
        assert await sla.rows("calendar", "due_at") == [("24x7", minute(180))]


async def test_a_migration_moves_open_clocks_to_the_newest_version_of_their_calendar_as_it_said_before(
    sla: Sla,
) -> None:
    late, open_ = Talk("ana"), Talk("budi")
    await sla.give(late.opened(START), open_.opened(START))
    await sla.give(late.answered(minute(5)))
    newest = workspace(LONGER, "v2")
    known = KnownCalendars(newest)
    rows = await open_clocks(Reads(sla.h.database), newest, "kantor", known)
    (told,) = moved(rows, newest, known, minute(10))
    assert (told.conversation_id, told.due_at, told.due_after) == (open_.id, DUE, DUE_LONGER)
    await restart(sla, newest)
    await sla.until(minute(10))
    (order,) = orders([told], "ops", run="1", time=sla.h.time)
    assert (order.topic, order.key) == ("sla-commands", open_.point.encode())
    command = MigrateClocks(conversation_id=open_.id, contact_point_id=open_.point, ordered_by="ops")
    (said,) = await sla.h.give(command, key=open_.point, at=minute(10))
    assert (said.data.type, said.data.due_at) == ("clock.retargeted.v1", DUE_LONGER)
    assert await open_clocks(Reads(sla.h.database), newest, "kantor", KnownCalendars(newest)) == []
    assert words(await sla.until(DUE))[-1] == ("breached", DUE_LONGER)


async def test_a_migration_does_not_move_a_breach_that_has_happened(sla: Sla) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START))
    await sla.until(DUE)
    await restart(sla, workspace(LONGER, "v2"))
    await sla.until(DUE + timedelta(minutes=1))
    command = MigrateClocks(conversation_id=talk.id, contact_point_id=talk.point, ordered_by="ops")
    assert await sla.h.give(command, key=talk.point) == []
    assert await sla.rows("due_at", "breached") == [(DUE, True)]
