"""This file plays the providers: it takes what delivery sends, as Meta, Telegram or a custom endpoint would, and sends receipts."""

import asyncio
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.demo.ledger import Ledger, Outgoing
from deploy.demo.organisation import CUSTOM, TELEGRAM, WHATSAPP, Organisation
from deploy.demo.posting import Posting, Webhook
from deploy.demo.shapes import CustomShape, Numbers, Receipt, WhatsAppShape
from libs.contracts.vocabulary import Channel

RECEIPTS = (("sent", 0.02, 0.1), ("delivered", 0.1, 0.5), ("read", 0.3, 1.5))
"""Status, and seconds after the one before it, from and to."""


@dataclass(frozen=True)
class Trouble:
    """How difficult the providers are: shares of requests."""

    limited: float = 0.01
    """Turned down for now, in each provider's own way."""
    silent: float = 0.0
    """Taken, and never answered: the sender cannot know."""
    slow: float = 0.0
    """Seconds between taking a message and answering."""


class Provider:
    """An HTTP server in this process. `on_message` is called with channel, address and text of each first copy."""

    def __init__(
        self,
        port: int,
        organisation: Callable[[], Organisation],
        ledger: Ledger,
        numbers: Numbers,
        rng: random.Random,
        trouble: Trouble,
    ) -> None:
        """`organisation` is asked late, since the workspace names this provider's address."""
        self.url = f"http://127.0.0.1:{port}"
        self.posting: Posting | None = None
        """Where receipts go; none are sent without it."""
        self.on_message: Callable[[Channel, str, str], None] = lambda *_: None
        self._organisation, self._ledger, self._numbers = organisation, ledger, numbers
        self.trouble = trouble
        """May be changed at any time."""
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        app = Starlette(
            routes=[
                Route("/{version}/{phone_number_id}/messages", self._whatsapp, methods=["POST"]),
                Route("/bot{token}/{method}", self._telegram, methods=["POST"]),
                Route("/gudang/messages", self._custom, methods=["POST"]),
            ]
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_config=None, lifespan="off", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        # Signals belong to whoever runs the demo, not to this server.
        self._serving = asyncio.get_running_loop().create_task(self._server._serve())
        while not self._server.started:
            if self._serving.done():
                raise RuntimeError(f"the simulated provider cannot listen on {self.url}")
            await asyncio.sleep(0.01)

    async def drain(self, within: float) -> None:
        """Wait until every receipt that is due has been posted."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.should_exit = True
        if self._serving:
            with suppress(asyncio.CancelledError):
                await self._serving

    async def _whatsapp(self, request: Request) -> Response:
        organisation = self._organisation()
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given, f"Bearer {organisation.secret(WHATSAPP, 'access_token')}"):
            return _graph_error(401, 190, "Invalid OAuth access token")
        if request.path_params["phone_number_id"] != organisation.secret(WHATSAPP, "phone_number_id"):
            return _graph_error(400, 100, "Unsupported post request")
        said = await _json(request)
        if said.get("messaging_product") != "whatsapp" or not said.get("to") or "type" not in said:
            return _graph_error(400, 131008, "Required parameter is missing")
        if self._rng.random() < self.trouble.limited:
            return _graph_error(400, 130429, "Rate limit hit")
        key, to = str(said.get("biz_opaque_callback_data", "")), str(said["to"])
        sent = self._take(Channel.WHATSAPP, key, to, _text_of(said), self._numbers.wamid())
        await self._answer_in_time(request)
        return JSONResponse(
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": to, "wa_id": to}],
                "messages": [{"id": sent.provider_message_id}],
            }
        )

    async def _telegram(self, request: Request) -> Response:
        token = self._organisation().secret(TELEGRAM, "bot_token")
        if not hmac.compare_digest(request.path_params["token"], token):
            return JSONResponse({"ok": False, "error_code": 401, "description": "Unauthorized"}, 401)
        said = await _json(request)
        if request.path_params["method"] != "sendMessage" or "chat_id" not in said or not said.get("text"):
            return JSONResponse(
                {"ok": False, "error_code": 400, "description": "Bad Request: message text is empty"}, 400
            )
        if self._rng.random() < self.trouble.limited:
            limited = {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after 1"}
            return JSONResponse({**limited, "parameters": {"retry_after": 1}}, 429)
        chat, text = str(said["chat_id"]), str(said["text"])
        # Telegram has no key: two requests with one text are two messages to the customer.
        sent = self._take(Channel.TELEGRAM, f"{chat}/{text}", chat, text, self._numbers.in_chat(chat))
        await self._answer_in_time(request)
        result = {"message_id": int(sent.provider_message_id), "chat": {"id": int(chat)}, "text": text}
        return JSONResponse({"ok": True, "result": result})

    async def _custom(self, request: Request) -> Response:
        body = await request.body()
        if not _signed(request.headers, body, self._organisation().secret(CUSTOM, "outbound_key")):
            return JSONResponse({"error": {"code": "bad_signature"}}, 401)
        if self._rng.random() < self.trouble.limited:
            return Response(status_code=503, headers={"retry-after": "1"})
        said, key = json.loads(body), request.headers["idempotency-key"]
        known = self._ledger.outgoing.get((Channel.CUSTOM, key))
        if known is not None:
            self._ledger.repeated_requests += 1
            return JSONResponse({"id": known.provider_message_id})
        sent = self._take(
            Channel.CUSTOM, key, said["to"], said["content"]["text"], self._numbers.item("kirim")
        )
        await self._answer_in_time(request)
        return JSONResponse({"id": sent.provider_message_id})

    def _take(
        self, channel: Channel, key: str, address: str, text: str, provider_message_id: str
    ) -> Outgoing:
        known = self._ledger.outgoing.get((channel, key))
        if known is not None:
            known.copies += 1
            return known
        sent = Outgoing(channel, key, address, text, provider_message_id)
        self._ledger.outgoing[channel, key] = sent
        self.on_message(channel, address, text)
        if channel is not Channel.TELEGRAM:  # which sends none
            self._background(self._receipts(sent))
        return sent

    async def _answer_in_time(self, request: Request) -> None:
        await asyncio.sleep(self.trouble.slow)
        if self._rng.random() < self.trouble.silent:
            while (await request.receive())["type"] != "http.disconnect":
                pass

    async def _receipts(self, sent: Outgoing) -> None:
        for status, soonest, latest in RECEIPTS:
            await asyncio.sleep(self._rng.uniform(soonest, latest))
            if self.posting is not None:
                self.posting.post(self._receipt(sent, status), partial(self._acknowledged, sent, status))

    def _receipt(self, sent: Outgoing, status: str) -> Webhook:
        receipt = Receipt(sent.address, sent.provider_message_id, status, datetime.now(UTC), sent.key)
        organisation = self._organisation()
        if sent.channel == Channel.WHATSAPP:
            meta = WhatsAppShape(
                organisation.secret(WHATSAPP, "app_secret"), organisation.secret(WHATSAPP, "phone_number_id")
            )
            return Webhook(WHATSAPP, meta.statuses([receipt]), meta.headers)
        custom = CustomShape(organisation.secret(CUSTOM, "signing_key"))
        return Webhook(CUSTOM, custom.receipts([receipt]), custom.headers)

    def _acknowledged(self, sent: Outgoing, status: str) -> None:
        sent.receipts.append(status)
        self._ledger.receipts_acknowledged += 1

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _json(request: Request) -> dict[str, Any]:
    said = json.loads(await request.body())
    return said if isinstance(said, dict) else {}


def _text_of(said: dict[str, Any]) -> str:
    content = said.get(said["type"], {})
    return str(content.get("body") or content.get("caption") or content.get("link") or "")


def _graph_error(status: int, code: int, message: str) -> Response:
    error = {
        "message": f"(#{code}) {message}",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "A1b2C3",
    }
    return JSONResponse({"error": error}, status)


def _signed(headers: Mapping[str, str], body: bytes, key: str) -> bool:
    parts = dict(
        part.split("=", 1) for part in headers.get("x-sambung-signature", "").split(",") if "=" in part
    )
    expected = hmac.new(key.encode(), parts.get("t", "").encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts.get("v1", ""))
