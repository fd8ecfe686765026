"""This file keeps a lane's next timers in memory: a heap over those due up to a horizon; later ones are only rows."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.flow.store import Reader

READ = 500
"""Timers that are read at once: few enough that reading them holds neither the lane nor others up, some milliseconds."""
SHORT = 500
"""With fewer in memory the next ones are read when no other lane reads its own; a batch takes no more of them."""
SCARCE = 100
"""With fewer they are read at once, even while other lanes' are."""
MOST = 8_000
"""With more in memory the later ones are left to their rows."""


@dataclass(frozen=True, slots=True)
class TimerRow:
    id: str
    key: str
    due: datetime
    name: str
    body: str
    cause: str


Slot = tuple[datetime, str]
"""(due, id): the order in which timers fire."""


class Timers:
    """The lane's timers. What is due up to `horizon` is here as it is in the table; None: all are.

    Entries of the heap that are out of date are skipped.
    """

    def __init__(self, rows: Sequence[TimerRow] = (), horizon: Slot | None = None) -> None:
        self._rows = {row.id: row for row in rows}
        self._heap = [(row.due, row.id) for row in rows]
        heapq.heapify(self._heap)
        self.horizon = horizon

    def __len__(self) -> int:
        """Those in memory."""
        return len(self._rows)

    @property
    def short(self) -> bool:
        """The next ones should be read soon."""
        return self.horizon is not None and len(self._rows) < SHORT

    @property
    def scarce(self) -> bool:
        """The next ones must be read before anything else is done."""
        return self.horizon is not None and len(self._rows) < SCARCE

    def may_be_set(self, timer_id: str) -> bool:
        """False where it is certain that there is none."""
        return self.horizon is not None or timer_id in self._rows

    def next_due(self) -> datetime | None:
        while self._heap:
            due, timer_id = self._heap[0]
            row = self._rows.get(timer_id)
            if row is not None and row.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    def due_until(self, moment: datetime, limit: int) -> list[TimerRow]:
        """Timers due at or before the moment, in order of their due time; they stay set until `apply`."""
        found: list[TimerRow] = []
        taken: list[Slot] = []
        while len(found) < limit and (due := self.next_due()) is not None and due <= moment:
            entry = heapq.heappop(self._heap)
            taken.append(entry)
            row = self._rows[entry[1]]
            if not found or found[-1] is not row:
                found.append(row)
        for entry in taken:
            heapq.heappush(self._heap, entry)
        return found

    def apply(self, changes: Mapping[str, TimerRow | None]) -> None:
        """Take over what was committed."""
        for timer_id, row in changes.items():
            if row is None or not self._within(row):
                self._rows.pop(timer_id, None)
            else:
                self._rows[timer_id] = row
                heapq.heappush(self._heap, (row.due, timer_id))
        if len(self._rows) > MOST:
            self._leave_to_rows()
        # Entries of timers that were moved or cancelled stay in the heap until they come up; do not let them pile up.
        if len(self._heap) > 64 + 2 * len(self._rows):
            self._tidy()

    def extend(self, rows: Sequence[TimerRow]) -> None:
        """Add what `read_next` found beyond the horizon, when nothing else was written since."""
        for row in rows:
            self._rows[row.id] = row
            heapq.heappush(self._heap, (row.due, row.id))
        self.horizon = (rows[-1].due, rows[-1].id) if len(rows) == READ else None

    def _within(self, row: TimerRow) -> bool:
        return self.horizon is None or (row.due, row.id) <= self.horizon

    def _leave_to_rows(self) -> None:
        nearest = heapq.nsmallest(MOST // 2, ((row.due, row.id) for row in self._rows.values()))
        self._rows = {timer_id: self._rows[timer_id] for _, timer_id in nearest}
        self.horizon = nearest[-1]
        self._tidy()

    def _tidy(self) -> None:
        self._heap = [(row.due, row.id) for row in self._rows.values()]
        heapq.heapify(self._heap)


OF_LANE = "select id, key, due, name, body, cause from timer where flow = $1 and lane = $2"
# Ids are compared by code point, as Python does, whatever the database's collation.
IN_ORDER = 'order by due, id collate "C"'
FIRST = f"{OF_LANE} {IN_ORDER} limit $3"
NEXT = f'{OF_LANE} and (due, id collate "C") > ($4::timestamptz, $5::text) {IN_ORDER} limit $3'


async def read_first(db: Reader, flow: str, lane: int) -> Timers:
    """The timers of a lane that was just taken."""
    timers = Timers()
    timers.extend(_rows(await db.fetch(FIRST, flow, lane, READ)))
    return timers


async def read_next(db: Reader, flow: str, lane: int, timers: Timers) -> None:
    """Move the horizon on. Nothing of the lane may be under way to the database."""
    if timers.horizon is not None:
        timers.extend(_rows(await db.fetch(NEXT, flow, lane, READ, *timers.horizon)))


def _rows(records: Sequence[Any]) -> list[TimerRow]:
    return [TimerRow(*record) for record in records]
