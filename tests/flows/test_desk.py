"""The desk's projection on real Postgres: every event twice, crashes between steps, and what reads it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import ContactResolved
from libs.contracts.vocabulary import Channel, ConversationState, MessageStatus, Metric
from libs.flow.harness import Harness
from libs.service.problems import Problem
from services.desk.domain.clock import ClockState
from services.desk.domain.conversation import LATEST
from services.desk.flow import flow, handlers
from services.desk.live.following import vector_of, view_of
from services.desk.live.frames import conversation_json
from services.desk.live.reading import beginning, conversations
from services.desk.live.view import LiveView
from services.desk.pages import Filter, one, page
from tests.unit.desk.story import POOLS, START, WORKSPACE, Log, Talk, agent_changed

pytestmark = pytest.mark.postgres


class Desk:
    """A harness that gives events by their key, and remembers them for the live view."""

    def __init__(self, harness: Harness) -> None:
        self.h = harness
        self.said: list[tuple[Payload, str]] = []

    async def give(self, *payloads: Payload, cause: str = "") -> None:
        for payload in payloads:
            self.said.append((payload, cause))
            key = str(getattr(payload, "contact_point_id", "") or getattr(payload, "agent_id", ""))
            record = self.h.record(payload, key=key)
            record = replace(record, headers=[*record.headers, ("ce_causationid", cause.encode())])
            await self.h.feed([record, record])

    async def dead(self) -> int:
        return int((await self.h.rows("select count(*) from dead_letter"))[0][0])


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with Harness(flow(handlers(WORKSPACE)), postgres_dsn) as harness:
        yield Desk(harness)


def live() -> LiveView:
    return LiveView(pools=POOLS, inboxes={"wa-main": "support"})


def story(name: str = "1") -> list[Payload]:
    """A conversation with something of everything."""
    talk = Talk(name)
    opened, first = talk.opened(), talk.received("halo")
    return [
        opened,
        first,
        talk.clock(s.ClockStarted),
        talk.clock(s.ClockStarted, Metric.RESOLUTION),
        talk.work(a.WorkQueued),
        talk.work(a.ReservationOffered, agent_id="ayu"),
        talk.work(a.ReservationOffered, agent_id="budi", reservation_id="rsv_2"),
        talk.work(a.ReservationAccepted, agent_id="ayu"),
        talk.work(a.ReservationRescinded, agent_id="budi", reservation_id="rsv_2"),
        talk.work(a.WorkAssigned, agent_id="ayu"),
        talk.work(a.WorkIdled, agent_id="ayu"),
        talk.work(a.ReservationOffered, agent_id="budi", reservation_id="rsv_3", held_by="ayu"),
        talk.answered("selamat pagi"),
        talk.status(f"msg_{talk.conversation_id}_2", MessageStatus.DELIVERED),
        talk.clock(s.ClockMet),
        talk.noted("pelanggan lama"),
        talk.tagged("vip", "retur"),
        talk.reacted(first.message_id, "👍"),
        talk.edited(first.message_id, "halo kak"),
        talk.clock(s.ClockWarned, Metric.RESOLUTION),
    ]


async def test_the_projection_and_the_live_view_agree_after_every_crash(desk: Desk) -> None:
    view, log = live(), Log()
    for payload in story():
        await desk.give(payload)
        await desk.h.crash()
        view.apply(log.add(payload).event)
    expected = conversation_json(view.open["cnv_1"])
    found = await one(desk.h.database, "cnv_1")
    assert found is not None
    assert found.text == expected
    assert found.pool == "support"
    assert await desk.dead() == 0


async def test_a_conversation_is_listed_for_its_holder_and_for_whom_it_is_offered(desk: Desk) -> None:
    await desk.give(*story())
    for agent_id, count in (("ayu", 1), ("budi", 1), ("citra", 0)):
        found = json.loads(await page(desk.h.database, Filter(agent=agent_id), after=None, limit=5))
        assert len(found["conversations"]) == count, agent_id


async def test_topics_may_be_read_in_any_order(desk: Desk) -> None:
    told = story()
    by_topic = sorted(told, key=lambda p: p.type.startswith(("conversation", "message", "note")))
    await desk.give(*by_topic)
    view, log = live(), Log()
    for payload in told:
        view.apply(log.add(payload).event)
    found = await one(desk.h.database, "cnv_1")
    assert found is not None
    assert found.text == conversation_json(view.open["cnv_1"])


async def test_only_the_latest_messages_stay_in_the_table(desk: Desk) -> None:
    talk = Talk()
    await desk.give(talk.opened(), *[talk.received(str(n)) for n in range(LATEST + 5)])
    rows = await desk.h.rows("select number from message_view order by number")
    assert [row["number"] for row in rows] == list(range(7, LATEST + 7))


async def test_ended_work_and_met_clocks_leave_the_tables(desk: Desk) -> None:
    talk = Talk()
    await desk.give(
        talk.opened(),
        talk.work(a.WorkAssigned, agent_id="ayu"),
        talk.clock(s.ClockStarted),
        talk.clock(s.ClockBreached),
        talk.clock(s.ClockStarted, Metric.RESOLUTION),
        talk.resolved(),
        talk.work(a.WorkWrapping, agent_id="ayu"),
        talk.clock(s.ClockMet, Metric.RESOLUTION),
    )
    assert len(await desk.h.rows("select 1 from work_view")) == 1
    assert [row["state"] for row in await desk.h.rows("select state from clock_view")] == ["breached"]
    await desk.give(talk.work(a.WorkCompleted, agent_id="ayu"), talk.clock(s.ClockMet))
    assert await desk.h.rows("select 1 from work_view union all select 1 from clock_view") == []


async def test_a_repeat_of_a_command_finds_what_it_led_to(desk: Desk) -> None:
    talk = Talk()
    await desk.give(talk.opened())
    await desk.give(talk.answered(), cause="/desk/ayu#k1")
    await desk.give(talk.refused("k2", "window_closed"), cause="/desk/ayu#k2")
    await desk.give(
        agent_changed("ayu", answer=a.CommandAnswer(command_id="k3", code="expired")), cause="/desk/ayu#k3"
    )
    known, _ = (await conversations(desk.h.database, ["cnv_1"]))["cnv_1"]
    assert [(d.name, d.type, d.refused) for d in known.commands] == [
        ("/desk/ayu#k1", "message.queued.v1", None),
        ("/desk/ayu#k2", "command.refused.v1", "window_closed"),
    ]
    start = await beginning(desk.h.database)
    (ayu,) = start.store.agents
    assert [(d.name, d.refused) for d in ayu.commands] == [("/desk/ayu#k3", "expired")]


async def test_a_refusal_in_an_unknown_conversation_is_no_fault(desk: Desk) -> None:
    await desk.give(Talk("nowhere").refused("k1", "unknown_conversation"), cause="/desk/ayu#k1")
    assert await desk.h.rows("select 1 from conversation_view") == []
    assert await desk.dead() == 0


async def test_a_changed_contact_reaches_open_conversations_only(desk: Desk) -> None:
    old, new = Talk("old"), Talk("new")
    new.contact_point_id = old.contact_point_id
    await desk.give(old.opened(), old.resolved(), new.opened())
    await desk.h.crash()
    merged = ContactResolved(
        contact_point_id=new.contact_point_id, contact_id="con_2", inbox_id="wa-main", channel=Channel.WHATSAPP,
        address="+62", occurred_at=START,
    )  # fmt: skip
    await desk.give(merged)
    rows = await desk.h.rows("select conversation_id, contact_id from conversation_view order by 1")
    assert [tuple(r) for r in rows] == [("cnv_new", "con_2"), ("cnv_old", "con_1")]


async def test_the_live_view_begins_with_what_may_need_an_agent(desk: Desk) -> None:
    waiting, held, snoozed, wrapping, over = (
        Talk(n) for n in ("waiting", "held", "snoozed", "wrapping", "over")
    )
    await desk.give(
        waiting.opened(), waiting.work(a.WorkQueued), waiting.clock(s.ClockStarted),
        held.opened(), held.received(), held.work(a.WorkAssigned, agent_id="ayu"),
        snoozed.opened(), snoozed.snoozed(),
        wrapping.opened(), wrapping.resolved(), wrapping.work(a.WorkWrapping, agent_id="budi"),
        over.opened(), over.clock(s.ClockStarted), over.clock(s.ClockBreached), over.resolved(),
        agent_changed("ayu", load=1),
    )  # fmt: skip
    start = await beginning(desk.h.database)
    view = view_of(start, WORKSPACE)
    assert set(view.open) == {"cnv_waiting", "cnv_held", "cnv_snoozed", "cnv_wrapping"}
    assert [o.conversation_id for o in view.seen_by("ayu")] == ["cnv_held"]
    assert [o.conversation_id for o in view.seen_by("budi")] == ["cnv_wrapping"]
    (clock,) = view.open["cnv_waiting"].clocks.values()
    assert clock.state is ClockState.RUNNING
    assert view.agents["ayu"].load == 1
    vector = vector_of(start.marks)
    positions = {
        (r["topic"], r["lane"]): r["next_offset"] for r in await desk.h.rows('select * from "position"')
    }
    assert positions
    assert {slot: vector.get(slot) for slot in positions} == positions


async def test_pages_cover_every_conversation_once(desk: Desk) -> None:
    talks = [Talk(f"{n:02}") for n in range(7)]
    for talk in talks:
        await desk.give(talk.opened("billing" if talk.conversation_id.endswith("3") else "general"))
    await desk.give(talks[0].resolved(), talks[1].work(a.WorkAssigned, agent_id="ayu"))

    async def all_ids(wanted: Filter, limit: int) -> list[str]:
        ids: list[str] = []
        after: str | None = None
        while True:
            found = await read(wanted, after, limit)
            ids += [c["conversation_id"] for c in found["conversations"]]
            after = found["next"]
            if after is None:
                return ids

    async def read(wanted: Filter, after: str | None, limit: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await page(desk.h.database, wanted, after=after, limit=limit))
        return found

    everything = [t.conversation_id for t in reversed(talks)]
    assert await all_ids(Filter(), 2) == everything
    assert await all_ids(Filter(pool="support"), 3) == everything
    assert await all_ids(Filter(pool="finance"), 3) == []
    assert await all_ids(Filter(state=ConversationState.RESOLVED), 3) == ["cnv_00"]
    assert await all_ids(Filter(queue="billing"), 3) == ["cnv_03"]
    assert await all_ids(Filter(agent="ayu"), 3) == ["cnv_01"]


@pytest.mark.parametrize("after", ["x", "bm9wZQ", "WzEsMl0", "é", "WyIyMDI2LTAzLTAyIiwgIngiXQ"])
async def test_a_page_after_nonsense_is_refused(desk: Desk, after: str) -> None:
    with pytest.raises(Problem) as refused:
        await page(desk.h.database, Filter(), after=after, limit=2)
    assert refused.value.status == 422
