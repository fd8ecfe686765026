"""This file proves what the SLA service answers over HTTP, on the real database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr

from libs.flow.harness import START, Harness
from libs.service.auth import Bearer, Role, issue
from libs.service.http import application
from services.sla.api import routes
from services.sla.flow import flow
from services.sla.store import Reads
from tests.flows.test_sla import Sla, minute
from tests.unit.sla.story import WORKSPACE, Talk

pytestmark = pytest.mark.postgres

SECRET = SecretStr("a secret of the tests, 32 bytes or more")


@pytest.fixture
async def sla(postgres_dsn: str) -> AsyncIterator[Sla]:
    async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
        yield Sla(harness)


@pytest.fixture
async def client(sla: Sla) -> AsyncIterator[httpx.AsyncClient]:
    bearer = Bearer(SECRET, workspace=WORKSPACE.id, time=sla.h.time)
    app = application("sla", routes(Reads(sla.h.database), bearer))
    token = issue(
        SECRET,
        agent_id="ayu",
        workspace=WORKSPACE.id,
        role=Role.AGENT,
        now=START,
        lifetime=timedelta(days=9),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://sla",
        headers={"authorization": f"Bearer {token}"},
    ) as http:
        yield http


async def test_the_clocks_of_a_conversation_are_listed_with_how_they_stand(
    sla: Sla, client: httpx.AsyncClient
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(20)), talk.snoozed(minute(30)))
    answer = await client.get(f"/v1/conversations/{talk.id}/clocks")
    assert answer.status_code == 200
    first, solved = sorted(answer.json()["clocks"], key=lambda clock: clock["metric"])
    assert (first["metric"], first["state"], first["breached"], first["warned"]) == (
        "first_response",
        "met",
        True,
        [0.8],
    )
    assert first["ended_at"] == "2026-03-02T08:20:00Z"
    assert (solved["state"], solved["due_at"], solved["target_seconds"]) == (
        "paused",
        "2026-03-02T16:00:00Z",
        28800.0,
    )
    assert (solved["policy"], solved["policy_version"], solved["calendar"]) == ("gold", "v1", "24x7")


async def test_a_superseded_clock_is_not_listed(sla: Sla, client: httpx.AsyncClient) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(1)), talk.asked(minute(8)), talk.asked(minute(5)))
    answer = await client.get(f"/v1/conversations/{talk.id}/clocks")
    clocks = answer.json()["clocks"]
    assert [c["started_at"] for c in clocks if c["metric"] == "next_response"] == ["2026-03-02T08:05:00Z"]


async def test_an_unknown_conversation_has_no_clocks(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/conversations/cnv_nobody/clocks")
    assert (answer.status_code, answer.json()) == (200, {"clocks": []})


async def test_what_is_breached_next_comes_first_with_who_holds_it(
    sla: Sla, client: httpx.AsyncClient
) -> None:
    ana, budi, citra = Talk("ana"), Talk("budi", "quick"), Talk("citra")
    await sla.give(ana.opened(START), citra.opened(minute(1)), budi.opened(minute(2)))
    await sla.give(citra.assigned(minute(2)), ana.snoozed(minute(2)))
    answer = await client.get("/v1/clocks/next")
    found = [(c["conversation_id"], c["metric"], c["agent_id"]) for c in answer.json()["clocks"]]
    assert found == [
        (budi.id, "first_response", None),
        (ana.id, "first_response", None),
        (citra.id, "first_response", "ayu"),
        (citra.id, "resolution", "ayu"),
    ]
    answer = await client.get("/v1/clocks/next", params={"queue": "general", "limit": 1})
    assert [c["conversation_id"] for c in answer.json()["clocks"]] == [ana.id]
    await sla.until(minute(15))
    answer = await client.get("/v1/clocks/next", params={"limit": 1})
    assert [c["conversation_id"] for c in answer.json()["clocks"]] == [citra.id]


async def test_a_transferred_conversation_is_due_in_its_new_queue(
    sla: Sla, client: httpx.AsyncClient
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.transferred(minute(1), "free"))
    here = await client.get("/v1/clocks/next", params={"queue": "free"})
    there = await client.get("/v1/clocks/next", params={"queue": "general"})
    assert (len(here.json()["clocks"]), len(there.json()["clocks"])) == (2, 0)


async def test_a_wrong_limit_is_refused_with_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/clocks/next", params={"limit": 0})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_nothing_is_answered_without_a_token(client: httpx.AsyncClient) -> None:
    for path in ("/v1/clocks/next", "/v1/conversations/cnv_x/clocks"):
        answer = await client.get(path, headers={"authorization": ""})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
