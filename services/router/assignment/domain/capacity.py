"""This file holds the rules of capacity: what an agent has, and whether one more conversation fits.

An agent holds at most `capacity` units. Of a channel they hold at most its cap, in conversations. A conversation on a
channel that interrupts others may go past the capacity: what it interrupts does not count against it, and while anything
is above the capacity nothing more is given, so that it is exceeded by one conversation at most.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.contracts.vocabulary import Channel

Interruptible = Mapping[Channel, frozenset[Channel]]
"""Channel -> the channels whose conversations may interrupt one on it."""


@dataclass(slots=True)
class Share:
    """What the conversations on one channel take."""

    units: int = 0
    conversations: int = 0


@dataclass(slots=True)
class Load:
    """What is offered to an agent, held, or wrapped up, in units; released work takes none."""

    units: int = 0
    shares: dict[Channel, Share] = field(default_factory=dict)

    def add(self, channel: Channel, units: int) -> None:
        self.units += units
        share = self.shares.setdefault(channel, Share())
        share.units += units
        share.conversations += 1

    def remove(self, channel: Channel, units: int) -> None:
        self.units -= units
        share = self.shares[channel]
        share.units -= units
        share.conversations -= 1
        if not share.conversations:
            del self.shares[channel]

    def interrupted_by(self, channel: Channel, rules: Interruptible) -> int:
        """Units of work that a conversation on this channel may interrupt."""
        return sum(s.units for c, s in self.shares.items() if channel in rules.get(c, ()))

    def conversations(self, channel: Channel) -> int:
        share = self.shares.get(channel)
        return share.conversations if share else 0


UNCAPPED = sys.maxsize
NOTHING = Load()
"""The load of who has no work; never changed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent may hold. `caps`: conversations by channel, at most."""

    capacity: int
    caps: Mapping[Channel, int] = field(default_factory=dict)
    interruptible: Interruptible = field(default_factory=dict)

    def fits(self, load: Load, channel: Channel, units: int, *, interrupting: bool = True) -> bool:
        """Whether one more conversation on `channel` of so many `units` fits.

        Without `interrupting` it must fit beside all that is there.
        """
        # First the common case: an explanation asks this of dozens of agents.
        if not self.caps and load.units + units <= self.capacity:
            return True
        if self.caps and load.conversations(channel) >= self.caps.get(channel, UNCAPPED):
            return False
        if load.units + units <= self.capacity:
            return True
        if not (interrupting and self.interruptible) or load.units > self.capacity:
            return False
        return load.units - load.interrupted_by(channel, self.interruptible) + units <= self.capacity

    def shortage(self, load: Load, channel: Channel, units: int) -> str | None:
        """Why one more conversation does not fit, in words; None where it does."""
        if self.fits(load, channel, units):
            return None
        cap, held = self.caps.get(channel, UNCAPPED), load.conversations(channel)
        if held >= cap:
            return f"cap {channel} {held}/{cap}"
        taken = f"capacity {load.units}/{self.capacity}"
        return f"{taken}, {units} needed" if units > 1 else taken

    def may_fit_more(self, load: Load) -> bool:
        """False only where nothing whatever fits: a quick look before the rule itself."""
        if load.units < self.capacity:
            return True
        return (
            bool(self.interruptible)
            and load.units == self.capacity > 0
            and not (self.interruptible.keys().isdisjoint(load.shares))
        )
