"""This file answers what the router knows of a conversation and of a contact, from the committed rows."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from libs.flow.database import Database, queries
from libs.service.problems import Problem

Id = Annotated[str, Path(pattern=r"^[a-z]{3}_[a-z0-9]{1,60}$")]


class ConversationView(BaseModel):
    """Its state, its claim on attention, and who holds it. What was said is in the timeline."""

    conversation_id: str
    contact_point_id: str
    contact_id: str
    inbox_id: str
    channel: str
    address: str
    customer_name: str | None
    number: int
    state: str
    version: int
    queue: str
    pool: str
    opened_at: datetime
    changed_at: datetime
    resolved_at: datetime | None
    snoozed_until: datetime | None
    customer_wrote_at: datetime | None
    agent_id: str | None
    work_item_id: str | None
    work_requested_at: datetime | None
    work_due_at: datetime | None
    tags: list[str]


class ContactPointView(BaseModel):
    contact_point_id: str
    inbox_id: str
    channel: str
    address: str
    name: str | None
    first_seen_at: datetime
    conversation_id: str | None
    conversations: int


class EvidenceView(BaseModel):
    """A contact point showed an identifier; `verified` where the channel or the owner vouches for it."""

    kind: str
    value: str
    verified: bool
    contact_point_id: str
    at: datetime


class ContactView(BaseModel):
    contact_id: str
    contact_points: list[ContactPointView]
    evidence: list[EvidenceView]


def routes(database: Database) -> APIRouter:
    router, sql = APIRouter(prefix="/v1"), queries("services.router.conversations")

    @router.get("/conversations/{conversation_id}")
    async def conversation(conversation_id: Id) -> ConversationView:
        row = await database.fetchrow(sql["conversation"], conversation_id)
        if row is None:
            raise Problem(404, "unknown_conversation", "There is no such conversation")
        return ConversationView(**row)

    @router.get("/contacts/{contact_id}")
    async def contact(contact_id: Id) -> ContactView:
        points = await database.fetch(sql["contact_points"], contact_id)
        if not points:
            raise Problem(404, "unknown_contact", "There is no such contact")
        evidence = await database.fetch(sql["contact_evidence"], contact_id)
        return ContactView(
            contact_id=contact_id,
            contact_points=[ContactPointView(**row) for row in points],
            evidence=[EvidenceView(**row) for row in evidence],
        )

    return router
