"""This file holds the webhook routes: plain Starlette, since every message of every customer comes this way."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.body import read_body
from libs.service.problems import Problem
from libs.workspace import Inbox
from services.ingest import metrics
from services.ingest.channels import HANDSHAKES
from services.ingest.channels.adapter import Answer, RawRequest, Refused
from services.ingest.intake import Intake


class Webhooks:
    """`GET` and `POST /v1/inboxes/{inbox_id}/webhook`."""

    def __init__(self, intake: Intake, largest_body: int) -> None:
        self._intake, self._largest_body = intake, largest_body

    def add_to(self, router: APIRouter) -> None:
        router.add_route("/v1/inboxes/{inbox_id}/webhook", self.receive, methods=["POST"])
        router.add_route("/v1/inboxes/{inbox_id}/webhook", self.handshake, methods=["GET"])

    async def receive(self, request: Request) -> Response:
        """2xx: every item of the body is on the log. Anything else: the provider keeps the call and sends it again."""
        inbox, adapter = self._intake.inbox(request.path_params["inbox_id"])
        body = await body_of(request, inbox, self._largest_body)
        raw = RawRequest(body, self._intake.time.now(), request.headers)
        return response(await self._intake.take(inbox, adapter, raw))

    async def handshake(self, request: Request) -> Response:
        inbox, _ = self._intake.inbox(request.path_params["inbox_id"])
        channel = HANDSHAKES.get(inbox.channel)
        if channel is None:
            raise Problem(405, "no_handshake", "This channel has no handshake", headers={"allow": "POST"})
        raw = RawRequest(b"", self._intake.time.now(), request.headers, request.query_params)
        try:
            return response(channel.handshake(raw, inbox))
        except Refused as fault:
            raise self._intake.refusal(inbox, fault) from None


async def body_of(request: Request, inbox: Inbox, largest: int) -> bytes:
    """The raw body; one that is too large is counted. Raises Problem 413."""
    try:
        return await read_body(request, largest)
    except Problem as fault:
        metrics.REJECTED.labels(inbox.id, fault.code).inc()
        metrics.REQUESTS.labels(inbox.id, inbox.channel.value, "refused").inc()
        raise


def response(answer: Answer) -> Response:
    return Response(answer.body, media_type=answer.media_type)
