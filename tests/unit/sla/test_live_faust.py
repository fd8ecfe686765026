"""What Faust does with offsets: why the live service levels rely on none of them, and the day on which that may change."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.consumer import Consumer
from faust.types import TP

HERE = TP("assignments", 0)


def would_commit(*, committed: int, worked_off: list[int]) -> int | None:
    """The offset that Faust's consumer commits next, where everything before `committed` is committed and these offsets
    have been worked off since."""
    books: Any = SimpleNamespace(
        _acked={HERE: list(worked_off)},
        _acked_index={HERE: set(worked_off)},
        _gap=defaultdict(list),
        _committed_offset={HERE: committed},
    )
    found: int | None = Consumer._new_offset(books, HERE)
    return found


def test_faust_commits_what_is_worked_off_up_to_the_first_gap() -> None:
    assert would_commit(committed=5, worked_off=[5, 6, 8]) == 7
    assert would_commit(committed=5, worked_off=[7]) is None


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="faust-streaming issue 606: with a concurrency above 1 it commits past a record that is being worked on",
)
def test_faust_commits_nothing_past_a_record_in_flight() -> None:
    """When this passes, decision record 0016 may be looked at again."""
    in_flight = 5
    offered = would_commit(committed=in_flight, worked_off=[6])
    assert offered is None or offered <= in_flight
