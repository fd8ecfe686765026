"""This file proves on the real database that pools lend each other work: every event twice, crashes between steps, and the log replayed."""

from collections.abc import Awaitable, Sequence
from dataclasses import fields
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import (
    ReservationOffered,
    WorkAssigned,
    WorkCompleted,
    WorkEvent,
    WorkQueued,
    WorkRequested,
    WorkWithdrawn,
)
from libs.contracts.payloads.commands import AcceptReservation, AgentCommand, DeclineReservation, SetPresence
from libs.contracts.payloads.lending import LendingEvent
from libs.contracts.vocabulary import Channel, Presence
from libs.flow.harness import Harness
from libs.flow.recording import gather
from libs.flow.wire import Outgoing
from libs.service import problems
from services.router.assignment.api import routes
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.flow import flow
from services.router.replay.comparison import compare
from services.router.replay.handling import Handling
from services.router.replay.history import history
from services.router.replay.rows import from_json, read_rows, to_json
from services.router.replay.what_if import WhatIf
from tests.unit.router.assignment.pools import HOME, MINUTE, OTHER, THIRD, workspace

pytestmark = pytest.mark.postgres

SECOND = timedelta(seconds=1)
POOLS = workspace()


def harness(dsn: str) -> Harness:
    return Harness(flow(POOLS), dsn)


async def command(h: Harness, asked: AgentCommand) -> list[Event[Any]]:
    name = f"{asked.type} {asked.model_dump_json()} {h.time.now()}"
    return await h.give(asked, key=asked.pool, id=name, source=f"/desk/{asked.agent_id}")


async def presence(h: Harness, agent_id: str, presence: Presence = Presence.AVAILABLE) -> list[Event[Any]]:
    pool = POOLS.agents[agent_id].pool
    return await command(h, SetPresence(agent_id=agent_id, pool=pool, presence=presence))


async def work(h: Harness, name: str, queue: str = "invoices", **values: Any) -> list[Event[Any]]:
    asked = WorkRequested(
        **{
            "work_item_id": f"wki_{name}",
            "conversation_id": f"cnv_{name}",
            "contact_point_id": f"cpt_{name}",
            "pool": POOLS.queues[queue].pool,
            "queue": queue,
            "channel": Channel.WHATSAPP,
            "requested_at": h.time.now(),
            **values,
        }
    )
    return await h.give(asked, key=asked.pool)


async def withdraw(h: Harness, name: str, pool: str = HOME, *, wrap_up: bool = False) -> list[Event[Any]]:
    asked = WorkWithdrawn(
        work_item_id=f"wki_{name}",
        conversation_id=f"cnv_{name}",
        contact_point_id=f"cpt_{name}",
        pool=pool,
        reason="resolved",
        wrap_up=wrap_up,
        occurred_at=h.time.now(),
    )
    return await h.give(asked, key=pool)


async def accept(h: Harness, offer: ReservationOffered) -> list[Event[Any]]:
    return await command(
        h,
        AcceptReservation(agent_id=offer.agent_id, pool=offer.pool, reservation_id=offer.reservation_id),
    )


def kinds(events: list[Event[Any]]) -> list[str]:
    return [e.data.type.removesuffix(".v1") for e in events if isinstance(e.data, WorkEvent)]


def said(h: Harness) -> list[str]:
    return [e.data.type.split(".")[1] for e in h.emitted if isinstance(e.data, LendingEvent)]


def offers(h: Harness) -> list[ReservationOffered]:
    return [e.data for e in h.emitted if isinstance(e.data, ReservationOffered)]


async def rows(h: Harness, table: str) -> list[tuple[str, str]]:
    found = await h.rows(f"select pool, state from {table} order by pool")
    return [(row["pool"], row["state"]) for row in found]


async def test_work_goes_to_another_pool_and_ends_there_whatever_is_killed_between(postgres_dsn: str) -> None:
    for crashing in (False, True):
        async with harness(postgres_dsn) as h:

            async def deed(made: Awaitable[object], h: Harness = h, crashing: bool = crashing) -> None:
                await made
                if crashing:
                    await h.crash()

            await deed(presence(h, "citra"))
            await deed(work(h, "1"))
            await deed(h.advance(MINUTE))
            assert await rows(h, "work_item") == [(HOME, "queued")]
            await deed(h.hear_itself())
            assert said(h) == ["lent", "claimed", "granted"]
            assert await rows(h, "work_item") == [(OTHER, "offered")]
            assert await rows(h, "lent_item") == [(HOME, "away")]
            await deed(accept(h, offers(h)[0]))
            await deed(withdraw(h, "1", wrap_up=True))
            await deed(h.hear_itself())
            assert await rows(h, "work_item") == [(OTHER, "wrapping")]
            await deed(h.advance(MINUTE))
            await deed(h.hear_itself())
            assert await rows(h, "work_item") == await rows(h, "lent_item") == []
            assert kinds(h.emitted) == [
                "work.queued",
                "work.queued",
                "reservation.offered",
                "reservation.accepted",
                "work.assigned",
                "work.wrapping",
                "work.completed",
            ]
            versions = [e.data.version for e in h.emitted if isinstance(e.data, WorkEvent)]
            assert versions == [1, 2, 3, 4, 5, 6, 7]
            story = await h.rows("select version, pool from decision order by version")
            assert [row["pool"] for row in story] == [HOME] * 2 + [OTHER] * 5


async def test_a_pool_of_the_same_lane_lends_as_any_other(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await presence(h, "eka")
        await work(h, "1", requested_at=h.time.now() - 2 * MINUTE)
        await h.hear_itself()
        await h.crash()
        (offer,) = offers(h)
        assert (offer.agent_id, offer.pool) == ("eka", THIRD)
        declined = DeclineReservation(agent_id="eka", pool=THIRD, reservation_id=offer.reservation_id)
        await command(h, declined)
        await h.crash()
        await h.hear_itself()
        assert await rows(h, "work_item") == [(HOME, "queued")]
        assert await rows(h, "lent_item") == [(THIRD, "queued"), (OTHER, "queued")]
        await h.crash()
        await withdraw(h, "1")
        await h.hear_itself()
        assert await rows(h, "work_item") == await rows(h, "lent_item") == []


async def test_another_pool_is_told_of_work_only_once_all_that_happened_to_it_is_on_the_log(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with harness(postgres_dsn) as h:
        published: list[list[str]] = []
        publish = h._publisher.publish

        async def noted(records: Sequence[Outgoing]) -> None:
            published.append(sorted({record.topic for record in records}))
            await publish(records)

        monkeypatch.setattr(h._publisher, "publish", noted)
        await presence(h, "citra")
        await work(h, "1")
        published.clear()
        await h.advance(MINUTE)
        assert published == [["assignments"], ["lending"]]
        await h.crash()
        await h.advance(SECOND)
        again = [topics for topics in published[2:] if topics != ["agents"]]
        assert again == [["assignments"], ["lending"]]


async def test_a_guests_row_has_every_column_of_a_work_item(postgres_dsn: str) -> None:
    """A later migration of the one table is one of the other too."""
    async with harness(postgres_dsn) as h:
        for table in ("work_item", "lent_item"):
            sql = "select column_name as name from information_schema.columns where table_name = $1"
            columns = {row["name"] for row in await h.rows(sql, table)}
            assert {field.name for field in fields(WorkItem)} <= columns


async def test_the_agents_page_counts_capacity_that_a_claim_holds(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await presence(h, "citra")
        await work(h, "1")
        await h.advance(MINUTE)
        await h.hear_itself(1)
        assert said(h) == ["lent", "claimed"]
        api = FastAPI()
        problems.install(api)
        api.include_router(routes(h.database, POOLS))
        async with AsyncClient(transport=ASGITransport(api), base_url="http://router") as client:
            page = (await client.get(f"/v1/pools/{OTHER}")).json()
        assert [(a["load"], a["work_item_ids"]) for a in page["agents"]] == [(1, ["wki_1"]), (0, [])]
        assert (page["counts"], page["waiting"]) == ({}, [])


class Story:
    """Customers and agents of three pools, who hear of each other late, on a router that is killed now and then."""

    def __init__(self, h: Harness, rng: Random) -> None:
        self._h, self._rng = h, rng
        self._items: dict[str, str] = {}

    async def go_on(self) -> None:
        h, rng = self._h, self._rng
        match rng.choices(range(8), [5, 6, 3, 2, 3, 5, 1, 6])[0]:
            case 0:
                name, queue = str(len(self._items)), rng.choice(["invoices", "invoices", "orders"])
                self._items[name] = POOLS.queues[queue].pool
                skills = rng.choice([{}, {"refund": 2}])
                since = h.time.now() - rng.choice([0, 1, 2]) * MINUTE
                await work(h, name, queue, skills=skills, requested_at=since)
            case 1 if offers(h):
                await accept(h, offers(h)[-1])
            case 2 if self._items:
                name = rng.choice([*self._items])
                await withdraw(h, name, self._items[name], wrap_up=rng.random() < 0.5)
            case 3 if offers(h):
                offer = offers(h)[-1]
                declined = DeclineReservation(
                    agent_id=offer.agent_id, pool=offer.pool, reservation_id=offer.reservation_id
                )
                await command(h, declined)
            case 4:
                agent = rng.choice(["ayu", "citra", "dewi", "eka"])
                await presence(h, agent, rng.choice([Presence.AVAILABLE, Presence.AVAILABLE, Presence.BREAK]))
            case 5:
                await h.advance(timedelta(seconds=rng.choice([1, 12, 31, 61])))
            case 6:
                await h.crash()
            case 7:
                await h.hear_itself()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_log_gives_every_decision_again(postgres_dsn: str, seed: int) -> None:
    async with harness(postgres_dsn) as h:
        story = Story(h, Random(seed))
        for agent in ("citra", "dewi", "eka"):
            await presence(h, agent)
        for _ in range(60):
            await story.go_on()
        async with h.database.connection() as connection:
            begin = from_json(to_json(await read_rows(connection)))
        before = len(h.emitted)
        for _ in range(60):
            await story.go_on()
        await h.hear_itself()
        recording = gather(h.logs())
        whole = compare(recording, POOLS)
        assert whole.differences == []
        assert whole.events == len(h.emitted)
        assert {"lent", "claimed", "granted", "returned"} <= set(said(h))
        second = compare(recording, POOLS, begin=begin)
        assert second.differences == []
        assert second.events == len(h.emitted) - before


async def test_a_what_if_lends_work_too(postgres_dsn: str) -> None:
    async with harness(postgres_dsn) as h:
        await presence(h, "citra")
        await work(h, "1")
        await h.advance(MINUTE)
        await h.hear_itself()
        await accept(h, offers(h)[0])
        await h.advance(MINUTE)
        await withdraw(h, "1")
        await h.hear_itself()
        await h.advance(5 * MINUTE)
        await presence(h, "dewi")
        recorded = history(gather(h.logs()))
        made = WhatIf(recorded, Handling(recorded, POOLS, 1), POOLS).run()
        assert [m.payload.pool for m in made if isinstance(m.payload, WorkAssigned)] == [OTHER]
        assert [m.payload.pool for m in made if isinstance(m.payload, WorkCompleted)] == [OTHER]
        assert isinstance(made[1].payload, WorkQueued)
