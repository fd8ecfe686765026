"""This file answers how a conversation was routed, and what a pool looks like now, from the committed rows."""

import json
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from libs.flow.database import Database, queries
from libs.service.problems import Problem
from libs.workspace import Workspace
from services.router.assignment.domain.strategies import ORDERS, due_at, head_start
from services.router.assignment.policies import policy_of

STORY_LIMIT = 1000
WAITING_LIMIT = 200
"""A page for people; the figures come from the metrics."""


class Decision(BaseModel):
    """One event of the conversation's work, with its explanation in `data` where it was a choice."""

    at: datetime
    type: str
    work_item_id: str
    version: int
    data: dict[str, Any]


class Story(BaseModel):
    conversation_id: str
    decisions: list[Decision]


class WaitingItem(BaseModel):
    work_item_id: str
    conversation_id: str
    contact_point_id: str
    queue: str
    channel: str
    priority: int
    vip: bool
    skills: dict[str, int]
    waiting_since: datetime
    due_at: datetime | None
    only_agent_id: str | None
    offers: int


class AgentView(BaseModel):
    agent_id: str
    name: str
    presence: str
    reason: str | None
    since: datetime | None
    load: int
    capacity: int
    work_item_ids: list[str]


class PoolView(BaseModel):
    """`counts`: live work items by state. `waiting`: the first ones in the pool's order; fit and lateness apart, which depend on
    the agent and on the moment."""

    pool: str
    order: str
    pick: str
    policy_version: str
    counts: dict[str, int]
    waiting: list[WaitingItem]
    agents: list[AgentView]


def routes(database: Database, workspace: Workspace) -> APIRouter:
    router, sql = APIRouter(prefix="/v1"), queries("services.router.assignment")

    @router.get("/conversations/{conversation_id}/routing")
    async def routing(conversation_id: str) -> Story:
        rows = await database.fetch(sql["story"], conversation_id, STORY_LIMIT)
        if not rows:
            raise Problem(404, "unknown_conversation", "No routing is known of this conversation")
        return Story(conversation_id=conversation_id, decisions=[_decision(row) for row in rows])

    @router.get("/pools/{pool}")
    async def pool_now(pool: str) -> PoolView:
        configured = workspace.pools.get(pool)
        if configured is None:
            raise Problem(404, "unknown_pool", "The workspace has no such pool")
        policy = policy_of(workspace, pool)
        order = ORDERS[policy.order].base is due_at, head_start(policy)
        return PoolView(
            pool=pool,
            order=configured.order,
            pick=configured.pick,
            policy_version=workspace.version,
            counts={row["state"]: row["items"] for row in await database.fetch(sql["counts"], pool)},
            waiting=[
                _waiting(row) for row in await database.fetch(sql["waiting"], pool, WAITING_LIMIT, *order)
            ],
            agents=_agents(workspace, pool, await database.fetch(sql["agents"], pool)),
        )

    return router


def _decision(row: Any) -> Decision:
    return Decision(**{**row, "data": json.loads(row["data"])})


def _waiting(row: Any) -> WaitingItem:
    return WaitingItem(**{**row, "skills": json.loads(row["skills"])})


def _agents(workspace: Workspace, pool: str, rows: list[Any]) -> list[AgentView]:
    """Every agent of the pool; one who never did anything has no row yet and is offline."""
    known = {row["agent_id"]: row for row in rows}
    views = []
    for agent in sorted(workspace.agents.values(), key=lambda a: a.id):
        if agent.pool != pool:
            continue
        row = known.get(agent.id)
        views.append(
            AgentView(
                agent_id=agent.id,
                name=agent.name,
                presence=row["presence"] if row else "offline",
                reason=row["reason"] if row else None,
                since=row["since"] if row else None,
                load=row["load"] if row else 0,
                capacity=agent.capacity,
                work_item_ids=row["work_item_ids"] if row else [],
            )
        )
    return views
