"""This file keeps conversations, their clocks and their holders, by conversation."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from libs.contracts.payloads.assignments import WorkAssigned, WorkEvent
from libs.contracts.vocabulary import Metric
from libs.flow.database import Database, queries
from libs.flow.flow import Fired
from libs.flow.store import Log, Reader, Session, Statement, Store, Table
from services.sla.calendars import KnownCalendars
from services.sla.domain.calendar import Calendars
from services.sla.domain.clock import Mark, Pause, State
from services.sla.domain.conversation import Conversation, Fold, fold
from services.sla.domain.definition import Definition
from services.sla.domain.facts import Fact
from services.sla.domain.standing import Standing

CACHED = 1_000
"""Conversations that a lane keeps in memory, at some 8 kB each; a process may have a dozen lanes."""

RECOUNT_LIMIT = 60
"""Seconds that counting all open clocks may take."""


@dataclass(frozen=True, slots=True)
class ConversationRow:
    conversation_id: str
    contact_point_id: str
    reached: datetime
    base: Conversation
    facts: tuple[Fact, ...]
    inbox_id: str = ""
    """Empty in rows that were kept before it mattered, until the next event."""


@dataclass(frozen=True, slots=True)
class ClockRow:
    """A clock as it was last announced; `version` is that of the last event about it."""

    clock_id: str
    conversation_id: str
    contact_point_id: str
    metric: Metric
    number: int
    queue: str
    policy: str
    workspace_version: str
    calendar: str
    target_seconds: float
    warn_at: tuple[float, ...]
    started_at: datetime
    state: State
    due_at: datetime
    warned: tuple[float, ...]
    breached: bool
    pauses: tuple[Pause, ...]
    ended_at: datetime | None
    reason: str | None
    version: int
    settled: bool = False
    shares: tuple[float, ...] = ()
    """At which something is due; none, of clocks kept before there was escalation, means its warnings and the deadline."""
    marks: tuple[Mark, ...] = ()
    changes: tuple[datetime, ...] = ()
    escalated: tuple[str, ...] = ()
    """Policy and number of each step that was announced."""

    @property
    def open(self) -> bool:
        return self.state in (State.RUNNING, State.PAUSED)

    @property
    def standing(self) -> Standing:
        return Standing(
            self.started_at,
            self.state,
            self.due_at,
            self.warned,
            self.breached,
            self.pauses,
            self.ended_at,
            self.reason,
            self.marks,
            self.changes,
        )


@dataclass(frozen=True, slots=True)
class HolderRow:
    conversation_id: str
    work_item_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class TallyRow:
    """How many clocks a lane opened less those it ended, and how many of them are overdue; may be negative."""

    lane: str
    metric: Metric
    policy: str
    open: int
    overdue: int


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """What a version says that some clock has pinned."""

    version: str
    definition: Definition


_DEFINITION: TypeAdapter[Definition] = TypeAdapter(Definition)


class SlaStore(Store):
    """The conversations that a batch is about. What is only counted is counted when the batch has been committed.

    A calendar's definition is written in the transaction that first pins its version, and all are read when the lane is
    taken: whoever has a lane knows every version that its clocks have.
    """

    def __init__(self, lane: int, known: KnownCalendars) -> None:
        super().__init__(lane)
        self._known = known
        self._kept: set[str] = set()
        """Versions that are in the database."""
        self._keeping: set[str] = set()
        self._definitions = Log("calendar", CalendarRow, key=["version"])
        self.conversations = Table(
            "conversation", ConversationRow, key=["conversation_id"], group="conversation_id", cache=CACHED
        )
        self.clocks = Table(
            "clock", ClockRow, key=["clock_id"], group="conversation_id", cache=CACHED, where="not settled",
            often=["warned", "breached", "marks", "version"],
        )  # fmt: skip
        self.holders = Table(
            "holder", HolderRow, key=["conversation_id"], group="conversation_id", cache=CACHED
        )
        self._tallies = Table("tally", TallyRow, key=["lane", "metric", "policy"], group="lane")
        self.tables = (self.conversations, self.clocks, self.holders, self._tallies, self._definitions)
        self.folds: dict[str, Fold] = {}
        """By conversation, the last fold: a memory of work done, good only where it is of the same facts."""
        self._counts: list[Callable[[], None]] = []
        self._opened, self._overdue = Counter[tuple[Metric, str]](), Counter[tuple[Metric, str]]()
        """What the batch adds to the lane's tallies."""

    @property
    def calendars(self) -> Calendars:
        return self._known.calendars

    async def open(self, db: Session) -> None:
        await self._tallies.load(db, [str(self.lane)])
        for version, definition in await db.fetch("select version, definition from calendar"):
            if version not in self.calendars:
                self._known.learn(version, _DEFINITION.validate_json(definition))
            self._kept.add(version)

    def pin_calendar(self, calendar_id: str | None) -> str:
        """The version that a calendar of the workspace has now; it can be read again for as long as clocks may have it."""
        version = self._known.current(calendar_id)
        definition = self._known.definition(version)
        if definition is not None and version not in self._kept:
            self._definitions.add(CalendarRow(version, definition))
            self._keeping.add(version)
        return version

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        talked, worked, timed = set[str](), set[str](), set[str]()
        for item in items:
            if isinstance(item, Fired):
                (talked if item.timer.escalates else timed).add(item.timer.conversation_id)
            elif isinstance(item.data, WorkEvent):
                worked.add(item.data.conversation_id)
                if isinstance(item.data, WorkAssigned):
                    talked.add(item.data.conversation_id)
            else:
                talked.add(item.data.conversation_id)
        await self.conversations.load(db, talked)
        await self.clocks.load(db, talked | timed)
        await self.holders.load(db, worked)

    def fold(self, row: ConversationRow) -> Fold:
        """The conversation as the row says; going on from the last fold where it can."""
        found = self.folds[row.conversation_id] = fold(
            row.base, row.facts, self.folds.get(row.conversation_id)
        )
        return found

    def put_clock(self, clock: ClockRow) -> None:
        """Keep a clock; one that is open is counted."""
        before = self.clocks.get(clock.conversation_id, clock.clock_id)
        self.clocks.put(clock)
        if before is not None and before.open:
            self._tally(before, -1)
        if clock.open:
            self._tally(clock, 1)

    def _tally(self, clock: ClockRow, by: int) -> None:
        which = (clock.metric, clock.policy)
        self._opened[which] += by
        if clock.breached:
            self._overdue[which] += by

    def statements(self) -> list[Statement]:
        lane = str(self.lane)
        for which, opened in self._opened.items():
            overdue = self._overdue[which]
            if opened or overdue:
                row = self._tallies.get(lane, lane, *which) or TallyRow(lane, *which, 0, 0)
                row = replace(row, open=row.open + opened, overdue=row.overdue + overdue)
                self._tallies.put(row)
        self._opened.clear()
        self._overdue.clear()
        return super().statements()

    def count(self, count: Callable[[], None]) -> None:
        self._counts.append(count)

    def committed(self) -> None:
        super().committed()
        self._kept |= self._keeping
        self._keeping.clear()
        if len(self.folds) > CACHED:
            self.folds.clear()
        for count in self._counts:
            count()
        self._counts.clear()

    def discard(self) -> None:
        super().discard()
        self._kept.clear()
        self._keeping.clear()
        self.folds.clear()
        self._counts.clear()
        self._opened.clear()
        self._overdue.clear()


class Reads:
    """The questions that the API and the gauges ask. Every method raises DatabaseAway."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("services.sla")

    async def clocks_of(self, conversation_id: str) -> list[Any]:
        """In order of their start."""
        return await self._database.fetch(self._sql["clocks_of"], conversation_id)

    async def next_due(self, queue: str | None, limit: int) -> list[Any]:
        """Running clocks before their deadline, the nearest first."""
        if queue is None:
            return await self._database.fetch(self._sql["next_due"], limit)
        return await self._database.fetch(self._sql["next_due_of_queue"], limit, queue)

    async def definitions(self) -> list[tuple[str, Definition]]:
        """Every calendar version that a clock has pinned."""
        rows = await self._database.fetch("select version, definition from calendar")
        return [(row["version"], _DEFINITION.validate_json(row["definition"])) for row in rows]

    async def conversations_on_other_calendars(self, policies: Sequence[str], version: str) -> list[Any]:
        """Rows of conversations with open clocks of these policies that do not have this version."""
        sql = self._sql["conversations_on_other_calendars"]
        return await self._database.fetch(sql, list(policies), version)

    async def open_clocks(self, now: datetime, soon: datetime) -> list[Any]:
        """Rows of (metric, policy, open, overdue, due until `soon`)."""
        return await self._database.fetch(self._sql["open_clocks"], now, soon)

    async def recount(self) -> None:
        """Make the tallies' sums what the clocks are: of those from before there were tallies, or written by a build without."""
        async with self._database.connection() as c, c.transaction():
            # Nobody waits for it: it may take long, and no more than one processor.
            await c.execute(f"set local statement_timeout = '{RECOUNT_LIMIT}s'")
            await c.execute("set local max_parallel_workers_per_gather = 0")
            await c.execute(self._sql["recount"], timeout=RECOUNT_LIMIT)
