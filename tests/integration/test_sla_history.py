"""This file proves sla and history as processes: a deadline that passes, by way of two topics, to a customer's live timeline."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.organisation import SUPERVISOR, found
from deploy.demo.processes import Services
from deploy.local.stack import Servers
from libs.contracts.payloads.base import Payload
from libs.flow.publisher import Publisher, first_hand
from libs.service.auth import Role
from libs.timesource import SystemTime, random_token
from tests.unit.sla.story import Talk

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

TIME = SystemTime()
TARGET = timedelta(seconds=6)
"""First response in the demo's queue `umum`."""
WITHIN = 30.0


class System:
    """Both services, fed as the router would feed them."""

    def __init__(self, services: Services, publisher: Publisher, token: str) -> None:
        self.services, self._publisher = services, publisher
        self._headers = {"authorization": f"Bearer {token}"}

    async def publish(self, payload: Payload) -> None:
        at: datetime = payload.occurred_at  # type: ignore[attr-defined]
        key: str = payload.contact_point_id  # type: ignore[attr-defined]
        record = first_hand(payload, key=key, source="/test", id=random_token(), at=at, recorded_at=at)
        await self._publisher.publish([record])

    def client(self, service: str) -> httpx.AsyncClient:
        url = self.services[service].url
        return httpx.AsyncClient(base_url=url, headers=self._headers, timeout=WITHIN, trust_env=False)

    @asynccontextmanager
    async def stream(self, contact_id: str, last_event_id: str = "") -> AsyncIterator["Stream"]:
        headers = {"last-event-id": last_event_id} if last_event_id else {}
        async with (
            self.client("history") as client,
            client.stream("GET", f"/v1/contacts/{contact_id}/timeline/stream", headers=headers) as answer,
        ):
            assert answer.status_code == 200
            yield Stream(answer.aiter_lines())


class Stream:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_event_id = ""
        self.entries: list[dict[str, Any]] = []

    async def until(self, event_type: str) -> dict[str, Any]:
        """Read on until there is an entry of that type."""
        async with asyncio.timeout(WITHIN):
            while True:
                field, _, value = (await anext(self._lines)).partition(": ")
                if field == "id":
                    self.last_event_id = value
                elif field == "data":
                    self.entries.append(json.loads(value))
                    if self.entries[-1]["event_type"] == event_type:
                        return self.entries[-1]

    async def begun(self) -> None:
        async with asyncio.timeout(WITHIN):
            while not self.last_event_id:
                field, _, value = (await anext(self._lines)).partition(": ")
                self.last_event_id = value if field == "id" else ""


@pytest.fixture
async def system(kafka: str, postgres_dsn: str, tmp_path: Path) -> AsyncIterator[System]:
    organisation = found(tmp_path, "http://127.0.0.1:9")
    services = Services(
        Servers(kafka, postgres_dsn),
        organisation.path,
        tmp_path / "logs",
        environ=organisation.environ,
        names=["sla", "history"],
    )
    publisher = Publisher(kafka, "test-router")
    try:
        await services.start()
        yield System(services, publisher, organisation.token(SUPERVISOR, Role.SUPERVISOR))
    finally:
        await publisher.stop()
        await services.stop()


async def test_a_missed_deadline_appears_on_the_live_timeline_with_its_own_time(system: System) -> None:
    talk = Talk(f"c{random_token(4)}", "umum")
    opened_at = TIME.now() - TARGET - timedelta(seconds=4)
    opened = talk.opened(opened_at)
    async with system.stream(opened.contact_id) as stream:
        await stream.begun()
        await system.publish(opened)
        breach = await stream.until("clock.breached.v1")
    assert datetime.fromisoformat(breach["occurred_at"]) == opened_at + TARGET
    assert breach["text"] == "First response breached"
    await system.publish(talk.answered(TIME.now()))
    async with system.stream(opened.contact_id, stream.last_event_id) as resumed:
        assert (await resumed.until("clock.met.v1"))["text"] == "First response met late"
    ids = [entry["entry_id"] for entry in stream.entries + resumed.entries]
    assert len(ids) == len(set(ids))
    async with system.client("sla") as client:
        answer = await client.get(f"/v1/conversations/{talk.id}/clocks")
        stood = {clock["metric"]: (clock["state"], clock["breached"]) for clock in answer.json()["clocks"]}
    assert stood == {"first_response": ("met", True), "resolution": ("running", False)}


async def test_a_deadline_that_passes_while_nobody_is_there_is_told_once_with_its_own_time(
    system: System,
) -> None:
    talk = Talk(f"c{random_token(4)}", "umum")
    opened_at = TIME.now() - TARGET + timedelta(seconds=2)
    opened = talk.opened(opened_at)
    async with system.stream(opened.contact_id) as stream:
        await stream.begun()
        await system.publish(opened)
        await stream.until("clock.started.v1")
        system.services.kill("sla")
        while TIME.now() <= opened_at + TARGET:
            await TIME.sleep(0.01)
        await system.services.start("sla")
        breach = await stream.until("clock.breached.v1")
        await system.publish(talk.resolved(TIME.now()))
        await stream.until("clock.cancelled.v1")
    assert datetime.fromisoformat(breach["occurred_at"]) == opened_at + TARGET
    assert [e["event_type"] for e in stream.entries].count("clock.breached.v1") == 1
