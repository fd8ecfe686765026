"""This file speaks with one visitor's page over a WebSocket (docs/channels-webchat.md has the frames)."""

import asyncio
import json
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from libs.contracts.payloads.conversations import MessageRequested
from libs.service.problems import Problem
from libs.workspace import Inbox
from services.ingest import metrics
from services.ingest.channels.adapter import Adapter, BadSignature, RawRequest, Unparsable
from services.ingest.channels.reading import json_of, object_of, text_of, word_of
from services.ingest.channels.webchat_session import Session, read_token
from services.ingest.intake import Intake
from services.ingest.visitors.feed import Subscription, VisitorFeed

log = structlog.get_logger(__name__)

HELLO_WITHIN = 10.0
"""Seconds in which a page has to say who it is."""
LARGEST_FRAME = 64 * 1024

BAD_TOKEN, NO_HELLO, TOO_LARGE, TRY_AGAIN = 4401, 4408, 4413, 1013


class Closed(Exception):
    """This socket is over. `code` and `reason` tell the page why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class VisitorSocket:
    """One connection: a reader that takes what the page sends, a writer that shows answers. Each frame out is one write."""

    def __init__(
        self, socket: WebSocket, intake: Intake, feed: VisitorFeed, inbox: Inbox, adapter: Adapter
    ) -> None:
        self._socket, self._intake, self._feed, self._inbox, self._adapter = (
            socket,
            intake,
            feed,
            inbox,
            adapter,
        )
        self._token = ""

    async def serve(self) -> None:
        """From the first frame to the end. Returns when the page has gone or was sent away."""
        await self._socket.accept()
        gauge = metrics.VISITORS.labels(self._inbox.id)
        gauge.inc()
        try:
            session, last = await self._hello()
            await self._talk(session, last)
        except WebSocketDisconnect:
            pass
        except Closed as over:
            await self._close(over)
        finally:
            gauge.dec()

    async def _hello(self) -> tuple[Session, str | None]:
        """The first frame carries the token: an address with a token in it would stand in every log on the way."""
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                _, frame = await self._receive()
        except TimeoutError:
            raise Closed(NO_HELLO, "expected a hello frame") from None
        if frame.get("kind") != "hello":
            raise Closed(NO_HELLO, "expected a hello frame")
        self._token = text_of(frame.get("token"))
        try:
            return read_token(self._token, self._inbox, self._intake.time.now()), word_of(frame.get("last"))
        except BadSignature as fault:
            metrics.REJECTED.labels(self._inbox.id, fault.reason).inc()
            raise Closed(BAD_TOKEN, str(fault)) from None

    async def _talk(self, session: Session, last: str | None) -> None:
        visitor = (self._inbox.id, session.visitor)
        with self._feed.subscribe(visitor) as subscription:
            behind, complete = self._feed.since(visitor, last)
            await self._send({"kind": "welcome", "visitor": session.visitor, "complete": complete})
            for message in behind:
                await self._show(message)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._write(subscription))
                    group.create_task(self._watch(subscription, session))
                    group.create_task(self._read())
            except BaseExceptionGroup as ended:
                raise _why(ended) from None

    async def _write(self, subscription: Subscription) -> None:
        while True:
            await self._show(await subscription.waiting.get())

    async def _watch(self, subscription: Subscription, session: Session) -> None:
        left = session.expires_at - self._intake.time.now()
        try:
            async with asyncio.timeout(left.total_seconds()):
                await subscription.missed.wait()
        except TimeoutError:
            raise Closed(BAD_TOKEN, "the token has expired") from None
        raise Closed(TRY_AGAIN, "too slow; connect again with the last message you saw")

    async def _read(self) -> None:
        """One frame after the other: the next is read when this one is on the log, so a visitor's messages keep their order."""
        while True:
            raw, frame = await self._receive()
            if frame.get("kind") == "ping":
                await self._send({"kind": "pong"})
            else:
                await self._take(raw, frame)

    async def _take(self, raw: bytes, frame: dict[str, Any]) -> None:
        """A message or receipt: acknowledged only when the broker has acknowledged it."""
        named = {"id": frame["id"]} if word_of(frame.get("id")) else {}
        headers = {"authorization": f"Bearer {self._token}"}
        request = RawRequest(raw, self._intake.time.now(), headers)
        try:
            answer = await self._intake.take(self._inbox, self._adapter, request)
        except Problem as problem:
            if problem.status == 503:
                # Frames sent after this one may be here already: taken before it they would change places with it.
                raise Closed(TRY_AGAIN, "not stored; connect again and send it again") from None
            if problem.status == 401:
                raise Closed(BAD_TOKEN, problem.detail) from None
            await self._send({"kind": "refused", **named, "reason": problem.detail})
            return
        wrong = json.loads(answer.body)["unsupported"]
        if wrong:
            await self._send({"kind": "refused", **named, "reason": wrong[0]["reason"]})
        elif frame.get("kind") != "receipt":
            await self._send({"kind": "ack", **named})

    async def _show(self, message: MessageRequested) -> None:
        metrics.SHOWN.labels(self._inbox.id).inc()
        content = message.content.model_dump(mode="json", exclude_none=True)
        await self._send(
            {
                "kind": "message",
                "id": message.message_id,
                "at": message.requested_at.isoformat(),
                "content": content,
                "reply_to": message.reply_to,
            }
        )

    async def _receive(self) -> tuple[bytes, dict[str, Any]]:
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1000))
        raw: bytes = event.get("bytes") or (event.get("text") or "").encode("utf-8", "replace")
        if len(raw) > LARGEST_FRAME:
            raise Closed(TOO_LARGE, f"a frame may have {LARGEST_FRAME} bytes")
        try:
            return raw, object_of(json_of(raw))
        except Unparsable:
            return raw, {}

    async def _send(self, frame: dict[str, Any]) -> None:
        try:
            await self._socket.send_text(json.dumps(frame, ensure_ascii=False))
        except RuntimeError:  # Starlette: the other task has seen the end already
            raise WebSocketDisconnect(1006) from None

    async def _close(self, over: Closed) -> None:
        try:
            await self._socket.close(over.code, over.reason)
        except (RuntimeError, WebSocketDisconnect):
            log.debug("visitor's socket was closed already", inbox=self._inbox.id)


def _why(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the conversation: the first mistake of ours if there is one, else the reason to close, else the page's going."""
    rank = {Closed: 1, WebSocketDisconnect: 2}
    return min(group.exceptions, key=lambda fault: rank.get(type(fault), 0))
