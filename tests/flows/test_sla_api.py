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
from tests.flows.test_sla_calendars import OFFICE, workspace
from tests.unit.sla.story import WORKSPACE, Talk

pytestmark = pytest.mark.postgres

SECRET = SecretStr("a secret of the tests, 32 bytes or more")


@pytest.fixture
async def sla(postgres_dsn: str) -> AsyncIterator[Sla]:
    async with Harness(flow(WORKSPACE), postgres_dsn) as harness:
        yield Sla(harness)


def authorised() -> dict[str, str]:
    token = issue(
        SECRET,
        agent_id="ayu",
        workspace=WORKSPACE.id,
        role=Role.AGENT,
        now=START,
        lifetime=timedelta(days=9),
    )
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def client(sla: Sla) -> AsyncIterator[httpx.AsyncClient]:
    bearer = Bearer(SECRET, workspace=WORKSPACE.id, time=sla.h.time)
    app = application("sla", routes(Reads(sla.h.database), bearer))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://sla",
        headers=authorised(),
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


async def test_a_clock_tells_its_arithmetic_and_its_history_in_words(
    sla: Sla, client: httpx.AsyncClient
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.answered(minute(20)), talk.snoozed(minute(30)))
    answer = await client.get(f"/v1/conversations/{talk.id}/clocks")
    first, solved = sorted(answer.json()["clocks"], key=lambda clock: clock["metric"])
    assert first["arithmetic"] == "15 min around the clock (UTC) from 08:00 Mon 2 Mar: due 08:15 Mon 2 Mar"
    assert [moment["words"] for moment in first["history"]] == [
        "started",
        "warned at 80% of the target",
        "breached",
        "met, 5 min after its deadline at 08:20 Mon 2 Mar",
    ]
    assert first["history"][1]["at"] == "2026-03-02T08:12:00Z"
    assert solved["arithmetic"].endswith("due 16:00 Mon 2 Mar if it went on at once")
    assert solved["history"][-1] == {"at": "2026-03-02T08:30:00Z", "words": "paused (on_hold)"}


async def test_the_words_of_a_calendar_are_its_name_and_its_time_of_day(postgres_dsn: str) -> None:
    async with Harness(flow(workspace(OFFICE, "v1")), postgres_dsn) as harness:
        sla, talk = Sla(harness), Talk("ana")
        await sla.give(talk.opened(START))
        bearer = Bearer(SECRET, workspace=WORKSPACE.id, time=harness.time)
        app = application("sla", routes(Reads(harness.database), bearer, {"gold": "kantor"}))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://sla", headers=authorised()
        ) as http:
            (clock,) = (await http.get(f"/v1/conversations/{talk.id}/clocks")).json()["clocks"]
    assert clock["arithmetic"] == (
        "180 min of kantor hours (Asia/Jakarta) from 15:00 Mon 2 Mar: due 09:00 Tue 3 Mar"
    )


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
    answer = await client.get("/v1/sla/next")
    found = [(c["conversation_id"], c["metric"], c["agent_id"]) for c in answer.json()["clocks"]]
    assert found == [
        (budi.id, "first_response", None),
        (ana.id, "first_response", None),
        (citra.id, "first_response", "ayu"),
        (citra.id, "resolution", "ayu"),
    ]
    answer = await client.get("/v1/sla/next", params={"queue": "general", "limit": 1})
    assert [c["conversation_id"] for c in answer.json()["clocks"]] == [ana.id]
    await sla.until(minute(15))
    answer = await client.get("/v1/sla/next", params={"limit": 1})
    assert [c["conversation_id"] for c in answer.json()["clocks"]] == [citra.id]


async def test_a_transferred_conversation_is_due_in_its_new_queue(
    sla: Sla, client: httpx.AsyncClient
) -> None:
    talk = Talk("ana")
    await sla.give(talk.opened(START), talk.transferred(minute(0.5), "quick"))
    here = await client.get("/v1/sla/next", params={"queue": "quick"})
    there = await client.get("/v1/sla/next", params={"queue": "general"})
    assert ([c["policy"] for c in here.json()["clocks"]], there.json()["clocks"]) == (["quick"], [])


async def test_a_wrong_limit_is_refused_with_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sla/next", params={"limit": 0})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_nothing_is_answered_without_a_token(client: httpx.AsyncClient) -> None:
    for path in ("/v1/sla/next", "/v1/conversations/cnv_x/clocks"):
        answer = await client.get(path, headers={"authorization": ""})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
