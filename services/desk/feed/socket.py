"""This file carries a feed over a WebSocket: frames out, commands in, answers out between the frames."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from libs.service.auth import Principal
from libs.service.problems import Problem
from libs.service.trace import current_traceparent, enter
from services.desk import metrics
from services.desk.commands.desk import Commands
from services.desk.commands.requests import LARGEST
from services.desk.feed.stream import Feed
from services.desk.live.frames import dump

log = structlog.get_logger(__name__)

AT_ONCE = 32
"""Commands of one connection under way at the same time; more are refused, not queued."""
TOKEN_EXPIRED = 4401
"""Close code: connect again with a fresh token."""


class Socket:
    """One accepted connection. `run` returns when it has ended, from whichever side."""

    def __init__(self, websocket: WebSocket, feed: Feed, commands: Commands, principal: Principal) -> None:
        self._socket, self._feed = websocket, feed
        self._commands, self._principal = commands, principal
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        metrics.CONNECTED.labels("websocket").inc()
        loop = asyncio.get_running_loop()
        sides = (loop.create_task(self._write()), loop.create_task(self._read()))
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            metrics.CONNECTED.labels("websocket").dec()
            ending = (*sides, *self._under_way)
            for task in ending:
                task.cancel()
            for ended in await asyncio.gather(*ending, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect | OSError):
                    log.error("a connection failed", exc_info=ended)

    async def _write(self) -> None:
        send = self._socket.send
        counted = metrics.FRAMES.labels("websocket")
        async for frames in self._feed.batches():
            counted.inc(len(frames))
            # Written in one turn of the loop, frames leave in one system call.
            for frame in frames:
                await send({"type": "websocket.send", "text": frame})
        await self._socket.close(TOKEN_EXPIRED, "token_expired")

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            await self._take(
                text if text is not None else (message.get("bytes") or b"").decode("utf-8", "replace")
            )

    async def _take(self, text: str) -> None:
        try:
            said = json.loads(text) if len(text) <= LARGEST else None
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or said.get("type") != "command":
            await self._say(
                {
                    "type": "error",
                    "code": "unknown_frame",
                    "expected": f"a JSON object of type command, at most {LARGEST} characters",
                }
            )
            return
        if len(self._under_way) >= AT_ONCE:
            problem = Problem(429, "too_many", "Too many commands at once", f"at most {AT_ONCE}")
            await self._answer(said, problem.status, problem.body().decode())
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(said))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, said: Mapping[str, Any]) -> None:
        enter(current_traceparent(), "")  # a span of its own
        reply = await self._commands.from_frame(self._principal, said)
        await self._answer(said, reply.status, reply.body)

    async def _answer(self, said: Mapping[str, Any], status: int, body: str) -> None:
        # What a client made up may hold half a surrogate pair, which no UTF-8 carries: as escapes it goes back as it came.
        head = json.dumps({"type": "answer", "id": said.get("id"), "status": status})
        await self._socket.send({"type": "websocket.send", "text": f'{head[:-1]},"body":{body}}}'})

    async def _say(self, what: Mapping[str, Any]) -> None:
        await self._socket.send({"type": "websocket.send", "text": dump(what)})
