"""This file proves that a lane which holds only its next timers fires what one that held all of them would."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.flow import timers as module
from libs.flow.timers import TimerRow, Timers, read_first, read_next

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
Row = tuple[str, str, datetime, str, str, str]


class Rows:
    """The table, as the two statements read it."""

    def __init__(self) -> None:
        self.of: dict[str, TimerRow] = {}

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        _flow, _lane, limit, *after = args
        slots = sorted((row.due, row.id) for row in self.of.values())
        found = [slot for slot in slots if not after or slot > tuple(after)][:limit]
        return [self._record(self.of[timer_id]) for _, timer_id in found]

    def _record(self, row: TimerRow) -> Row:
        return (row.id, row.key, row.due, row.name, row.body, row.cause)


def timer(number: int, minute: int) -> TimerRow:
    return TimerRow(f"t{number}", "k", START + timedelta(minutes=minute), "n", "{}", "")


CHANGE = st.tuples(st.integers(0, 40), st.none() | st.integers(0, 60))
"""Which timer is set for which minute, or cancelled."""
STEP = st.tuples(st.lists(CHANGE, max_size=12), st.integers(0, 8), st.booleans())
"""Changes of a batch, minutes that pass, and whether the lane is taken again."""


@given(st.lists(CHANGE, max_size=60), st.lists(STEP, max_size=12), st.integers(1, 5))
async def test_whatever_is_set_moved_and_cancelled_fires_as_if_all_timers_were_in_memory(
    before: list[tuple[int, int | None]], steps: list[tuple[list[Any], int, bool]], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("READ", 6), ("SHORT", 5), ("MOST", 12)):
            patch.setattr(module, name, value)
        rows, now = Rows(), START
        for number, minute in before:
            if minute is not None:
                rows.of[f"t{number}"] = timer(number, minute)
        lane = await read_first(rows, "f", 0)
        for changes, minutes, taken_again in steps:
            made = {f"t{n}": None if minute is None else timer(n, minute) for n, minute in changes}
            await commit(rows, lane, made)
            if taken_again:
                lane = await read_first(rows, "f", 0)
            now += timedelta(minutes=minutes)
            while (due := lane.next_due()) is not None and due <= now:
                fired = lane.due_until(now, limit)
                assert fired == expected(rows, now, limit)
                await commit(rows, lane, {row.id: None for row in fired})
            assert expected(rows, now, 1) == []
            assert all(lane.may_be_set(timer_id) for timer_id in rows.of)
            assert len(lane) <= module.MOST


async def commit(rows: Rows, lane: Timers, changes: dict[str, TimerRow | None]) -> None:
    for timer_id, row in changes.items():
        if row is None:
            rows.of.pop(timer_id, None)
        else:
            rows.of[timer_id] = row
    lane.apply(changes)
    if lane.short:
        await read_next(rows, "f", 0, lane)


def expected(rows: Rows, now: datetime, limit: int) -> Sequence[TimerRow]:
    due = [row for row in rows.of.values() if row.due <= now]
    return sorted(due, key=lambda row: (row.due, row.id))[:limit]
