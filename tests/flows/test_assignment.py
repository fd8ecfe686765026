"""This file proves matching's flow on the real database: every event twice, crashes between steps, timers after downtime, the API."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationExpired,
    ReservationOffered,
    WorkAssigned,
    WorkEscalated,
    WorkEvent,
    WorkQueued,
    WorkReprioritised,
    WorkRequested,
    WorkWithdrawn,
)
from libs.contracts.payloads.commands import (
    AcceptReservation,
    AgentCommand,
    CompleteWork,
    ConsultWork,
    DeclineReservation,
    ForceAssign,
    Heartbeat,
    NextWork,
    SetPresence,
    TakeWork,
)
from libs.contracts.vocabulary import Channel, Presence
from libs.flow.harness import START, Harness
from libs.service import problems
from libs.workspace import Agent, Pool, Queue, Workspace
from services.router.assignment.api import routes
from services.router.assignment.domain.engine import Engine
from services.router.assignment.flow import flow

pytestmark = pytest.mark.postgres

POOL = "main"
SECOND = timedelta(seconds=1)

ASSIGNMENT = Workspace(
    id="test",
    version="v1",
    queues={"billing": Queue("billing", POOL, wrap_up=60 * SECOND), "sales": Queue("sales", POOL)},
    pools={POOL: Pool(POOL)},
    agents={
        "ayu": Agent("ayu", "Ayu", POOL, {"refund": 3}, ("billing",), 2),
        "budi": Agent("budi", "Budi", POOL, {}, ("billing", "sales"), 1),
        "hendra": Agent("hendra", "Hendra", POOL, capacity=0, role="supervisor"),
    },
)


def harness(dsn: str, workspace: Workspace = ASSIGNMENT) -> Harness:
    return Harness(flow(workspace), dsn)


async def work(h: Harness, name: str, **values: Any) -> list[Event[Any]]:
    asked = WorkRequested(
        **{
            "work_item_id": f"wki_{name}",
            "conversation_id": f"cnv_{name}",
            "contact_point_id": f"cpt_{name}",
            "pool": POOL,
            "queue": "billing",
            "channel": Channel.WHATSAPP,
            "requested_at": h.time.now(),
            **values,
        }
    )
    return await h.give(asked, key=asked.pool)


async def withdraw(h: Harness, name: str, *, wrap_up: bool = False) -> list[Event[Any]]:
    asked = WorkWithdrawn(
        work_item_id=f"wki_{name}",
        conversation_id=f"cnv_{name}",
        contact_point_id=f"cpt_{name}",
        pool=POOL,
        reason="resolved",
        wrap_up=wrap_up,
        occurred_at=h.time.now(),
    )
    return await h.give(asked, key=POOL)


async def command(h: Harness, asked: AgentCommand, id: str | None = None) -> list[Event[Any]]:
    """Named after what it says and when, so that two runs of one script publish the same answers."""
    name = id or f"{asked.type} {asked.model_dump_json()} {h.time.now()}"
    return await h.give(asked, key=asked.pool, id=name, source=f"/desk/{asked.agent_id}")


async def presence(h: Harness, agent_id: str, presence: Presence) -> list[Event[Any]]:
    return await command(h, SetPresence(agent_id=agent_id, pool=POOL, presence=presence))


async def available(h: Harness, *agent_ids: str) -> list[Event[Any]]:
    return [e for agent_id in agent_ids for e in await presence(h, agent_id, Presence.AVAILABLE)]


async def accept(h: Harness, agent_id: str, reservation_id: str, id: str | None = None) -> list[Event[Any]]:
    asked = AcceptReservation(agent_id=agent_id, pool=POOL, reservation_id=reservation_id)
    return await command(h, asked, id)


async def beat(h: Harness, *agent_ids: str) -> None:
    for agent_id in agent_ids:
        await command(h, Heartbeat(agent_id=agent_id, pool=POOL))


def kinds(events: list[Event[Any]]) -> list[str]:
    return [e.data.type.removesuffix(".v1") for e in events if isinstance(e.data, WorkEvent)]


def only(events: list[Event[Any]], kind: type[Any]) -> Any:
    found = [e.data for e in events if isinstance(e.data, kind)]
    assert len(found) == 1, f"{len(found)} of {kind.__name__}"
    return found[0]


def answered(events: list[Event[Any]]) -> tuple[str, str]:
    """(command id, code)"""
    answers = [e.data.answer for e in events if isinstance(e.data, AgentChanged) and e.data.answer]
    assert len(answers) == 1
    return (answers[0].command_id, answers[0].code)


async def test_a_request_is_queued_offered_and_assigned_on_accept(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        out = await work(h, "1")
        assert kinds(out) == ["work.queued", "reservation.offered"]
        offered = only(out, ReservationOffered)
        assert offered.expires_at == h.time.now() + 30 * SECOND
        assert offered.explanation.policy_version == "v1"
        assert {c.agent_id: c.rejected for c in offered.explanation.candidates} == {
            "ayu": None,
            "budi": "offline",
            "hendra": "offline",
        }
        events = [e for e in out if isinstance(e.data, WorkEvent)]
        assert {(e.key, e.envelope.correlation_id) for e in events} == {("cpt_1", "cnv_1")}
        await h.time.advance(5 * SECOND)
        out = await accept(h, "ayu", offered.reservation_id, id="click-1")
        assert kinds(out) == ["reservation.accepted", "work.assigned"]
        assert only(out, WorkAssigned).waited_seconds == 5
        assert answered(out) == ("click-1", "ok")
        assert await h.rows("select state, agent_id, version from work_item") == [("assigned", "ayu", 4)]


async def test_an_agents_state_is_published_under_the_agents_key(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        out = await available(h, "ayu")
        assert [e.key for e in out] == ["ayu"]
        changed = only(out, AgentChanged)
        assert (changed.presence, changed.load, changed.capacity) == (Presence.AVAILABLE, 0, 2)
        assert changed.since == START


async def test_a_command_given_twice_is_one_effect_and_one_answer(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        reservation = only(await work(h, "1"), ReservationOffered).reservation_id
        first = await accept(h, "ayu", reservation, id="click-1")
        again = await accept(h, "ayu", reservation, id="click-1")
        other = await accept(h, "ayu", reservation, id="click-2")
        assert (answered(first), again, answered(other)) == (("click-1", "ok"), [], ("click-2", "ok"))
        assert kinds(other) == []


async def test_every_command_is_answered_and_heartbeats_are_not(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu", "budi")
        await work(h, "1")
        asked: list[tuple[AgentCommand, str]] = [
            (SetPresence(agent_id="ayu", pool=POOL, presence=Presence.AVAILABLE), "ok"),
            (AcceptReservation(agent_id="budi", pool=POOL, reservation_id="rsv_other"), "not_yours"),
            (DeclineReservation(agent_id="budi", pool=POOL, reservation_id="rsv_other"), "not_yours"),
            (CompleteWork(agent_id="ayu", pool=POOL, work_item_id="wki_1"), "not_wrapping"),
            (ForceAssign(agent_id="budi", pool=POOL, work_item_id="wki_1", ordered_by="ayu"), "forbidden"),
            (ForceAssign(agent_id="budi", pool=POOL, work_item_id="wki_1", ordered_by="hendra"), "ok"),
            (NextWork(agent_id="ayu", pool=POOL), "nothing_waiting"),
            (TakeWork(agent_id="ayu", pool=POOL, work_item_id="wki_1"), "taken"),
            (
                ConsultWork(
                    agent_id="ayu", pool=POOL, work_item_id="wki_1", ordered_by="ayu", to_agent_id="budi"
                ),
                "not_yours",
            ),
            (SetPresence(agent_id="zaki", pool=POOL, presence=Presence.AVAILABLE), "unknown_agent"),
        ]
        for number, (one, code) in enumerate(asked):
            assert answered(await command(h, one, id=f"c{number}")) == (f"c{number}", code)
        assert await command(h, Heartbeat(agent_id="ayu", pool=POOL)) == []


async def test_a_record_under_another_pools_key_is_dropped(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        asked = SetPresence(agent_id="ayu", pool=POOL, presence=Presence.AVAILABLE)
        assert await h.give(asked, key="elsewhere") == []


async def test_declined_work_is_offered_to_the_next_and_remembered(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu", "budi")
        reservation = only(await work(h, "1"), ReservationOffered).reservation_id
        out = await command(h, DeclineReservation(agent_id="ayu", pool=POOL, reservation_id=reservation))
        assert kinds(out) == ["reservation.declined", "reservation.offered"]
        assert only(out, ReservationOffered).agent_id == "budi"
        await h.crash()
        out = await presence(h, "budi", Presence.BREAK)
        assert kinds(out) == ["reservation.rescinded", "work.queued"]
        reasons = {c.agent_id: c.rejected for c in only(out, WorkQueued).explanation.candidates}
        assert reasons["ayu"] == "declined 0 s ago"


async def test_stopped_for_an_hour_then_started_an_expiry_is_told_once_with_its_due_time(
    postgres_dsn: str,
) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        await work(h, "1")
        await h.crash()
        out = await h.advance(timedelta(hours=1))
        expired = only(out, ReservationExpired)
        assert expired.occurred_at == START + 30 * SECOND
        offered = only(out, ReservationOffered)
        assert offered.expires_at == h.time.now() + 30 * SECOND
        await h.crash()
        assert kinds(await h.advance(timedelta(0))) == []
        assert answered(await accept(h, "ayu", offered.reservation_id))[1] == "ok"


async def test_a_lost_agents_work_is_queued_again_after_lease_and_grace(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        await accept(h, "ayu", only(await work(h, "1"), ReservationOffered).reservation_id)
        out = await h.advance(45 * SECOND)
        lost = only(out, AgentChanged)
        assert (lost.presence, lost.reason, lost.work_item_ids) == (Presence.OFFLINE, "lost", ("wki_1",))
        await h.crash()
        out = await h.advance(30 * SECOND)
        queued = only(out, WorkQueued)
        assert (queued.reason, queued.waiting_since) == ("agent_lost", START)


async def test_a_wrap_up_ends_by_itself_and_frees_the_agent(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "budi")
        await accept(h, "budi", only(await work(h, "1"), ReservationOffered).reservation_id)
        await work(h, "2")
        assert kinds(await withdraw(h, "1", wrap_up=True)) == ["work.wrapping"]
        await h.crash()
        await h.advance(30 * SECOND)
        await beat(h, "budi")
        out = await h.advance(30 * SECOND)
        assert kinds(out) == ["work.completed", "reservation.offered"]
        assert [row[0] for row in await h.rows("select work_item_id from work_item")] == ["wki_2"]


async def test_priority_and_deadline_of_waiting_work_can_change(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await work(h, "1")
        await work(h, "2")
        raised = WorkReprioritised(work_item_id="wki_2", pool=POOL, priority=5, occurred_at=h.time.now())
        assert await h.give(raised, key=POOL) == []
        await h.crash()
        assert only(await available(h, "budi"), ReservationOffered).work_item_id == "wki_2"


async def test_heartbeats_seldom_write_a_row(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        seen = set()
        for _ in range(12):
            await h.advance(5 * SECOND)
            await beat(h, "ayu")
            [(at,)] = await h.rows("select heartbeat_at from agent_state")
            seen.add(at)
            assert h.time.now() - at < 22.5 * SECOND
        assert len(seen) == 3
        assert [row[0] for row in await h.rows("select presence from agent_state")] == ["available"]


async def quarter_minutes(h: Harness, number: int) -> None:
    """Time passes for agents who are there."""
    for _ in range(number):
        await h.advance(15 * SECOND)
        await beat(h, "ayu", "budi")


async def script(h: Harness, pause: Callable[[], Awaitable[None]]) -> list[tuple[Any, ...]]:
    """A day in short, with a pause after every step; returns what was published, timestamps and all."""

    async def step(doing: Awaitable[Any]) -> Any:
        result = await doing
        await pause()
        return result

    await step(available(h, "ayu", "budi"))
    first = only(await step(work(h, "1")), ReservationOffered)
    second = only(await step(work(h, "2")), ReservationOffered)
    third = only(await step(work(h, "3", priority=2)), ReservationOffered)
    await step(work(h, "4", only_agent_id="budi"))
    await step(work(h, "5", skills={"refund": 3}))
    await step(accept(h, first.agent_id, first.reservation_id))
    declined = DeclineReservation(agent_id=second.agent_id, pool=POOL, reservation_id=second.reservation_id)
    await step(command(h, declined))
    await step(accept(h, third.agent_id, third.reservation_id))
    await step(quarter_minutes(h, 2))
    await step(withdraw(h, "1", wrap_up=True))
    await step(quarter_minutes(h, 2))
    forced = ForceAssign(agent_id="ayu", pool=POOL, work_item_id="wki_2", ordered_by="hendra")
    await step(command(h, forced))
    await step(quarter_minutes(h, 3))
    await step(quarter_minutes(h, 20))
    return [(e.key, e.data) for e in h.emitted]


async def test_a_policys_order_gives_work_to_a_supervisor_whatever_the_capacity_and_says_that_it_was_forced(
    postgres_dsn: str,
) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "hendra")
        await work(h, "1")
        order = WorkEscalated(
            work_item_id="wki_1", pool=POOL, agent_id="hendra", policy="emas", occurred_at=h.time.now()
        )
        assigned = only(await h.give(order, key=POOL), WorkAssigned)
        assert (assigned.agent_id, assigned.forced_by) == ("hendra", "sla:emas")


async def test_a_raise_of_priority_never_lowers_it(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await work(h, "1", priority=5)
        for least in (7, 6):
            raised = WorkReprioritised(
                work_item_id="wki_1", pool=POOL, least_priority=least, occurred_at=h.time.now()
            )
            await h.give(raised, key=POOL)
        assert [row["priority"] for row in await h.rows("select priority from work_item")] == [7]


async def test_a_vips_work_is_raised_as_the_pool_says_and_every_explanation_of_it_says_so(
    postgres_dsn: str,
) -> None:
    pools = {POOL: replace(ASSIGNMENT.pools[POOL], vip_priority=3)}
    async with harness(postgres_dsn, replace(ASSIGNMENT, pools=pools)) as h:
        plain = only(await work(h, "1"), WorkQueued).explanation
        assert plain.vip is None
        assert only(await work(h, "2", vip=True), WorkQueued).explanation.vip is True
        await work(h, "3")
        tagged = WorkReprioritised(work_item_id="wki_3", pool=POOL, vip=True, occurred_at=h.time.now())
        await h.give(tagged, key=POOL)
        await h.crash()
        rows = await h.rows("select work_item_id, vip, priority, raised from work_item order by 1")
        assert [tuple(row) for row in rows] == [
            ("wki_1", False, 0, 0),
            ("wki_2", True, 3, 3),
            ("wki_3", True, 3, 3),
        ]
        offered = only(await available(h, "budi"), ReservationOffered)
        assert (offered.work_item_id, offered.explanation.vip) == ("wki_2", True)
        waiting = (await get(h, f"/v1/pools/{POOL}")).json()["waiting"]
        assert [(one["work_item_id"], one["vip"]) for one in waiting] == [("wki_3", True), ("wki_1", False)]


async def test_crashing_after_every_step_changes_no_decision(postgres_dsn: str) -> None:
    async def never() -> None: ...

    async with harness(postgres_dsn) as calm:
        expected = await script(calm, never)
        table = await calm.rows("select work_item_id, version, type, data from decision order by 1, 2")
    async with harness(postgres_dsn) as crashing:
        assert await script(crashing, crashing.crash) == expected
        again = await crashing.rows("select work_item_id, version, type, data from decision order by 1, 2")
    assert [tuple(row) for row in again] == [tuple(row) for row in table]
    assert {kind for _, data in expected if (kind := data.type)} >= {
        "reservation.expired.v1",
        "reservation.declined.v1",
        "work.wrapping.v1",
        "work.completed.v1",
    }


async def test_versions_of_work_and_agents_have_no_gap_and_loads_stay_within_capacity(
    postgres_dsn: str,
) -> None:
    async def never() -> None: ...

    async with harness(postgres_dsn) as h:
        published = await script(h, never)
    works: dict[str, list[int]] = {}
    agents: dict[str, list[int]] = {}
    for _, data in published:
        if isinstance(data, WorkEvent):
            works.setdefault(data.work_item_id, []).append(data.version)
        elif isinstance(data, AgentChanged):
            agents.setdefault(data.agent_id, []).append(data.version)
    assert set(works) == {f"wki_{n}" for n in range(1, 6)}
    assert all(versions == list(range(1, len(versions) + 1)) for versions in works.values())
    assert all(v == list(range(v[0], v[0] + len(v))) for v in agents.values())


async def test_a_handler_that_fails_leaves_memory_equal_to_the_rows(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is taken again without the poison; what came before it in the batch is done once."""
    rule = Engine._rule

    def failing(self: Engine, step: Any, what: Any) -> None:
        rule(self, step, what)
        if getattr(what, "reason", None) == "boom":
            raise RuntimeError("a bug")

    monkeypatch.setattr(Engine, "_rule", failing)
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        good = WorkRequested(
            work_item_id="wki_1",
            conversation_id="cnv_1",
            contact_point_id="cpt_1",
            pool=POOL,
            queue="billing",
            channel=Channel.WHATSAPP,
            requested_at=h.time.now(),
        )
        bad = WorkWithdrawn(
            work_item_id="wki_1",
            conversation_id="cnv_1",
            contact_point_id="cpt_1",
            pool=POOL,
            reason="boom",
            occurred_at=h.time.now(),
        )
        out = await h.feed([h.record(good, key=POOL), h.record(bad, key=POOL)])
        assert kinds(out) == ["work.queued", "reservation.offered"]
        assert await h.rows("select state, version from work_item") == [("offered", 2)]
        assert [row[0] for row in await h.rows("select reason from dead_letter")] == ["bug"]


async def test_an_agent_deleted_from_the_workspace_gives_the_work_back_after_the_restart(
    postgres_dsn: str,
) -> None:
    smaller = Workspace(
        id="test",
        version="v2",
        queues=ASSIGNMENT.queues,
        pools=ASSIGNMENT.pools,
        agents={k: v for k, v in ASSIGNMENT.agents.items() if k != "ayu"},
    )
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        await accept(h, "ayu", only(await work(h, "1"), ReservationOffered).reservation_id)
        await h.crash()
        h._shared.flow = flow(smaller)
        out = await available(h, "budi")
        assert kinds(out) == ["work.queued", "reservation.offered"]
        assert only(out, WorkQueued).reason == "agent_removed"
        assert only(out, WorkQueued).explanation.policy_version == "v2"


async def test_pools_of_one_lane_do_not_see_each_other(postgres_dsn: str) -> None:
    """`main` and its neighbours are keys of the same twelve partitions; some share a lane."""
    pools = [f"pool-{n}" for n in range(15)]
    workspace = Workspace(
        id="test",
        queues={p: Queue(p, p) for p in pools},
        pools={p: Pool(p, auto_accept=True) for p in pools},
        agents={f"agent-{p}": Agent(f"agent-{p}", p, p) for p in pools},
    )
    async with harness(postgres_dsn, workspace) as h:
        for p in pools:
            asked = SetPresence(agent_id=f"agent-{p}", pool=p, presence=Presence.AVAILABLE)
            await command(h, asked)
        await h.crash()
        for p in pools:
            out = await work(h, p, pool=p, queue=p)
            assert only(out, WorkAssigned).agent_id == f"agent-{p}"
        lanes = [row[0] for row in await h.rows("select distinct lane from work_item")]
        assert len(lanes) < len(pools)


async def get(h: Harness, path: str, workspace: Workspace = ASSIGNMENT) -> httpx.Response:
    app = FastAPI()
    app.include_router(routes(h.database, workspace))
    problems.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://router") as client:
        return await client.get(path)


async def test_the_story_of_a_conversation_tells_every_decision_with_its_reasons(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "ayu")
        await accept(h, "ayu", only(await work(h, "1"), ReservationOffered).reservation_id)
        await withdraw(h, "1")
        story = (await get(h, "/v1/conversations/cnv_1/routing")).json()
        assert [d["type"] for d in story["decisions"]] == [
            "work.queued.v1",
            "reservation.offered.v1",
            "reservation.accepted.v1",
            "work.assigned.v1",
            "work.completed.v1",
        ]
        candidates = story["decisions"][1]["data"]["explanation"]["candidates"]
        assert {c["agent_id"]: c.get("rejected") for c in candidates}["budi"] == "offline"
        missing = await get(h, "/v1/conversations/cnv_9/routing")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_conversation")


async def test_a_pool_shows_what_waits_in_order_and_who_holds_what(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await available(h, "budi")
        await work(h, "1")
        await work(h, "2", skills={"refund": 3})
        await work(h, "3", due_at=h.time.now() + 60 * SECOND)
        seen = (await get(h, "/v1/pools/main")).json()
        assert [w["work_item_id"] for w in seen["waiting"]] == ["wki_3", "wki_2"]
        assert seen["waiting"][1]["skills"] == {"refund": 3}
        assert seen["counts"] == {"queued": 2, "offered": 1}
        agents = {a["agent_id"]: a for a in seen["agents"]}
        assert (agents["budi"]["load"], agents["budi"]["work_item_ids"]) == (1, ["wki_1"])
        assert (agents["ayu"]["presence"], agents["ayu"]["capacity"]) == ("offline", 2)
        assert (await get(h, "/v1/pools/nowhere")).status_code == 404
