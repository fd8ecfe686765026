"""This file proves the waits between attempts."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.delivery.domain.backoff import FIRST, LONGEST, SPREAD, wait_before_retry

ids = st.text(min_size=1, max_size=20)


@given(ids, st.integers(1, 10_000))
def test_a_wait_stays_between_the_first_and_the_longest(message_id: str, attempt: int) -> None:
    assert FIRST <= wait_before_retry(message_id, attempt) <= LONGEST * (1 + SPREAD)


def test_waits_double() -> None:
    waits = [wait_before_retry("msg_1", attempt) for attempt in range(1, 9)]
    assert all(later > sooner for sooner, later in pairwise(waits))
    assert waits[7] >= FIRST * 128


@given(ids, st.integers(1, 50))
def test_the_same_attempt_gives_the_same_wait(message_id: str, attempt: int) -> None:
    assert wait_before_retry(message_id, attempt) == wait_before_retry(message_id, attempt)


@given(ids, st.integers(1, 50), st.integers(0, 86_400))
def test_a_wait_that_was_asked_for_is_never_shortened(message_id: str, attempt: int, asked: int) -> None:
    wanted = timedelta(seconds=asked)
    assert wanted <= wait_before_retry(message_id, attempt, wanted) <= wanted * (1 + SPREAD)


def test_messages_refused_together_come_back_apart() -> None:
    waits = {wait_before_retry(f"msg_{n}", 3) for n in range(100)}
    assert len(waits) > 95
