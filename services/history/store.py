"""This file keeps entries, whose contact points they are, and the entries that wait for their contact."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.contracts.payloads.base import Author, Content
from libs.contracts.payloads.timeline import EntryRecorded
from libs.contracts.vocabulary import Channel, EntryKind
from libs.flow.database import Database, queries
from libs.flow.store import Log, Reader, Store, Table
from services.history.domain.cursors import Mark, Place

CACHED = 5_000
"""Contact points that a lane keeps in memory, at less than 1 kB each; a process may have a dozen lanes."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    entry_id: str
    contact_id: str
    contact_point_id: str
    conversation_id: str | None
    kind: EntryKind
    event_type: str
    occurred_at: datetime
    message_id: str | None
    author: Author | None
    content: Content | None
    text: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContactPointRow:
    """What is None was not said yet."""

    contact_point_id: str
    contact_id: str
    inbox_id: str | None = None
    channel: Channel | None = None
    address: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class PendingRow:
    """An entry without its contact; `number` is its place in the order of arrival."""

    entry_id: str
    contact_point_id: str
    number: int
    entry: EntryRecorded


class HistoryStore(Store):
    """The contact points that a batch is about. What is only counted is counted when the batch has been committed."""

    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        self.entries = Log("entry", EntryRow, key=["entry_id"])
        self.contact_points = Table(
            "contact_point", ContactPointRow, key=["contact_point_id"], group="contact_point_id", cache=CACHED
        )
        self.pending = Table("pending", PendingRow, key=["entry_id"], group="contact_point_id", cache=CACHED)
        self.tables = (self.entries, self.contact_points, self.pending)
        self._counts: list[Callable[[], None]] = []

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        # An event of `identity` says its contact, and its contact point is another lane's.
        points = {item.key for item in items if item.key == item.data.contact_point_id}
        await self.contact_points.load(db, points)
        await self.pending.load(db, points)

    def count(self, count: Callable[[], None]) -> None:
        self._counts.append(count)

    def committed(self) -> None:
        super().committed()
        for count in self._counts:
            count()
        self._counts.clear()

    def discard(self) -> None:
        super().discard()
        self._counts.clear()


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose entries are read: those of a contact or of a conversation, of all kinds or of some."""

    of: str
    id: str
    kinds: tuple[EntryKind, ...] = ()

    @property
    def arguments(self) -> tuple[str, list[str] | None]:
        return self.id, [kind.value for kind in self.kinds] or None


def contact(contact_id: str, kinds: Sequence[EntryKind] = ()) -> Scope:
    return Scope("contact", contact_id, tuple(kinds))


def conversation(conversation_id: str, kinds: Sequence[EntryKind] = ()) -> Scope:
    return Scope("conversation", conversation_id, tuple(kinds))


class Reads:
    """The questions that the API and the stream ask. Every method raises DatabaseAway."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("services.history")

    async def before(self, scope: Scope, place: Place, limit: int) -> list[Any]:
        """The entries before a place, the latest first."""
        sql = self._sql[f"{scope.of}_before"]
        return await self._database.fetch(sql, *scope.arguments, place.occurred_at, place.entry_id, limit)

    async def after(self, scope: Scope, place: Place, limit: int) -> list[Any]:
        """The entries after a place, the earliest first."""
        sql = self._sql[f"{scope.of}_after"]
        return await self._database.fetch(sql, *scope.arguments, place.occurred_at, place.entry_id, limit)

    async def changes_of(self, message_ids: Sequence[str]) -> list[Any]:
        """Entries that say what became of these messages."""
        if not message_ids:
            return []
        return await self._database.fetch(self._sql["changes_of"], list(message_ids))

    async def contact_point(self, contact_point_id: str) -> Any | None:
        return await self._database.fetchrow(self._sql["contact_point"], contact_point_id)

    async def now(self) -> Mark:
        """Before everything that is not visible yet: what is read after this, and followed from here, has no gap."""
        return Mark(int(await self._database.fetchval(self._sql["now"])))

    async def recorded_after(self, contact_id: str, mark: Mark, limit: int) -> list[Any]:
        """What was recorded for a contact after a mark, as far as no transaction still under way can come before it."""
        return await self._database.fetch(
            self._sql["recorded_after"], contact_id, str(mark.xid), mark.entry_id, limit
        )
