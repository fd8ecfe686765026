"""This file shows timelines over HTTP: pages with opaque cursors, and a stream of server-sent events."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from libs.contracts.vocabulary import Channel, EntryKind
from libs.service.auth import Bearer, Principal
from libs.service.problems import Problem, unavailable
from services.history import metrics
from services.history.domain.cursors import END, BadCursor, Mark, Place
from services.history.domain.messages import Change, What, message_now
from services.history.store import Reads, Scope, contact, conversation
from services.history.streaming import Streams

C = TypeVar("C", Place, Mark)

Limit = Annotated[int, Query(ge=1, le=200)]
Kinds = Annotated[str | None, Query(description="entry kinds with commas between, e.g. message,note")]
Cursor = Annotated[str | None, Query(max_length=200)]

KINDS = {kind.value: kind for kind in EntryKind if kind is not EntryKind.UNKNOWN}
CHANGES = {
    "message.status_changed": What.STATUS,
    "message.edited": What.EDIT,
    "message.reacted": What.REACTION,
}


class MessageView(BaseModel):
    """A message as it looks now, with its receipts, edits and reactions."""

    status: str | None
    error: dict[str, Any] | None
    content: dict[str, Any] | None
    edited: bool
    withdrawn: bool
    reaction: str | None


class EntryView(BaseModel):
    """One event. It never changes; `message` is folded from later entries when it is read."""

    entry_id: str
    contact_id: str
    contact_point_id: str
    conversation_id: str | None
    kind: EntryKind
    event_type: str
    occurred_at: datetime
    message_id: str | None
    author: dict[str, Any] | None
    content: dict[str, Any] | None
    text: str
    details: dict[str, Any]
    message: MessageView | None = None


class Page(BaseModel):
    """Entries in order of time. `older` goes into `before`, None where there is nothing older; `newer` goes into `after`.

    `stream` goes into `from`: a stream that begins there misses nothing that is not here; what it repeats has the same id.
    """

    entries: list[EntryView]
    older: str | None
    newer: str | None
    stream: str


class ContactPointView(BaseModel):
    contact_point_id: str
    contact_id: str
    inbox_id: str | None
    channel: Channel | None
    address: str | None
    name: str | None


def routes(reads: Reads, streams: Streams, verify_bearer: Bearer) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(verify_bearer)], tags=["history"])

    @router.get("/contacts/{contact_id}/timeline")
    async def timeline_of_contact(
        contact_id: str, before: Cursor = None, after: Cursor = None, limit: Limit = 50, kinds: Kinds = None
    ) -> Page:
        """The latest entries, or those just before or after a cursor."""
        return await _page(reads, contact(contact_id, _kinds(kinds)), before, after, limit)

    @router.get("/conversations/{conversation_id}/timeline")
    async def timeline_of_conversation(
        conversation_id: str,
        before: Cursor = None,
        after: Cursor = None,
        limit: Limit = 50,
        kinds: Kinds = None,
    ) -> Page:
        """The same of one conversation."""
        return await _page(reads, conversation(conversation_id, _kinds(kinds)), before, after, limit)

    @router.get("/contact-points/{contact_point_id}")
    async def contact_of_contact_point(contact_point_id: str) -> ContactPointView:
        """Whose contact point it is."""
        row = await reads.contact_point(contact_point_id)
        if row is None:
            raise Problem(404, "unknown_contact_point", "There is no such contact point")
        return ContactPointView(**dict(row))

    @router.get("/contacts/{contact_id}/timeline/stream", response_class=StreamingResponse)
    async def stream_of_contact(
        contact_id: str,
        principal: Annotated[Principal, Depends(verify_bearer)],
        start: Annotated[str | None, Query(alias="from", max_length=200)] = None,
        last_event_id: Annotated[str | None, Header(max_length=200)] = None,
    ) -> StreamingResponse:
        """Entries as they are recorded, as server-sent events: after Last-Event-ID, after `from`, or from now on."""
        if streams.full:
            metrics.REFUSED.inc()
            raise unavailable("too_many_streams", "Too many timelines are being followed here")
        begin = last_event_id or start
        mark = _parsed(Mark, begin) if begin else await streams.now()
        frames = _frames(streams, contact_id, mark, principal.expires_at)
        return StreamingResponse(
            frames,
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return router


async def _page(reads: Reads, scope: Scope, before: str | None, after: str | None, limit: int) -> Page:
    if before and after:
        raise Problem(
            422, "two_directions", "One of `before` and `after`", "a page goes one way from a cursor"
        )
    stream = await reads.now()  # first: what commits after this is on the stream
    if after:
        rows = await reads.after(scope, _parsed(Place, after), limit)
        more = True
    else:
        rows = await reads.before(scope, _parsed(Place, before) if before else END, limit + 1)
        rows, more = rows[:limit][::-1], len(rows) > limit
    entries = await _entries(reads, rows)
    return Page(
        entries=entries,
        older=str(_place(entries[0])) if entries and more else None,
        newer=str(_place(entries[-1])) if entries else after,
        stream=str(stream),
    )


async def _entries(reads: Reads, rows: Sequence[Any]) -> list[EntryView]:
    entries = [EntryView(**_members(row)) for row in rows]
    messages = [entry for entry in entries if entry.kind is EntryKind.MESSAGE and entry.message_id]
    changes: dict[str, list[Change]] = {}
    for row in await reads.changes_of([entry.message_id or "" for entry in messages]):
        changes.setdefault(row["message_id"], []).append(_change(row))
    for entry in messages:
        status = "queued" if entry.event_type.startswith("message.queued.") else None
        now = message_now(status, entry.content, changes.get(entry.message_id or "", ()))
        entry.message = MessageView(
            status=now.status,
            error=now.error,
            content=now.content,
            edited=now.edited,
            withdrawn=now.withdrawn,
            reaction=now.reaction,
        )
    return entries


async def _frames(streams: Streams, contact_id: str, mark: Mark, until: datetime) -> AsyncIterator[str]:
    # An id without data: whoever is cut off before the first entry resumes from here.
    yield f"id: {mark}\n\n"
    async with aclosing(streams.follow(contact_id, mark, until)) as pages:
        async for rows in pages:
            yield "".join(_frame(row) for row in rows) if rows else ": still here\n\n"


def _frame(row: Any) -> str:
    mark = Mark(int(row["xid"]), row["entry_id"])
    entry = EntryView(**_members(row)).model_dump_json(exclude={"message"})
    return f"id: {mark}\nevent: entry\ndata: {entry}\n\n"


def _members(row: Any) -> dict[str, Any]:
    found = dict(row)
    return found | {name: json.loads(found[name]) for name in ("author", "content", "details") if found[name]}


def _change(row: Any) -> Change:
    details = json.loads(row["details"])
    return Change(
        what=CHANGES[row["event_type"].rpartition(".")[0]],
        version=details.get("version", 0),
        status=details.get("status"),
        error=details.get("error"),
        content=json.loads(row["content"]) if row["content"] else None,
        emoji=details.get("emoji"),
    )


def _place(entry: EntryView) -> Place:
    return Place(entry.occurred_at, entry.entry_id)


def _kinds(text: str | None) -> tuple[EntryKind, ...]:
    words = [word for word in (text or "").split(",") if word]
    if any(word not in KINDS for word in words):
        raise Problem(422, "unknown_kind", "There is no such kind of entry", f"kinds are: {', '.join(KINDS)}")
    return tuple(KINDS[word] for word in words)


def _parsed(kind: type[C], text: str) -> C:
    try:
        return kind.parse(text)
    except BadCursor:
        raise Problem(
            422, "bad_cursor", "The cursor was not given out here", "send it as it was given"
        ) from None
