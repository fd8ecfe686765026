"""This file proves which receipt says more than another."""

import pytest

from libs.contracts.vocabulary import MessageStatus
from services.router.conversations.domain.receipts import RANK, join, moves_up

ORDER = [
    MessageStatus.QUEUED,
    MessageStatus.ACCEPTED,
    MessageStatus.SENT,
    MessageStatus.FAILED,
    MessageStatus.DELIVERED,
    MessageStatus.READ,
]


@pytest.mark.parametrize("lower", range(len(ORDER)))
def test_each_status_gives_way_to_those_above_it_only(lower: int) -> None:
    ups = [status for status in ORDER if moves_up(ORDER[lower], status)]
    assert ups == ORDER[lower + 1 :]


def test_failure_beats_everything_but_a_delivery() -> None:
    beaten = {status for status in RANK if moves_up(status, MessageStatus.FAILED)}
    assert beaten == {MessageStatus.QUEUED, MessageStatus.ACCEPTED, MessageStatus.SENT}


def test_status_of_a_newer_writer_says_nothing() -> None:
    assert not moves_up(MessageStatus.QUEUED, MessageStatus.UNKNOWN)
    assert join(MessageStatus.SENT, MessageStatus.UNKNOWN) is MessageStatus.SENT
    assert join(None, MessageStatus.UNKNOWN) is None


def test_every_status_but_unknown_has_its_place() -> None:
    assert set(RANK) == set(MessageStatus) - {MessageStatus.UNKNOWN}
