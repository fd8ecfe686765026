"""This file answers questions about clocks over HTTP."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from libs.contracts.vocabulary import Metric
from libs.service.auth import Bearer
from services.sla.domain.clock import State
from services.sla.store import Reads


class ClockView(BaseModel):
    """A clock as it was last announced on `sla`."""

    clock_id: str
    conversation_id: str
    metric: Metric
    queue: str
    policy: str
    policy_version: str
    """Of the workspace, pinned when the clock was started."""
    calendar: str
    target_seconds: float
    started_at: datetime
    state: State
    due_at: datetime
    """Of a paused clock: as if it went on at once."""
    warned: tuple[float, ...]
    breached: bool
    ended_at: datetime | None
    reason: str | None
    version: int


class NextView(ClockView):
    agent_id: str | None
    """Who holds the conversation."""


class Clocks(BaseModel):
    clocks: list[ClockView] = Field(description="in order of their start")


class Next(BaseModel):
    clocks: list[NextView] = Field(description="the nearest deadline first")


def routes(reads: Reads, verify_bearer: Bearer) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(verify_bearer)], tags=["sla"])

    @router.get("/conversations/{conversation_id}/clocks")
    async def clocks_of_conversation(conversation_id: str) -> Clocks:
        """Every clock of a conversation; none where it is unknown or its queue has no policy."""
        rows = await reads.clocks_of(conversation_id)
        return Clocks(clocks=[ClockView(**_members(row)) for row in rows])

    @router.get("/clocks/next")
    async def next_clocks(queue: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Next:
        """What will be breached next, in one queue or in all."""
        rows = await reads.next_due(queue, limit)
        return Next(clocks=[NextView(**_members(row)) for row in rows])

    return router


def _members(row: Any) -> dict[str, Any]:
    found = dict(row)
    return found | {"policy_version": found.pop("workspace_version"), "warned": json.loads(found["warned"])}
