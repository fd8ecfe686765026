"""This file proves how clocks are told in words."""

from datetime import UTC, datetime, timedelta

import pytest

from services.sla.domain.clock import Pause, State
from services.sla.domain.standing import Standing
from services.sla.domain.words import Hours, amount, arithmetic

KANTOR = Hours("kantor", "Asia/Jakarta")
FRIDAY = datetime(2026, 11, 20, 9, 40, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 3, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_deadline_is_told_in_the_time_of_day_of_its_calendar() -> None:
    told = arithmetic(Standing(FRIDAY, State.RUNNING, MONDAY), 120 * MINUTE, KANTOR)
    assert told == "120 min of kantor hours (Asia/Jakarta) from 16:40 Fri 20 Nov: due 10:40 Mon 23 Nov"


def test_pauses_and_changes_of_terms_are_told_too() -> None:
    pauses = (Pause(FRIDAY, FRIDAY + MINUTE), Pause(FRIDAY + 2 * MINUTE))
    standing = Standing(FRIDAY, State.PAUSED, MONDAY, pauses=pauses, changes=(FRIDAY + MINUTE,))
    assert arithmetic(standing, 16 * 60 * MINUTE, KANTOR) == (
        "16 h of kantor hours (Asia/Jakarta) from 16:40 Fri 20 Nov, without the pause, on these terms since 16:41 Fri 20 Nov: "
        "due 10:40 Mon 23 Nov if it went on at once"
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (45, "45 s"),
        (60, "1 min"),
        (7_200, "120 min"),
        (57_600, "16 h"),
        (59_400, "16 h 30 min"),
        (0, "0 min"),
    ],
)
def test_amounts_of_time_are_short(seconds: int, told: str) -> None:
    assert amount(timedelta(seconds=seconds)) == told
