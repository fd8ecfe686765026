"""This file proves allocation hooks on the real database: asked once, answered once, through crashes, and made again by a replay."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from libs.contracts.payloads.assignments import ReservationOffered, WorkQueued
from libs.contracts.vocabulary import Presence
from libs.flow.flow import Performing
from libs.flow.harness import START, Harness
from libs.flow.recording import gather
from libs.workspace import AllocationHook, Pool, Secret, Workspace
from services.router.assignment.effects import AskHook, AskOutcome, Heard
from services.router.assignment.flow import flow
from services.router.replay.__main__ import runs
from services.router.replay.comparison import compare
from services.router.replay.history import history
from services.router.replay.rows import from_json, read_rows, to_json
from tests.flows.test_assignment import (
    ASSIGNMENT,
    POOL,
    SECOND,
    accept,
    available,
    get,
    kinds,
    only,
    presence,
    withdraw,
    work,
)
from tests.flows.test_replay import Story

pytestmark = pytest.mark.postgres

HOOK = AllocationHook(
    "https://crm.example/allocate", Secret("k3y", "env:HOOK"), timedelta(milliseconds=500), "pools.main"
)
HOOKED = replace(ASSIGNMENT, pools={POOL: Pool(POOL, allocation_hook=HOOK)})
STEADY = replace(HOOKED, pools={POOL: Pool(POOL, allocation_hook=HOOK, presence_lease=timedelta(hours=1))})
"""Nobody is lost: which heartbeats a killed process had read is in no event (docs/replay.md)."""


class Crm:
    """Somebody's own system: answers as the test says, and remembers what it was asked and whether again."""

    def __init__(self, *answers: Heard) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bool]] = []

    async def __call__(self, performing: Performing) -> Heard:
        self.asked.append((performing.effect.id, performing.again))
        return self.answers.pop(0) if self.answers else Heard(AskOutcome.NO_OPINION)


def wants(*agent_ids: str, reason: str | None = None) -> Heard:
    return Heard(AskOutcome.ANSWERED, agent_ids, reason)


def harness(dsn: str, crm: Crm, workspace: Workspace = HOOKED) -> Harness:
    return Harness(flow(workspace, crm), dsn)


def counted(outcome: str) -> float:
    labels = {"pool": POOL, "outcome": outcome}
    return REGISTRY.get_sample_value("sambung_router_hook_answers_total", labels) or 0.0


@contextmanager
def dying_before_it_asks(h: Harness) -> Iterator[None]:
    """What is to be asked is committed, and nobody asks: as in a process that is killed then."""
    performers = cast(dict[Any, Any], h.flow.performers)
    crm = performers.pop(AskHook)
    yield
    performers[AskHook] = crm


async def test_an_agent_whom_the_hook_names_is_offered_the_work_and_the_story_says_so(
    postgres_dsn: str,
) -> None:
    crm, before = Crm(wants("budi", reason="vip")), counted("chosen")
    async with harness(postgres_dsn, crm) as h:
        await available(h, "ayu", "budi")
        out = await work(h, "1")
        assert kinds(out) == ["work.queued", "reservation.offered"]
        offered = only(out, ReservationOffered)
        assert (offered.agent_id, offered.explanation.note) == ("budi", "allocation hook chose budi: vip")
        assert offered.explanation.hook.model_dump() == {
            "ask": 1, "agent_ids": ("budi",), "reason": "vip", "fault": None,
        }  # fmt: skip
        assert counted("chosen") == before + 1
        # The request came twice, and the hook was asked once.
        assert crm.asked == [("wki_1/1", False)]
        assert await h.rows("select * from effect") == []
        assert await h.rows("select * from timer where name = 'hook'") == []


async def test_while_it_is_asked_the_work_waits_in_its_row_until_the_time_limit(postgres_dsn: str) -> None:
    async with harness(postgres_dsn, Crm()) as h:
        await available(h, "ayu", "budi")
        with dying_before_it_asks(h):
            assert kinds(await work(h, "1")) == ["work.queued"]
            rows = await h.rows("select state, hook_until, hook_asks from work_item")
            assert [tuple(row) for row in rows] == [("queued", START + HOOK.within, 1)]
            pool = (await get(h, f"/v1/pools/{POOL}", HOOKED)).json()
            assert [item["hook_until"] for item in pool["waiting"]] == ["2026-03-02T08:00:00.500000Z"]
            assert "k3y" not in str(pool)
            [body] = [row[0] for row in await h.rows("select body from effect")]
            assert "k3y" not in body
            out = await h.advance(HOOK.within)
        offered = only(out, ReservationOffered)
        assert (offered.agent_id, offered.occurred_at) == ("ayu", START + HOOK.within)
        assert offered.explanation.note == "allocation hook: no answer within 500 ms"
        assert [tuple(row) for row in await h.rows("select hook_until, hook_asks from work_item")] == [
            (None, 1)
        ]


async def test_killed_between_asking_and_the_answer_it_is_asked_again_under_the_same_key(
    postgres_dsn: str,
) -> None:
    crm = Crm(wants("budi"))
    async with harness(postgres_dsn, crm) as h:
        await available(h, "ayu", "budi")
        with dying_before_it_asks(h):
            await work(h, "1")
            await h.crash()
        out = await h.advance(SECOND / 10)
        assert kinds(out) == ["reservation.offered"]
        assert only(out, ReservationOffered).agent_id == "budi"
        assert crm.asked == [("wki_1/1", True)]


async def test_stopped_for_an_hour_the_time_limit_holds_and_the_answer_that_comes_then_changes_nothing(
    postgres_dsn: str,
) -> None:
    crm = Crm(wants("budi"))
    async with harness(postgres_dsn, crm) as h:
        await available(h, "ayu", "budi")
        with dying_before_it_asks(h):
            await work(h, "1")
            await h.crash()
        late = counted("late")
        out = await h.advance(timedelta(hours=1))
        assert counted("late") == late + 1
        assert [only(out, ReservationOffered).agent_id] == ["ayu"]
        assert crm.asked == [("wki_1/1", True)]
        assert kinds(h.emitted).count("reservation.offered") == 1
        assert await h.rows("select * from effect") == []


async def test_work_that_ended_meanwhile_is_not_brought_back_by_an_answer(postgres_dsn: str) -> None:
    crm = Crm(wants("budi"))
    async with harness(postgres_dsn, crm) as h:
        await available(h, "budi")
        with dying_before_it_asks(h):
            await work(h, "1")
            assert kinds(await withdraw(h, "1")) == ["work.cancelled"]
            await h.crash()
        await available(h, "ayu")
        assert crm.asked == [("wki_1/1", True)]
        assert kinds(h.emitted) == ["work.queued", "work.cancelled"]
        assert await h.rows("select * from timer where name = 'hook'") == []


async def test_of_many_asked_at_once_none_waits_for_another(postgres_dsn: str) -> None:
    crm = Crm(*(wants("ayu"), wants("budi"), wants("ayu")))
    async with harness(postgres_dsn, crm) as h:
        await available(h, "ayu", "budi")
        with dying_before_it_asks(h):
            for name in "123":
                await work(h, name)
            await h.crash()
        out = await h.advance(SECOND / 10)
        assert sorted(only_offers(out)) == ["ayu", "ayu", "budi"]
        assert only_notes(await work(h, "4")) == [
            "allocation hook: asked, for 500 ms at most",
            "allocation hook: no opinion",
        ]


def only_offers(events: list[Any]) -> list[str]:
    return [e.data.agent_id for e in events if isinstance(e.data, ReservationOffered)]


def only_notes(events: list[Any]) -> list[str | None]:
    return [e.data.explanation.note for e in events if isinstance(e.data, WorkQueued)]


class Unreliable(Crm):
    """Names anybody, nobody, somebody unknown, or fails."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    async def __call__(self, performing: Performing) -> Heard:
        self.answers = [
            self._rng.choice(
                [
                    wants("ayu"),
                    wants("budi", "ayu", reason="knows them"),
                    wants("zaki"),
                    Heard(AskOutcome.NO_OPINION),
                    Heard(AskOutcome.STATUS, fault="answered 503"),
                ]
            )
        ]
        return await super().__call__(performing)


async def live(h: Harness, rng: Random, steps: int) -> None:
    """A story in which some asks are committed by processes that die before they ask."""
    story = Story(h, rng)
    for _ in range(steps):
        if rng.random() < 0.2:
            with dying_before_it_asks(h):
                await story.go_on()
        else:
            await story.go_on()


@pytest.mark.parametrize("seed", range(50, 58))
async def test_a_replay_decides_by_recorded_answers_and_asks_nobody(postgres_dsn: str, seed: int) -> None:
    crm = Unreliable(Random(seed))
    async with harness(postgres_dsn, crm, STEADY) as h:
        await available(h, "ayu", "budi")
        await live(h, Random(seed), 75)
        async with h.database.connection() as connection:
            rows = from_json(to_json(await read_rows(connection)))
        before = len(h.emitted)
        await live(h, Random(seed + 1000), 75)
        asked = len(crm.asked)
        recording = gather(h.logs())
        found = compare(recording, STEADY)
        assert found.differences == []
        assert found.events == len(h.emitted)
        assert 0 < found.answers <= asked == len(crm.asked)
        middle = compare(recording, STEADY, begin=rows)
        assert (middle.differences, middle.events) == ([], len(h.emitted) - before)


async def test_a_what_if_takes_recorded_answers_and_has_no_opinion_where_there_are_none(
    postgres_dsn: str,
) -> None:
    async with harness(postgres_dsn, Crm(wants("budi"))) as h:
        await available(h, "ayu", "budi")
        offered = only(await work(h, "1"), ReservationOffered)
        await accept(h, "budi", offered.reservation_id)
        await h.advance(5 * SECOND)
        await withdraw(h, "1")
        await work(h, "2")
        recording = gather(h.logs())
        assert history(recording).items["wki_1"].answers[1].agent_ids == ("budi",)
        other = replace(HOOKED, pools={POOL: replace(HOOKED.pools[POOL], auto_accept=True)})
        found = runs(recording, HOOKED, other, seed=1)
        assert found["other policy"].answered == 2


async def test_an_agent_who_left_meanwhile_is_refused_and_the_work_goes_on(postgres_dsn: str) -> None:
    crm = Crm(wants("budi"))
    async with harness(postgres_dsn, crm) as h:
        await available(h, "ayu", "budi")
        with dying_before_it_asks(h):
            await work(h, "1")
            await presence(h, "budi", Presence.BREAK)
            await h.crash()
        offered = only(await h.advance(SECOND / 10), ReservationOffered)
        assert (offered.agent_id, offered.explanation.note) == (
            "ayu",
            "allocation hook chose budi, who is break",
        )
