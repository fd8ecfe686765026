"""This file holds the rules of capacity: what an agent has, and whether one more conversation fits.

An agent holds at most `capacity` units. Of a channel they hold at most its cap, in conversations. A conversation on a
channel that interrupts others may go past the capacity: what it interrupts does not count against it, and while anything
is above the capacity nothing more is given, so that it is exceeded by one conversation at most.
"""

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


NOTHING = Load()
"""The load of who has no work; never changed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent may hold. `caps`: conversations by channel, at most."""

    capacity: int
    caps: Mapping[Channel, int] = field(default_factory=dict)
    interruptible: Interruptible = field(default_factory=dict)

    def shortage(self, load: Load, channel: Channel, units: int, *, interrupting: bool = True) -> str | None:
        """Why one more conversation on `channel` of so many `units` does not fit, in words; None where it does.

        Without `interrupting` it must fit beside all that is there.
        """
        cap = self.caps.get(channel)
        if cap is not None and (held := load.conversations(channel)) >= cap:
            return f"cap {channel} {held}/{cap}"
        if load.units + units <= self.capacity:
            return None
        if interrupting and self.interruptible and load.units <= self.capacity:
            stays = load.units - load.interrupted_by(channel, self.interruptible)
            if stays + units <= self.capacity:
                return None
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
