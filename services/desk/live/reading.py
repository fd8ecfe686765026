"""This file reads the projection for the live view: all that is open at the start, single conversations later."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from libs.flow.database import Database
from libs.flow.tail import Marks, read_marks
from services.desk.domain.conversation import Conversation, Message
from services.desk.store import SQL, DeskStore


@dataclass(frozen=True, slots=True)
class Beginning:
    """The projection at one moment, without messages, and how far it had read the log by then."""

    store: DeskStore
    marks: Marks


async def beginning(database: Database) -> Beginning:
    """Everything that is open. Raises DatabaseAway."""
    store = DeskStore(0)
    async with one_moment(database) as db:
        marks = await read_marks(db, flow="desk")
        await store.conversations.load_all(db, SQL["is_in_view"])
        await store.work.load_all(db, "true")
        await store.clocks.load_all(db, SQL["clock_is_in_view"])
        await store.agents.load_all(db, "true")
    return Beginning(store, marks)


async def conversations(
    database: Database, ids: Collection[str]
) -> dict[str, tuple[Conversation, tuple[Message, ...]]]:
    """Those of the conversations that the projection knows, with their latest messages. Raises DatabaseAway."""
    store = DeskStore(0)
    async with one_moment(database) as db:
        await store.conversations.load(db, ids)
        await store.messages.load(db, ids)
    return {c.conversation_id: (c, store.latest(c.conversation_id)) for c in store.conversations}


@asynccontextmanager
async def one_moment(database: Database) -> AsyncIterator[Any]:
    """A connection whose queries all see the database as it was at the first one."""
    async with database.connection() as db, db.transaction(isolation="repeatable_read", readonly=True):
        yield db
