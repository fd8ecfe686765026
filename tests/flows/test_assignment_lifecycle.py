"""This file proves on the real database what becomes of offered and held work: several offers, transfers, pulling, silence."""

from dataclasses import replace
from typing import Any

import pytest

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationOffered,
    WorkAssigned,
    WorkFellSilent,
    WorkIdled,
    WorkQueued,
    WorkResumed,
)
from libs.contracts.payloads.commands import (
    AcceptReservation,
    ConsultWork,
    DeclineReservation,
    NextWork,
    TakeWork,
)
from libs.contracts.vocabulary import Channel
from libs.flow.harness import START, Harness
from libs.workspace import Agent, Pool, Queue, Workspace
from tests.flows.test_assignment import (
    ASSIGNMENT,
    POOL,
    accept,
    answered,
    available,
    command,
    harness,
    kinds,
    only,
    work,
)

pytestmark = pytest.mark.postgres


def workspace(pool: Pool | None = None, **queues: Any) -> Workspace:
    """Three agents of capacity 1 who serve everything; `queues` says more of billing and sales."""
    return replace(
        ASSIGNMENT,
        queues={name: Queue(name, POOL, **queues.get(name, {})) for name in ("billing", "sales")},
        pools={POOL: pool or Pool(POOL)},
        agents={name: Agent(name, name.title(), POOL, capacity=1) for name in ("ayu", "budi", "citra")}
        | {"hendra": ASSIGNMENT.agents["hendra"]},
    )


def offers(events: list[Event[Any]]) -> dict[str, str]:
    """agent -> reservation, of the offers among the events."""
    return {e.data.agent_id: e.data.reservation_id for e in events if isinstance(e.data, ReservationOffered)}


async def loads(h: Harness) -> dict[str, int]:
    """What the API's query says of each agent's load."""
    from libs.flow.database import queries

    rows = await h.rows(queries("services.router.assignment")["agents"], POOL)
    return {row["agent_id"]: row["load"] for row in rows}


async def test_the_first_of_several_to_accept_has_it_also_after_a_crash(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace(Pool(POOL, offers_at_once=2))) as h:
        await available(h, "ayu", "budi", "citra")
        reservations = offers(await work(h, "1"))
        assert set(reservations) == {"ayu", "budi"}
        assert await loads(h) == {"ayu": 1, "budi": 1, "citra": 0}
        await h.crash()
        out = await accept(h, "budi", reservations["budi"])
        assert kinds(out) == ["reservation.accepted", "reservation.rescinded", "work.assigned"]
        assert answered(await accept(h, "ayu", reservations["ayu"]))[1] == "rescinded"
        assert await loads(h) == {"ayu": 0, "budi": 1, "citra": 0}


async def test_two_accepts_in_one_batch_assign_once(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace(Pool(POOL, offers_at_once=2))) as h:
        await available(h, "ayu", "budi")
        reservations = offers(await work(h, "1"))
        given = [
            (AcceptReservation(agent_id=name, pool=POOL, reservation_id=reservations[name]), name)
            for name in ("budi", "ayu")
        ]
        out = [e for asked, name in given for e in await command(h, asked, id=f"click-{name}")]
        assert only(out, WorkAssigned).agent_id == "budi"


async def test_an_accept_with_an_old_version_is_refused_as_stale(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace(Pool(POOL, offers_at_once=2))) as h:
        await available(h, "ayu", "budi")
        out = await work(h, "1")
        seen = max(e.data.version for e in out if isinstance(e.data, ReservationOffered))
        reservations = offers(out)
        await command(h, DeclineReservation(agent_id="ayu", pool=POOL, reservation_id=reservations["ayu"]))
        mine = {"agent_id": "budi", "pool": POOL, "reservation_id": reservations["budi"]}
        assert answered(await command(h, AcceptReservation(**mine, version=seen)))[1] == "stale"
        assert answered(await command(h, AcceptReservation(**mine, version=seen + 1)))[1] == "ok"


async def test_a_warm_transfer_keeps_the_holder_until_the_other_accepts(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace()) as h:
        await available(h, "ayu")
        await accept(h, "ayu", only(await work(h, "1"), ReservationOffered).reservation_id)
        await available(h, "budi")
        asked = ConsultWork(
            agent_id="ayu", pool=POOL, work_item_id="wki_1", ordered_by="ayu", to_agent_id="budi"
        )
        out = await command(h, asked, id="transfer-1")
        assert answered(out) == ("transfer-1", "ok")
        offered = only(out, ReservationOffered)
        assert (offered.agent_id, offered.held_by) == ("budi", "ayu")
        assert await loads(h) == {"ayu": 1, "budi": 1}
        await h.crash()
        out = await accept(h, "budi", offered.reservation_id)
        assigned = only(out, WorkAssigned)
        assert (assigned.agent_id, assigned.taken_over_from) == ("budi", "ayu")
        assert await loads(h) == {"ayu": 0, "budi": 1}


async def test_an_agent_pulls_the_next_and_is_told_which(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace(billing={"mode": "pull"}, sales={"mode": "manual"})) as h:
        await available(h, "ayu", "budi")
        assert kinds(await work(h, "1")) == ["work.queued"]
        assert kinds(await work(h, "2", queue="sales")) == ["work.queued"]
        out = await command(h, NextWork(agent_id="ayu", pool=POOL), id="next-1")
        assert kinds(out) == ["work.assigned"]
        [answer] = [e.data.answer for e in out if isinstance(e.data, AgentChanged) and e.data.answer]
        assert (answer.code, answer.work_item_id) == ("ok", "wki_1")
        assert answered(await command(h, NextWork(agent_id="budi", pool=POOL)))[1] == "nothing_waiting"
        taken = await command(h, TakeWork(agent_id="budi", pool=POOL, work_item_id="wki_2"))
        assert only(taken, WorkAssigned).agent_id == "budi"


async def test_silent_work_makes_room_and_takes_it_again(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, workspace()) as h:
        await available(h, "ayu")
        await accept(h, "ayu", only(await work(h, "1"), ReservationOffered).reservation_id)
        named = {"work_item_id": "wki_1", "conversation_id": "cnv_1", "contact_point_id": "cpt_1"}
        silent = WorkFellSilent(**named, pool=POOL, agent_id="ayu", since=START, occurred_at=h.time.now())
        assert only(await h.give(silent, key=POOL), WorkIdled).since == START
        assert await loads(h) == {"ayu": 0}
        await h.crash()
        assert offers(await work(h, "2")).keys() == {"ayu"}
        out = await h.give(WorkResumed(**named, pool=POOL, occurred_at=h.time.now()), key=POOL)
        assert kinds(out) == ["work.woken"]
        assert await loads(h) == {"ayu": 2}
        assert offers(await work(h, "3")) == {}


async def test_a_cap_is_told_in_the_explanation(postgres_dsn: str) -> None:
    limited = workspace()
    ayu = Agent("ayu", "Ayu", POOL, capacity=5, caps={Channel.WHATSAPP: 1})
    async with harness(postgres_dsn, replace(limited, agents={"ayu": ayu})) as h:
        await available(h, "ayu")
        await work(h, "1")
        queued = only(await work(h, "2"), WorkQueued)
        assert [c.rejected for c in queued.explanation.candidates] == ["cap whatsapp 1/1"]
        assert offers(await work(h, "3", channel=Channel.WEBCHAT)).keys() == {"ayu"}


async def test_rows_of_the_release_before_become_reservations(postgres_dsn: str) -> None:
    """The migration's own statement, on an offered row as the old columns had it."""
    from importlib.resources import files

    async with harness(postgres_dsn, workspace()) as h:
        await available(h, "ayu")
        offered = only(await work(h, "1"), ReservationOffered)
        await h.rows(
            "update work_item set reservations = '[]', agent_id = 'ayu', reservation_id = $1, expires_at = $2,"
            " offer_turn = 1 returning 1",
            offered.reservation_id,
            offered.expires_at,
        )
        script = files("services.router").joinpath("migrations/0003_lifecycle.sql").read_text()
        await h.rows(script[script.index("update work_item") :])
        await h.crash()
        assert answered(await accept(h, "ayu", offered.reservation_id))[1] == "ok"
