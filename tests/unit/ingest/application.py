"""This file makes the service's real application on a publisher that remembers, and calls that providers would make."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from libs.contracts.envelope import Event, decode
from libs.contracts.payloads.inbound import Item
from libs.contracts.vocabulary import Channel
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing
from libs.service.edge import Edge
from libs.service.health import Health, Phase
from libs.service.http import HttpServer, application, listen
from libs.service.signing import sign
from libs.timesource import ManualTime, TimeSource
from libs.workspace import Workspace
from services.ingest.flow import routes
from services.ingest.intake import Intake, Publishes
from services.ingest.visitors.feed import VisitorFeed
from tests.unit.ingest.corpus import CREDENTIALS, NOW, inbox

LARGEST_BODY = 3_670_016
WORKSPACE = Workspace(id="w", inboxes={channel.value: inbox(channel) for channel in CREDENTIALS})


@dataclass
class Recorder:
    """A publisher that keeps what it was given, or fails as told."""

    calls: list[list[Event[Item]]] = field(default_factory=list)
    fails: bool = False
    fails_once: bool = False

    async def publish(self, records: Sequence[Outgoing]) -> None:
        if self.fails or self.fails_once:
            self.fails_once = False
            raise PublishFailed("told to")
        self.calls.append([decode(r.key, r.value, r.headers) for r in records])  # type: ignore[misc]

    @property
    def items(self) -> list[Item]:
        return [event.data for call in self.calls for event in call]


@dataclass
class Ingest:
    """The service, listening."""

    feed: VisitorFeed
    http: httpx.AsyncClient
    address: str

    async def post(self, channel: str, body: bytes, **headers: str) -> httpx.Response:
        return await self.http.post(f"/v1/inboxes/{channel}/webhook", content=body, headers=headers)

    async def signed(self, channel: Channel, body: bytes) -> httpx.Response:
        return await self.post(channel.value, body, **signature(channel, body))


@dataclass
class Recorded(Ingest):
    """The service on a publisher that remembers, at a time that stands still."""

    recorder: Recorder
    time: ManualTime
    inside: httpx.AsyncClient
    """The same application without a connection in between, for answers that end one."""


def signature(channel: Channel, body: bytes, at: int = int(NOW.timestamp())) -> dict[str, str]:
    """The headers with which a channel's provider proves itself."""
    match channel:
        case Channel.WHATSAPP:
            key = CREDENTIALS[channel]["app_secret"].encode()
            return {"x-hub-signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()}
        case Channel.TELEGRAM:
            return {"x-telegram-bot-api-secret-token": CREDENTIALS[channel]["secret_token"]}
        case Channel.CUSTOM:
            return {
                "x-sambung-signature": f"t={at},v1={sign(CREDENTIALS[channel]['signing_key'], str(at), body)}"
            }
        case _:
            raise AssertionError(channel)


@asynccontextmanager
async def listening(
    publisher: Publishes, time: TimeSource, feed: VisitorFeed, ack_within: float = 3.0
) -> AsyncIterator[tuple[str, Edge]]:
    """The real application behind the real HTTP server; gives its address, and itself."""
    intake = Intake(WORKSPACE, publisher, time, timedelta(seconds=ack_within))
    app = application("ingest", routes(intake, feed, LARGEST_BODY))
    health = Health("ingest")
    health.phase = Phase.SERVING
    edge = Edge(app, health)
    server = HttpServer(edge, listen("127.0.0.1", 0), lambda _name, _fault: None)
    await server.start()
    try:
        yield server.address, edge
    finally:
        await server.stop()


@asynccontextmanager
async def ingest() -> AsyncIterator[Recorded]:
    recorder, time, feed = Recorder(), ManualTime(NOW), VisitorFeed(100, 5)
    async with (
        listening(recorder, time, feed) as (address, edge),
        httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as http,
        httpx.AsyncClient(base_url=address, transport=httpx.ASGITransport(edge)) as inside,
    ):
        yield Recorded(feed, http, address, recorder, time, inside)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
