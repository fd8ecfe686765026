"""This file is somebody's own system as an allocation hook: a small HTTP server that each team answers from in its own way."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

SECRET = "crm-s3cret"


@dataclass(frozen=True)
class Asked:
    """One request, as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


Answer = tuple[int, bytes]
"""(status, body)"""


async def no_opinion(_: Asked) -> Answer:
    return 204, b""


@dataclass
class Desk:
    """What one team's part of it was asked, and how it answers."""

    answer: Callable[[Asked], Awaitable[Answer]] = no_opinion
    asked: list[Asked] = field(default_factory=list)

    def names(self, *agent_ids: str, reason: str | None = None) -> None:
        async def named(_: Asked) -> Answer:
            return 200, json.dumps({"agent_ids": agent_ids, "reason": reason}).encode()

        self.answer = named

    def says(self, status: int, body: bytes = b"") -> None:
        async def said(_: Asked) -> Answer:
            return status, body

        self.answer = said

    def hangs(self) -> None:
        async def never(_: Asked) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        self.answer = never


class Crm:
    """`desks[team]` is asked at `url(team)`."""

    def __init__(self) -> None:
        self.desks: dict[str, Desk] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def url(self, team: str) -> str:
        assert self._server is not None
        self.desks.setdefault(team, Desk())
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{team}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (x.partition(":") for x in lines if x)}
                asked = Asked(headers, await reader.readexactly(int(headers["content-length"])))
                desk = self.desks[head.split(" ")[1].strip("/")]
                desk.asked.append(asked)
                status, body = await desk.answer(asked)
                writer.write(
                    f"HTTP/1.1 {status} OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        finally:
            writer.close()
