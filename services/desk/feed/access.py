"""This file says who may open which feed, and finds the token where browsers can put it."""

from fastapi import WebSocket
from starlette.requests import HTTPConnection

from libs.service.auth import Bearer, Principal, Role, token_of
from libs.service.problems import Problem
from libs.workspace import Workspace
from services.desk.live.subscriber import Subscriber

PROTOCOL = "sambung.v1"
TOKEN_PROTOCOL = "bearer."
"""A browser cannot set headers on a WebSocket: it may offer the subprotocols `sambung.v1` and `bearer.<token>`."""


def principal_of(connection: HTTPConnection, bearer: Bearer) -> Principal:
    """Who connects: by header, by offered subprotocol, or by the query's access_token. Raises Problem 401 or 403."""
    token = token_of(connection)
    if token is None and isinstance(connection, WebSocket):
        offered = connection.scope.get("subprotocols", ())
        token = next((p.removeprefix(TOKEN_PROTOCOL) for p in offered if p.startswith(TOKEN_PROTOCOL)), None)
    return bearer.verify(token or connection.query_params.get("access_token"))


def subscriber_of(connection: HTTPConnection, principal: Principal, workspace: Workspace) -> Subscriber:
    """The feed that is asked for: the caller's own, or with scope=pool everything of a pool. Raises Problem."""
    query = connection.query_params
    agent = workspace.agents.get(principal.agent_id)
    match query.get("scope", "agent"):
        case "agent":
            if agent is None:
                raise Problem(403, "unknown_agent", "Not allowed", "the workspace has no such agent")
            return Subscriber(agent.id)
        case "pool":
            principal.require(Role.SUPERVISOR, Role.SERVICE)
            pool = query.get("pool") or (agent.pool if agent else "")
            if pool not in workspace.pools:
                raise Problem(
                    404, "unknown_pool", "No such pool", "name one of the workspace's pools in ?pool="
                )
            return Subscriber(principal.agent_id, pool=pool)
    raise Problem(422, "invalid_request", "The request does not fit", "scope is agent or pool")
