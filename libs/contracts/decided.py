"""This file is the header by which an event says when it was decided, and what had been handled before."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

_FORM = re.compile(
    r"(?P<at>\S+) opened=(?P<opened>[\d.]+) timers=(?P<timers>\d+)(?: effect=(?P<effect>\d+))?(?P<read>(?: [\w-]+=\d+)*)"
)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a flow had handled when it decided something, that something included; enough to do it again in the same order.

    `at` is the processing time. `opened` changes whenever the lane's rows were read anew; `timers` counts those handled
    since. `read` is the next offset of each topic. `effect` numbers the effect whose end was handled; 0: it was none.
    """

    at: datetime
    opened: str
    timers: int
    read: Mapping[str, int] = field(default_factory=dict)
    effect: int = 0

    def __str__(self) -> str:
        offsets = "".join(f" {topic}={offset}" for topic, offset in sorted(self.read.items()))
        effect = f" effect={self.effect}" if self.effect else ""
        return f"{self.at.isoformat()} opened={self.opened} timers={self.timers}{effect}{offsets}"

    @classmethod
    def parse(cls, text: str) -> "Decided":
        """Raises ValueError for a text that is none."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} does not say when something was decided")
        offsets = (pair.split("=") for pair in found["read"].split())
        return cls(
            datetime.fromisoformat(found["at"]),
            found["opened"],
            int(found["timers"]),
            {topic: int(offset) for topic, offset in offsets},
            int(found["effect"] or 0),
        )
