"""This file proves what can be asked of the router over HTTP, and by whom."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

from libs.contracts.ids import contact_id
from libs.contracts.payloads.commands import TagConversation
from libs.flow.publisher import Publisher
from libs.service.auth import Role, issue
from libs.service.problems import install
from libs.service.process import Runtime
from services.router.flow import build
from services.router.settings import Settings
from tests.flows.conversations_desk import Desk, first, opened
from tests.unit.router.conversations.examples import SITI, WORKSPACE, phone, point_of

pytestmark = pytest.mark.postgres

SECRET = SecretStr("0123456789abcdef0123456789abcdef")


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    """Siti has written on WhatsApp and in web chat."""
    async with opened(postgres_dsn) as found:
        await found.says(identifiers=(phone("+6281234567890"),), profile_name="Siti")
        await found.says(address="v1", inbox="web", identifiers=(phone("081234567890"),))
        await found.assigned("ayu")
        await found.asks(TagConversation, add=("retur",))
        yield found


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[AsyncClient]:
    settings = Settings(
        kafka="127.0.0.1:1", postgres="postgresql://x@y/z", workspace=Path("w"), jwt_secret=SECRET
    )
    publisher = cast(Publisher, None)
    built = build(Runtime(settings, desk.h.time, WORKSPACE, desk.h.database, publisher, None))
    assert [flow.name for flow in built.flows] == ["conversations", "assignment"]
    for flow in built.flows:
        flow.check()
    app = FastAPI()
    install(app)
    assert built.api is not None
    app.include_router(built.api)
    token = issue(
        SECRET,
        agent_id="ayu",
        workspace=WORKSPACE.id,
        role=Role.AGENT,
        now=desk.now,
        lifetime=timedelta(hours=1),
    )
    headers = {"authorization": f"Bearer {token}"}
    async with AsyncClient(transport=ASGITransport(app), base_url="http://router", headers=headers) as made:
        yield made


async def test_conversation_is_shown_as_it_stands(client: AsyncClient) -> None:
    answer = await client.get(f"/v1/conversations/{first()}")
    shown: dict[str, Any] = answer.json()
    assert answer.status_code == 200
    assert (shown["state"], shown["queue"], shown["address"], shown["customer_name"]) == (
        "open",
        "umum",
        SITI,
        "Siti",
    )
    assert (shown["tags"], shown["version"]) == (["retur"], 3)


async def test_contact_is_shown_with_its_points_and_the_evidence(client: AsyncClient) -> None:
    answer = await client.get(f"/v1/contacts/{contact_id(point_of())}")
    shown = answer.json()
    points = {point["contact_point_id"] for point in shown["contact_points"]}
    assert points == {point_of(), point_of("v1", "web")}
    assert [(one["value"], one["verified"]) for one in shown["evidence"]] == [("+6281234567890", True)] * 2


@pytest.mark.parametrize("path", ["conversations/cnv_never", "contacts/con_never"])
async def test_what_does_not_exist_is_not_found(client: AsyncClient, path: str) -> None:
    answer = await client.get(f"/v1/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_nothing_is_shown_without_a_token(client: AsyncClient) -> None:
    for path in (f"conversations/{first()}", f"contacts/{contact_id(point_of())}", "pools/layanan"):
        answer = await client.get(f"/v1/{path}", headers={"authorization": ""})
        assert answer.status_code == 401


async def test_id_of_a_wrong_shape_is_refused_before_the_database_sees_it(client: AsyncClient) -> None:
    assert (await client.get("/v1/conversations/x%00y")).status_code == 422
