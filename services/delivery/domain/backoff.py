"""This file says how long to wait before a message is tried again."""

from datetime import timedelta
from hashlib import blake2b

FIRST, LONGEST = timedelta(seconds=1), timedelta(minutes=5)
SPREAD = 0.25
"""Share of the wait that varies from message to message, so that those refused together do not return together."""


def wait_before_retry(message_id: str, attempt: int, asked: timedelta | None = None) -> timedelta:
    """Before attempt + 1, when `attempt` (from 1) was turned down: doubling from FIRST to LONGEST.

    A wait that the provider asked for is kept, whatever it is, and never shortened. The spread is a function of the ids:
    handling the same answer again gives the same time.
    """
    plain = min(FIRST * (1 << min(max(attempt - 1, 0), 16)), LONGEST)
    if asked is not None:
        plain = max(asked, timedelta(0))
    return plain * (1 + SPREAD * _share(message_id, attempt))


def _share(message_id: str, attempt: int) -> float:
    """In [0, 1), evenly spread over messages and attempts."""
    raw = blake2b(f"{message_id}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(raw, "big") / 2**32
