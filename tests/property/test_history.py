"""This file proves, for any input, that cursors come back as they were and that a message reads the same in any order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.history.domain.cursors import BadCursor, Mark, Place
from services.history.domain.messages import LATTICE, Change, What, message_now

entry_ids = st.from_regex(r"ent_[a-z2-7]{24}", fullmatch=True) | st.just("")
times = st.datetimes(timezones=st.just(UTC))


@given(times, entry_ids)
def test_a_place_comes_back_as_it_was(at: datetime, entry_id: str) -> None:
    place = Place(at, entry_id)
    assert Place.parse(str(place)) == place
    with pytest.raises(BadCursor):
        Mark.parse(str(place))


@given(st.integers(0, 2**63 - 1), entry_ids)
def test_a_mark_comes_back_as_it_was(xid: int, entry_id: str) -> None:
    mark = Mark(xid, entry_id)
    assert Mark.parse(str(mark)) == mark
    with pytest.raises(BadCursor):
        Place.parse(str(mark))


@given(st.text(max_size=60) | st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_", max_size=60))
def test_what_is_no_cursor_is_refused_and_nothing_else_happens(text: str) -> None:
    for kind in (Place, Mark):
        try:
            found: Any = kind.parse(text)
        except BadCursor:
            continue
        assert kind.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "cDk5OTk5OTk5OTk5OTk5OTk5OTk5Lg", "bS0xLg"], ids=["empty", "far", "negative"]
)
def test_a_cursor_outside_of_all_time_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        Place.parse(text)
    with pytest.raises(BadCursor):
        Mark.parse(text)


changes = st.lists(
    st.one_of(
        st.builds(
            Change, st.just(What.STATUS), st.integers(1, 50), status=st.sampled_from([*LATTICE, "new word"])
        ),
        st.builds(Change, st.just(What.EDIT), st.integers(1, 50), content=st.none() | st.just({"text": "b"})),
        st.builds(
            Change, st.just(What.REACTION), st.integers(1, 50), emoji=st.none() | st.sampled_from("ab")
        ),
    ),
    max_size=8,
    unique_by=lambda change: change.version,
)


@given(changes, st.randoms(use_true_random=False))
def test_a_message_reads_the_same_in_whatever_order_its_changes_are_found(
    found: list[Change], dice: Any
) -> None:
    shuffled = list(found)
    dice.shuffle(shuffled)
    assert message_now("queued", {"text": "a"}, shuffled) == message_now("queued", {"text": "a"}, found)


@given(changes)
def test_a_receipt_never_goes_back(found: list[Change]) -> None:
    seen = ["queued", *(change.status for change in found if change.what is What.STATUS)]
    best = max((word for word in seen if word in LATTICE), key=LATTICE.index)
    assert message_now("queued", None, found).status == best


@given(changes)
def test_the_last_edit_and_the_last_reaction_count(found: list[Change]) -> None:
    now = message_now(None, {"text": "a"}, found)
    edits = sorted((c for c in found if c.what is What.EDIT), key=lambda c: c.version)
    assert now.content == (edits[-1].content if edits else {"text": "a"})
    assert (now.edited, now.withdrawn) == (bool(edits), bool(edits) and edits[-1].content is None)
    reactions = sorted((c for c in found if c.what is What.REACTION), key=lambda c: c.version)
    assert now.reaction == (reactions[-1].emoji if reactions else None)
