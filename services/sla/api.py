"""This file answers questions about clocks over HTTP."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, TypeAdapter

from libs.contracts.vocabulary import Metric
from libs.service.auth import Bearer
from services.sla.domain.clock import Mark, Pause, State
from services.sla.domain.standing import Standing
from services.sla.domain.words import Hours, arithmetic, history
from services.sla.store import Reads


class MomentView(BaseModel):
    at: datetime
    words: str


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
    arithmetic: str
    """How the deadline comes about, in words."""
    history: tuple[MomentView, ...]
    """What happened to it, in order of time."""


class NextView(ClockView):
    agent_id: str | None
    """Who holds the conversation."""


class Clocks(BaseModel):
    clocks: list[ClockView] = Field(description="in order of their start")


class Next(BaseModel):
    clocks: list[NextView] = Field(description="the nearest deadline first")


def routes(
    reads: Reads, verify_bearer: Bearer, calendars: Mapping[str, str | None] | None = None
) -> APIRouter:
    """`calendars`: by policy, how its calendar is called."""
    names = calendars or {}
    router = APIRouter(prefix="/v1", dependencies=[Depends(verify_bearer)], tags=["sla"])

    @router.get("/conversations/{conversation_id}/clocks")
    async def clocks_of_conversation(conversation_id: str) -> Clocks:
        """Every clock of a conversation; none where it is unknown or its queue has no policy."""
        rows = await reads.clocks_of(conversation_id)
        return Clocks(clocks=[ClockView(**_members(row, names)) for row in rows])

    @router.get("/sla/next")
    async def next_clocks(queue: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Next:
        """What will be breached next, in one queue or in all."""
        rows = await reads.next_due(queue, limit)
        return Next(clocks=[NextView(**_members(row, names)) for row in rows])

    return router


_PAUSES: TypeAdapter[tuple[Pause, ...]] = TypeAdapter(tuple[Pause, ...])
_MARKS: TypeAdapter[tuple[Mark, ...]] = TypeAdapter(tuple[Mark, ...])
_TIMES: TypeAdapter[tuple[datetime, ...]] = TypeAdapter(tuple[datetime, ...])


def _members(row: Any, names: Mapping[str, str | None]) -> dict[str, Any]:
    found = dict(row)
    standing = Standing(
        started_at=found["started_at"],
        state=State(found["state"]),
        due_at=found["due_at"],
        warned=tuple(json.loads(found["warned"])),
        breached=found["breached"],
        pauses=_PAUSES.validate_json(found["pauses"]),
        ended_at=found["ended_at"],
        reason=found["reason"],
        marks=_MARKS.validate_json(found["marks"]),
        changes=_TIMES.validate_json(found["changes"]),
    )
    zone = found["zone"]
    hours = Hours() if zone is None else Hours(names.get(found["policy"]) or "open", zone)
    target = timedelta(seconds=found["target_seconds"])
    return found | {
        "policy_version": found["workspace_version"],
        "warned": standing.warned,
        "arithmetic": arithmetic(standing, target, hours),
        "history": [
            MomentView(at=told.at, words=told.words)
            for told in history(standing, tuple(json.loads(found["warn_at"])), hours)
        ],
    }
