"""This file holds what all lanes of a flow share: limits, where records come from and go to, and how a lane ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from libs.flow.alarms import Alarms
from libs.flow.database import Database
from libs.flow.flow import Flow
from libs.flow.together import Together
from libs.flow.wire import Outgoing
from libs.timesource import TimeSource

if TYPE_CHECKING:
    from libs.flow.lane import Lane


class Lost(Exception):
    """Another process owns the lane now: forget everything, write nothing."""


class Stopped(Exception):
    """Too many records in a row were dead: a bad deploy. The lane does no more until the process is started again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The kernel's times (seconds) and sizes; the times are those under which two prototypes were broken on purpose."""

    batch: int = 500
    lease: float = 2.0
    beat: float = 0.5
    look: float = 0.25
    grace: float = 1.5
    stuck: float = 12.0
    fetch_wait_ms: int = 250
    dead_in_a_row: int = 100
    unsafe: frozenset[str] = field(default_factory=frozenset)
    """`epoch`, `watermark`: checks switched off by the chaos campaign to show that it can fail. Never else."""


class Feed(Protocol):
    """Where a lane's records come from."""

    async def attach(self, lane: "Lane", positions: dict[str, int]) -> None:
        """Begin to offer records from these offsets (0 where a topic is missing), and set the lane's `goals`."""
        ...

    def detach(self, index: int) -> None: ...

    def more(self, index: int) -> None:
        """The lane's queue is short again: go on fetching."""
        ...


class Publishes(Protocol):
    async def publish(self, records: Sequence[Outgoing]) -> None: ...


@dataclass(slots=True)
class Shared:
    """What all lanes of one flow in a process use."""

    flow: Flow
    database: Database
    publisher: Publishes
    feed: Feed
    time: TimeSource
    limits: Limits
    owner: str = ""
    together: Together = field(init=False)
    alarms: Alarms = field(default_factory=Alarms)
    reading_timers: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the lane that reads its next timers."""
    own: frozenset[str] = field(init=False)
    """Topics that the flow both writes and reads."""

    def __post_init__(self) -> None:
        fenced = "epoch" not in self.limits.unsafe
        self.together = Together(self.flow.name, self.database, self.limits.lease, fenced=fenced)
        self.own = frozenset(self.flow.emits.keys() & self.flow.reads.keys())

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Publish a batch's events: what the flow tells itself once the rest is acknowledged. Raises PublishFailed.

        A lane that acts on what another told it would else publish before what had happened already, and a reader of both
        would see an older state last.
        """
        others = [record for record in records if record.topic not in self.own] if self.own else records
        if others:
            await self.publisher.publish(others)
        if len(others) < len(records):
            await self.publisher.publish([record for record in records if record.topic in self.own])


def channel(schema: str) -> str:
    """The NOTIFY channel of a schema's lanes."""
    return f"sambung_{schema}"
