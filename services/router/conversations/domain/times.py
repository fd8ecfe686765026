"""This file says when something happened where the provider's clock cannot be right."""

from datetime import datetime, timedelta

CLOCKS_APART = timedelta(minutes=5)
"""How far a provider's clock may be ahead of ours."""


def plausible(said: datetime, recorded_at: datetime | None) -> datetime:
    """What the provider says, unless that lies in the future of when we heard it: then that moment.

    A conversation that begins in the future would keep its window open, and every later change of its state would be
    dated there too. A time in the past is believed: providers repeat for a week.
    """
    return recorded_at if recorded_at is not None and said - recorded_at > CLOCKS_APART else said
