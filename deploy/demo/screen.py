"""This file is one screen at the desk: a feed that survives broken connections, and commands that survive them too."""

import asyncio
import json
import random
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

PAUSE = 0.3
"""Seconds before a lost connection is made again."""
ASK_WITHIN = 2.0
"""Seconds without an answer on a connection that stands; then the command is said again under its key."""
UNREACHABLE = (OSError, WebSocketException, TimeoutError)
EVENTS_REMEMBERED = 50_000


class Refused(Exception):
    """The desk turned a command down; `code` is the problem's."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}")
        self.status, self.code = status, code


class Screen:
    """`on_frame` is called with every frame that says something. `faults` names whatever a screen must never show."""

    def __init__(
        self,
        desk: Callable[[], str],
        token: str,
        on_frame: Callable[[dict[str, Any]], None],
        *,
        query: str = "",
        name: str = "",
    ) -> None:
        """`desk`: the service's address, asked at each connection, so that it may move."""
        self.faults: list[str] = []
        self.connections = 0
        self._desk, self._token, self._on_frame, self._query, self._name = desk, token, on_frame, query, name
        self._cursor = ""
        self._socket: ClientConnection | None = None
        self._connected = asyncio.Event()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._versions: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def ask(self, command: str, key: str, *, within: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Give a command under an idempotency key, again over new connections until it is answered; the answer's body.

        Raises Refused, TimeoutError.
        """
        frame = json.dumps({"type": "command", "id": key, "command": command, **fields}, ensure_ascii=False)
        async with asyncio.timeout(within):
            while True:
                answer = await self._once(key, frame)
                if answer is None or answer["status"] in (429, 503):
                    await asyncio.sleep(PAUSE * random.uniform(0.7, 1.3))
                    continue
                body: dict[str, Any] = answer["body"]
                if answer["status"] >= 400:
                    raise Refused(answer["status"], str(body.get("code")), str(body.get("detail")))
                return body

    async def _once(self, key: str, frame: str) -> dict[str, Any] | None:
        await self._connected.wait()
        future = asyncio.get_running_loop().create_future()
        self._answers[key] = future
        try:
            async with asyncio.timeout(ASK_WITHIN + 3):
                if self._socket is not None:
                    await self._socket.send(frame)
                    found: dict[str, Any] = await future
                    return found
        except (*UNREACHABLE, ConnectionError):
            return None
        finally:
            self._answers.pop(key, None)
        return None

    async def _live(self) -> None:
        while True:
            with suppress(*UNREACHABLE):
                await self._connect()
            self._connected.clear()
            self._socket = None
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the connection was lost"))
                    waiting.exception()
            await asyncio.sleep(PAUSE * random.uniform(0.7, 1.3))

    async def _connect(self) -> None:
        address = self._desk().replace("http://", "ws://", 1) + "/v1/feed?" + self._query
        if self._cursor:
            address += f"&cursor={self._cursor}"
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            async with connect(
                address, additional_headers=headers, proxy=None, open_timeout=5, max_size=None
            ) as socket:
                self.connections += 1
                self._socket = socket
                async for text in socket:
                    self._take(json.loads(text))
                    self._connected.set()
        except InvalidStatus as refused:
            if refused.response.status_code not in (502, 503):
                self.faults.append(
                    f"{self._name}: the desk refused the feed with {refused.response.status_code}"
                )

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "answer":
                waiting = self._answers.get(str(frame["id"]))
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
                return
            case "snapshot":
                # Shows everything anew: what was seen before may be in it once more.
                self._shown.clear()
                self._versions.clear()
            case "event":
                self._check(frame["event"])
            case "error":
                self.faults.append(f"{self._name}: {frame}")
        self._cursor = frame.get("cursor", self._cursor)
        self._on_frame(frame)

    def _check(self, event: dict[str, Any]) -> None:
        """Each event once, a conversation's events in their order."""
        name = event["id"]
        if name in self._shown:
            self.faults.append(f"{self._name}: {event['type']} {name} was shown twice")
        self._shown[name] = None
        if len(self._shown) > EVENTS_REMEMBERED:
            self._shown.popitem(last=False)
        entity = entity_of(event)
        if entity is not None and (version := event.get("version")) is not None:
            if version <= self._versions.get(entity, 0):
                last = self._versions[entity]
                self.faults.append(
                    f"{self._name}: {entity} went from version {last} to {version} by {event['type']}"
                )
            self._versions[entity] = version


def entity_of(event: dict[str, Any]) -> str | None:
    """What the event's version counts."""
    kind, data = event["type"].partition(".")[0], event["data"]
    match kind:
        case "work" | "reservation":
            return str(data["work_item_id"])
        case "clock":
            return str(data["clock_id"])
        case "agent":
            return str(data["agent_id"])
        case "contact" | "command":
            return None
        case _:
            return str(data["conversation_id"]) if "conversation_id" in data else None
