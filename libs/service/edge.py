"""This file is the outermost ASGI layer: health and metrics, trace context, the gate before a start is complete, drain."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.service import metrics
from libs.service.health import Health, Phase
from libs.service.problems import LOGGED, MEDIA_TYPE, unavailable, unexpected
from libs.service.trace import enter

log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]
DISCONNECT: Message = {"type": "http.disconnect"}


class Edge:
    """Wraps a service's own application. It is plain ASGI, since every webhook and every frame passes it."""

    def __init__(self, app: ASGIApp, health: Health) -> None:
        self._app, self._health = app, health
        self._own = {"/healthz": self._alive, "/readyz": self._ready, "/metrics": self._metrics}
        self._draining = asyncio.Event()
        self._counters: dict[int, Any] = {}

    def drain(self) -> None:
        """End streamed answers (server-sent events), which would otherwise go on for ever; others are finished."""
        self._draining.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traceparent = request_id = b""
        for name, value in scope.get("headers", ()):
            if name == b"traceparent":
                traceparent = value
            elif name == b"x-request-id":
                request_id = value
        name = enter(traceparent.decode("latin-1"), request_id.decode("latin-1"))
        match scope["type"]:
            case "http" if scope["path"] in self._own:
                await self._own[scope["path"]](scope, send)
            case "http" if self._health.phase is Phase.STARTING:
                problem = unavailable("starting", "The service is starting", self._health.waiting_for)
                headers = [(key.encode(), value.encode()) for key, value in problem.headers.items()]
                await _answer(send, 503, problem.body(), MEDIA_TYPE, headers)
            case "http":
                await Exchange(self, scope, receive, send, name).run()
            case "websocket" if self._health.phase is Phase.STARTING:
                await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
                await send({"type": "websocket.http.response.body", "body": b""})
            case "websocket":
                await self._socket(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("socket failed", path=scope["path"])
            with suppress(Exception):  # it may be closed already
                await send({"type": "websocket.close", "code": 1011})

    def count(self, status: int) -> None:
        counter = self._counters.get(status)
        if counter is None:
            counter = self._counters[status] = metrics.RESPONSES.labels(str(status))
        counter.inc()

    async def _alive(self, _scope: Scope, send: Send) -> None:
        alive, details = self._health.alive()
        await _answer(send, 200 if alive else 503, json.dumps(details).encode(), "application/json")

    async def _ready(self, _scope: Scope, send: Send) -> None:
        ready, details = self._health.ready()
        await _answer(send, 200 if ready else 503, json.dumps(details).encode(), "application/json")

    async def _metrics(self, scope: Scope, send: Send) -> None:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        body, media_type = metrics.exposition(accept.decode("latin-1"))
        await _answer(send, 200, body, media_type)


class Exchange:
    """One request and its answer on the way through the edge."""

    __slots__ = ("_body_read", "_edge", "_finished", "_id", "_receive", "_scope", "_send", "_started")

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._edge, self._scope, self._receive, self._send = edge, scope, receive, send
        self._id = request_id.encode()
        self._body_read = self._started = self._finished = False

    async def run(self) -> None:
        try:
            await self._edge._app(self._scope, self.receive, self.send)
        except Exception:
            if not self._scope.get(LOGGED):
                log.exception("request failed", path=self._scope["path"], method=self._scope["method"])
            if not self._started:
                await _answer(self.send, 500, unexpected().body(), MEDIA_TYPE)
        if self._started and not self._finished and self._edge._draining.is_set():
            await self.send({"type": "http.response.body", "body": b""})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self._id)]
            self._edge.count(message["status"])
        elif not message.get("more_body"):
            self._finished = True
        await self._send(message)

    async def receive(self) -> Message:
        """The body; after it, whoever still listens waits for the end of a stream: the client's going, or our drain."""
        if not self._body_read:
            message = await self._receive()
            self._body_read = not message.get("more_body", False)
            return message
        loop = asyncio.get_running_loop()
        gone = loop.create_task(self._wait_for_client())
        draining = loop.create_task(self._edge._draining.wait())
        try:
            await asyncio.wait({gone, draining}, return_when=asyncio.FIRST_COMPLETED)
            return gone.result() if gone.done() else DISCONNECT
        finally:
            gone.cancel()
            draining.cancel()

    async def _wait_for_client(self) -> Message:
        return await self._receive()


async def _answer(
    send: Send, status: int, body: bytes, media_type: str, headers: Headers | None = None
) -> None:
    own = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": own + (headers or [])})
    await send({"type": "http.response.body", "body": body})
