"""This file plays visitors of the shop's web site: a socket each, messages acknowledged one by one, answers shown once."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from deploy.demo.customers import Customer
from deploy.demo.ledger import Incoming, Ledger, Outgoing
from deploy.demo.shapes import Numbers
from libs.contracts.vocabulary import Channel

PAUSE = 0.5
"""Seconds before a page connects again."""
UNREACHABLE = (OSError, WebSocketException, httpx.HTTPError, TimeoutError)


@dataclass
class Visitor:
    """One page. `address` is known once the session is made."""

    customer: Customer
    token: str = ""
    address: str = ""
    last: str | None = None
    to_say: deque[tuple[str, float]] = field(default_factory=deque)
    unacknowledged: Incoming | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Visitors:
    """Pages stay open until `close`. `on_message` is called with the visitor's channel and customer address of each answer."""

    def __init__(self, ingest: str, inbox: str, ledger: Ledger, numbers: Numbers) -> None:
        self.on_message: Callable[[Channel, str, str], None] = lambda *_: None
        self._ingest, self._inbox, self._ledger, self._numbers = ingest, inbox, ledger, numbers
        self._client = httpx.AsyncClient(base_url=ingest, timeout=5, trust_env=False)
        self._visitors: dict[str, Visitor] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def say(self, customer: Customer, text: str, due: float) -> None:
        """Have the customer's page send this, after what it has to send already."""
        visitor = self._visitors.get(customer.person.address)
        if visitor is None:
            visitor = self._visitors[customer.person.address] = Visitor(customer)
            self._tasks.append(asyncio.get_running_loop().create_task(self._live(visitor)))
        visitor.to_say.append((text, due))
        visitor.wake.set()

    async def drain(self, within: float) -> int:
        """Wait until all is said and acknowledged; returns how many messages are not."""
        deadline = time.monotonic() + within
        while (left := self._left()) and time.monotonic() < deadline:  # noqa: ASYNC110  many pages, one look
            await asyncio.sleep(0.05)
        return left

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _left(self) -> int:
        return sum(len(one.to_say) + (one.unacknowledged is not None) for one in self._visitors.values())

    async def _live(self, visitor: Visitor) -> None:
        """A page that connects again for as long as it is open."""
        address = self._ingest.replace("http://", "ws://", 1) + f"/v1/inboxes/{self._inbox}/visitor"
        while True:
            with suppress(*UNREACHABLE):
                if not visitor.token:
                    await self._begin(visitor)
                async with connect(address, proxy=None, open_timeout=5) as socket:
                    await socket.send(
                        json.dumps({"kind": "hello", "token": visitor.token, "last": visitor.last})
                    )
                    await self._talk(visitor, socket)
            await asyncio.sleep(PAUSE)

    async def _begin(self, visitor: Visitor) -> None:
        asked = {"name": visitor.customer.person.name}
        answer = await self._client.post(f"/v1/inboxes/{self._inbox}/visitor/session", json=asked)
        answer.raise_for_status()
        session = answer.json()
        visitor.token, visitor.address = session["token"], session["visitor"]

    async def _talk(self, visitor: Visitor, socket: ClientConnection) -> None:
        """Until the socket is lost. What was not acknowledged before is said again under the same id."""
        writer = asyncio.get_running_loop().create_task(self._write(visitor, socket))
        try:
            async for frame in socket:
                await self._read(visitor, socket, json.loads(frame))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, visitor: Visitor, socket: ClientConnection) -> None:
        while True:
            if visitor.unacknowledged is None and visitor.to_say:
                text, due = visitor.to_say.popleft()
                visitor.unacknowledged = self._note(visitor, text, max(due, time.monotonic()))
            if visitor.unacknowledged is not None:
                message = visitor.unacknowledged
                message.posts += 1
                frame = {"kind": "message", "id": message.provider_message_id, "text": message.text}
                await socket.send(json.dumps(frame, ensure_ascii=False))
            visitor.wake.clear()
            await visitor.wake.wait()
            while visitor.unacknowledged is not None:  # woken by more to say, not by the acknowledgement
                visitor.wake.clear()
                await visitor.wake.wait()

    async def _read(self, visitor: Visitor, socket: ClientConnection, frame: dict[str, Any]) -> None:
        match frame["kind"]:
            case "ack" if (
                visitor.unacknowledged and frame.get("id") == visitor.unacknowledged.provider_message_id
            ):
                visitor.unacknowledged.acknowledged_at = time.monotonic()
                visitor.unacknowledged = None
                visitor.wake.set()
            case "message":
                visitor.last = frame["id"]
                self._show(visitor, frame["id"], frame["content"]["text"])
                for status in ("delivered", "read"):
                    await socket.send(
                        json.dumps({"kind": "receipt", "message_id": frame["id"], "status": status})
                    )

    def _show(self, visitor: Visitor, message_id: str, text: str) -> None:
        known = self._ledger.outgoing.get((Channel.WEBCHAT, message_id))
        if known is not None:
            known.copies += 1
            return
        self._ledger.outgoing[Channel.WEBCHAT, message_id] = Outgoing(
            Channel.WEBCHAT, message_id, visitor.address, text, message_id
        )
        self.on_message(Channel.WEBCHAT, visitor.customer.person.address, text)

    def _note(self, visitor: Visitor, text: str, due: float) -> Incoming:
        name = self._numbers.item("web")
        message = Incoming(self._inbox, visitor.address, name, f"{visitor.address}/{name}", text, due)
        self._ledger.said(message)
        return message
