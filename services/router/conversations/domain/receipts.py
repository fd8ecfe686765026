"""This file orders the receipts of a message: a lattice, so that any order and any repetition of them ends the same.

    queued ─▶ accepted ─▶ sent ─▶ failed ─▶ delivered ─▶ read

`failed` stands below `delivered`: a provider that gives up and delivers after all has delivered. It stands above
`sent`, since a late `sent` says nothing against a failure. The order is total, so the end is the greatest heard.
"""

from libs.contracts.vocabulary import MessageStatus

RANK: dict[MessageStatus, int] = {
    MessageStatus.QUEUED: 0,
    MessageStatus.ACCEPTED: 1,
    MessageStatus.SENT: 2,
    MessageStatus.FAILED: 3,
    MessageStatus.DELIVERED: 4,
    MessageStatus.READ: 5,
}


def moves_up(current: MessageStatus | None, heard: MessageStatus) -> bool:
    """True where `heard` says more than what is known. A status of a newer writer (`unknown`) never does."""
    if heard not in RANK:
        return False
    return current is None or RANK[heard] > RANK.get(current, -1)


def join(current: MessageStatus | None, heard: MessageStatus) -> MessageStatus | None:
    """What is known after `heard`."""
    return heard if moves_up(current, heard) else current
