"""This file reads conversations for people who look them up: single ones, and lists page by page."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime

from libs.flow.database import Database
from libs.service.problems import Problem
from services.desk.live.frames import conversation_text
from services.desk.live.reading import one_moment
from services.desk.store import SQL, DeskStore


@dataclass(frozen=True, slots=True)
class Filter:
    """None means any."""

    pool: str | None = None
    state: str | None = None
    queue: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation as JSON text."""

    text: str
    pool: str | None
    agents: tuple[str, ...] = ()
    """Who is offered it, or holds it; not all of them need be of that pool."""


async def page(database: Database, wanted: Filter, *, after: str | None, limit: int) -> str:
    """{"conversations": […], "next": …} as JSON text, without messages; `next` is null on the last page.

    Raises Problem 422 for an `after` that no page gave out, DatabaseAway.
    """
    opened_at, last_id = _position(after) if after else (None, None)
    store = DeskStore(0)
    async with one_moment(database) as db:
        rows = await db.fetch(
            SQL["page"], wanted.pool, wanted.state, wanted.queue, wanted.agent, opened_at, last_id, limit + 1
        )
        ids = [row["conversation_id"] for row in rows[:limit]]
        for table in (store.conversations, store.work, store.clocks):
            await table.load(db, ids)
    shown = ",".join(_text(store, conversation_id, messages=False) for conversation_id in ids)
    more = _after(rows[limit - 1]["opened_at"], ids[-1]) if len(rows) > limit else None
    return f'{{"conversations":[{shown}],"next":{json.dumps(more)}}}'


async def one(database: Database, conversation_id: str) -> Found | None:
    """A conversation with its latest messages. Raises DatabaseAway."""
    store = DeskStore(0)
    async with one_moment(database) as db:
        for table in (store.conversations, store.messages, store.work, store.clocks):
            await table.load(db, [conversation_id])
    known = store.conversations.get(conversation_id, conversation_id)
    if known is None:
        return None
    agents = tuple(agent for work in store.work.of(conversation_id) for agent in work.agents)
    return Found(_text(store, conversation_id, messages=True), known.pool, agents)


def _text(store: DeskStore, conversation_id: str, *, messages: bool) -> str:
    return conversation_text(
        conversation_id,
        store.conversations.get(conversation_id, conversation_id),
        store.latest(conversation_id) if messages else (),
        store.work.of(conversation_id),
        store.clocks.of(conversation_id),
        partial=not messages,
    )


def _after(opened_at: datetime, conversation_id: str) -> str:
    raw = json.dumps([opened_at.isoformat(), conversation_id]).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _position(after: str) -> tuple[datetime, str]:
    try:
        opened_at, conversation_id = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        moment = datetime.fromisoformat(opened_at)
        if moment.tzinfo is None or not isinstance(conversation_id, str) or "\0" in conversation_id:
            raise ValueError(after)
    except (ValueError, TypeError, RecursionError):
        raise Problem(
            422, "invalid_request", "The request does not fit", "after: what a page gave as next"
        ) from None
    return moment, conversation_id
