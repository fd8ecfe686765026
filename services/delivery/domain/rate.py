"""This file spaces sends so that a provider's limit is kept: a token bucket, told as the time of the next free slot."""

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """`rate` sends a second, up to `burst` of them at once. Times are seconds on any line that does not step back.

    The bucket is the generic cell rate algorithm: `_tat` is when it would be full again. A slot once taken is not given
    back, so callers come in the order they asked.
    """

    rate: float
    burst: float = 1.0
    _tat: float = field(default=float("-inf"))

    def take(self, now: float) -> float:
        """Take the next slot; returns the time it begins, `now` where it is free."""
        interval = 1 / self.rate
        start = max(now, self._tat - (self.burst - 1) * interval)
        self._tat = max(self._tat, start) + interval
        return start

    def hold(self, until: float) -> None:
        """Give out no slot before that time: the provider said that its own count is full."""
        self._tat = max(self._tat, until + (self.burst - 1) / self.rate)

    def idle(self, now: float) -> bool:
        """Nothing would change if this bucket were forgotten."""
        return self._tat <= now


class Limits:
    """The buckets of one inbox: one for all sends and, where the provider limits single chats, one for each address."""

    def __init__(self, per_second: float, per_address: float | None = None, addresses: int = 10_000) -> None:
        # A burst of a fifth of a second keeps short queues from waiting and stays far below any published window.
        self._all = Bucket(per_second, max(1.0, per_second / 5))
        self._per_address, self._limit = per_address, addresses
        self._each: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """The time at which a send to this address may begin."""
        start = now
        if self._per_address is not None:
            start = self._bucket(address, now).take(now)
        return max(start, self._all.take(now))

    def hold(self, until: float) -> None:
        """The provider says that the inbox as a whole is over its limit."""
        self._all.hold(until)

    def _bucket(self, address: str, now: float) -> Bucket:
        assert self._per_address is not None
        bucket = self._each.pop(address, None) or Bucket(self._per_address)
        self._each[address] = bucket
        while len(self._each) > self._limit and next(iter(self._each.values())).idle(now):
            self._each.popitem(last=False)
        return bucket
