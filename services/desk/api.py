"""This file holds the desk's routes: conversations to read, commands to give, the feed over WebSocket and server-sent events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from libs.flow.database import Database
from libs.service.auth import Bearer, Principal, Role
from libs.service.body import read_body
from libs.service.problems import Problem
from libs.timesource import TimeSource
from libs.workspace import Workspace
from services.desk.commands.desk import Commands, body_of
from services.desk.commands.orders import unknown_conversation
from services.desk.commands.requests import BODIES, ID, LARGEST
from services.desk.feed.access import PROTOCOL, principal_of, subscriber_of
from services.desk.feed.events import response as event_stream
from services.desk.feed.socket import Socket
from services.desk.feed.stream import Feed
from services.desk.live.following import Live
from services.desk.live.subscriber import Subscriber
from services.desk.pages import Filter, one, page

COMMAND_PATHS = {
    "reply": "/v1/conversations/{target}/reply",
    "note": "/v1/conversations/{target}/note",
    "resolve": "/v1/conversations/{target}/resolve",
    "snooze": "/v1/conversations/{target}/snooze",
    "transfer": "/v1/conversations/{target}/transfer",
    "tags": "/v1/conversations/{target}/tags",
    "priority": "/v1/conversations/{target}/priority",
    "presence": "/v1/agents/me/presence",
    "accept": "/v1/reservations/{target}/accept",
    "decline": "/v1/reservations/{target}/decline",
    "complete": "/v1/work/{target}/complete",
    "next": "/v1/agents/me/next",
    "take": "/v1/work/{target}/take",
    "force-assign": "/v1/work/{target}/force-assign",
}
ID_PATTERN = f"^{ID.pattern}$"
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Done; `event` is what came of it"},
    202: {"description": "Taken, and not answered yet"},
    409: {"description": "Refused; `code` says why"},
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    live: Live
    commands: Commands
    bearer: Bearer
    database: Database
    workspace: Workspace
    time: TimeSource


def router(desk: Desk) -> APIRouter:
    api = APIRouter()
    _reads(api, desk)
    _commands(api, desk)
    _feeds(api, desk)
    return api


def _reads(api: APIRouter, desk: Desk) -> None:
    caller = Annotated[Principal, Depends(desk.bearer)]

    @api.get("/v1/conversations")
    async def conversations(
        principal: caller,
        state: Literal["open", "snoozed", "resolved"] | None = None,
        queue: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
        agent: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Conversations, those opened last first; `next` of one page is `after` of the next."""
        pool = _own_pool(desk.workspace, principal)
        # What an agent has may be lent by another pool.
        wanted = Filter(None if agent == principal.agent_id else pool, state, queue, agent)
        return _json(await page(desk.database, wanted, after=after, limit=limit))

    @api.get("/v1/conversations/{conversation_id}")
    async def conversation(conversation_id: str, principal: caller) -> Response:
        """One conversation with its latest messages, work and clocks."""
        found = await one(desk.database, conversation_id) if ID.fullmatch(conversation_id) else None
        if found is None:
            raise unknown_conversation()
        pool = _own_pool(desk.workspace, principal)
        if pool not in (None, found.pool) and principal.agent_id not in found.agents:
            raise Problem(403, "other_pool", "Not allowed", "this belongs to another pool")
        return _json(found.text)


def _commands(api: APIRouter, desk: Desk) -> None:
    for command, path in COMMAND_PATHS.items():
        api.add_api_route(
            path,
            _command(desk, command),
            methods=["POST"],
            name=command,
            description=BODIES[command].__doc__,
            responses=ANSWERS,
            openapi_extra={
                "requestBody": {
                    "content": {"application/json": {"schema": BODIES[command].model_json_schema()}}
                }
            },
        )


def _feeds(api: APIRouter, desk: Desk) -> None:
    @api.get("/v1/feed/events")
    async def feed_events(
        request: Request, last_event_id: Annotated[str | None, Header()] = None, cursor: str | None = None
    ) -> Response:
        """The feed as server-sent events; see docs/feed.md."""
        principal = principal_of(request, desk.bearer)
        subscriber = subscriber_of(request, principal, desk.workspace)
        return event_stream(_feed(desk, subscriber, last_event_id or cursor, principal))

    @api.websocket("/v1/feed")
    async def feed(websocket: WebSocket) -> None:
        try:
            principal = principal_of(websocket, desk.bearer)
            subscriber = subscriber_of(websocket, principal, desk.workspace)
            stream = _feed(desk, subscriber, websocket.query_params.get("cursor"), principal)
        except Problem as problem:
            await websocket.send_denial_response(problem.response())
            return
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
        await Socket(websocket, stream, desk.commands, principal).run()


def _feed(desk: Desk, subscriber: Subscriber, cursor: str | None, principal: Principal) -> Feed:
    """Raises Problem 503 before there is a hub."""
    live = desk.live
    return Feed(live.hub, live.settled, desk.time, subscriber, cursor, principal.expires_at)


def _command(desk: Desk, command: str) -> Callable[..., Awaitable[Response]]:
    async def give(
        request: Request,
        principal: Annotated[Principal, Depends(desk.bearer)],
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        body = body_of(command, await read_body(request, LARGEST))
        target = request.path_params.get("target", "")
        told = await desk.commands.carry_out(principal, command, target, body, idempotency_key)
        return _json(told.body, told.status)

    return give


def _own_pool(workspace: Workspace, principal: Principal) -> str | None:
    """The pool to which an agent's view is restricted; None for those who see everything."""
    if principal.role is not Role.AGENT:
        return None
    agent = workspace.agents.get(principal.agent_id)
    if agent is None:
        raise Problem(403, "unknown_agent", "Not allowed", "the workspace has no such agent")
    return agent.pool


def _json(body: str, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
