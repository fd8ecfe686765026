"""This file holds the visitors' routes: a session, the socket, and messages by POST for pages that cannot keep a socket."""

import json
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from libs.contracts.vocabulary import Channel
from libs.service.problems import Problem
from libs.timesource import random_token
from libs.workspace import Inbox
from services.ingest import metrics
from services.ingest.api import body_of
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import BadSignature, RawRequest, Unparsable
from services.ingest.channels.reading import json_of, object_of, text_of
from services.ingest.channels.webchat_session import Session, anonymous, identified, read_token, token_of
from services.ingest.intake import Intake
from services.ingest.visitors.feed import VisitorFeed
from services.ingest.visitors.socket import LARGEST_FRAME, VisitorSocket

NO_INBOX = 4404
ANY_ORIGIN = {"access-control-allow-origin": "*"}
"""A page of any site may call: what proves a visitor is a token that the page itself holds, never a cookie."""
PREFLIGHT = {
    **ANY_ORIGIN,
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "86400",
}


class Visitors:
    """`/v1/inboxes/{inbox_id}/visitor` and what is below it; for web chat inboxes only."""

    def __init__(self, intake: Intake, feed: VisitorFeed) -> None:
        self._intake, self._feed = intake, feed

    def add_to(self, router: APIRouter) -> None:
        base = "/v1/inboxes/{inbox_id}/visitor"
        router.add_websocket_route(base, self.socket)
        router.add_route(base, self.post, methods=["POST"])
        router.add_route(f"{base}/session", self.session, methods=["POST"])
        for path in (base, f"{base}/session"):
            router.add_route(path, self.preflight, methods=["OPTIONS"])

    async def session(self, request: Request) -> Response:
        """A session token: for the customer of the owner's `identity` token, for the visitor of an earlier `token`, else for
        a new visitor."""
        try:
            inbox = self._inbox(request.path_params["inbox_id"])
            session = self._session(inbox, await self._object(request, inbox))
        except BadSignature as fault:
            return _open(self._intake.refusal(inbox, fault).response())
        except Problem as problem:
            return _open(problem.response())
        said = {
            "token": token_of(session, inbox),
            "visitor": session.visitor,
            "identified": session.identified,
            "expires_at": session.expires_at.isoformat(),
        }
        return _open(Response(json.dumps(said), media_type="application/json"))

    async def post(self, request: Request) -> Response:
        """One message, or several under `items`; 200 when all of them are on the log."""
        try:
            inbox = self._inbox(request.path_params["inbox_id"])
            body = await body_of(request, inbox, LARGEST_FRAME)
            raw = RawRequest(body, self._intake.time.now(), request.headers)
            answer = await self._intake.take(inbox, ADAPTERS[inbox.channel], raw)
        except Problem as problem:
            return _open(problem.response())
        return _open(Response(answer.body, media_type=answer.media_type))

    async def preflight(self, _request: Request) -> Response:
        return Response(status_code=204, headers=PREFLIGHT)

    async def socket(self, socket: WebSocket) -> None:
        try:
            inbox = self._inbox(socket.path_params["inbox_id"])
        except Problem as problem:
            await socket.accept()
            await socket.close(NO_INBOX, problem.title)
            return
        await VisitorSocket(socket, self._intake, self._feed, inbox, ADAPTERS[inbox.channel]).serve()

    def _inbox(self, inbox_id: str) -> Inbox:
        inbox, _ = self._intake.inbox(inbox_id)
        if inbox.channel is not Channel.WEBCHAT:
            metrics.REJECTED.labels(inbox.id, "no_web_chat").inc()
            raise Problem(404, "no_web_chat", "This inbox is no web chat")
        return inbox

    def _session(self, inbox: Inbox, asked: dict[str, Any]) -> Session:
        now = self._intake.time.now()
        if asked.get("identity") is not None:
            return identified(text_of(asked["identity"]), inbox, now)
        visitor = f"vis_{random_token(16)}"
        if asked.get("token") is not None:
            known = read_token(text_of(asked["token"]), inbox, now)
            if known.identified:
                return (
                    known  # it ends when it ends: only the owner can say that the customer is still logged in
                )
            visitor = known.visitor
        return anonymous(visitor, asked, inbox, now)

    async def _object(self, request: Request, inbox: Inbox) -> dict[str, Any]:
        body = await body_of(request, inbox, LARGEST_FRAME)
        try:
            return object_of(json_of(body)) if body else {}
        except Unparsable as fault:
            raise Problem(400, fault.reason, "The body cannot be read", str(fault)) from None


def _open(response: Response) -> Response:
    response.headers.update(ANY_ORIGIN)
    return response
