"""This file keeps the last events with those whom they concern, so that a lost connection goes on where it stopped."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from services.desk.live.cursor import Slot, Vector

EVENTS = 50_000
BYTES = 16 * 1024 * 1024
"""Of encoded events; what holds less of the two decides."""
OVERHEAD = 350
"""Bytes that an entry takes besides its body."""


@dataclass(frozen=True, slots=True)
class Entry:
    slot: Slot
    offset: int
    body: bytes
    """The event as JSON."""
    agents: tuple[str, ...]
    pool: str | None
    conversation_id: str | None


class Ring:
    """The last events in the order in which this process read them, found by agent."""

    def __init__(self, start: Vector, *, events: int = EVENTS, size: int = BYTES) -> None:
        self._floor = start.copy()
        self._most, self._size = events, size
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._of_agent: dict[str, deque[Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.body) + OVERHEAD
        for agent_id in entry.agents:
            self._of_agent.setdefault(agent_id, deque()).append(entry)
        while len(self._entries) > self._most or self._bytes > self._size:
            self._drop_oldest()

    def reaches(self, cursor: Vector) -> bool:
        """Whether every event after the cursor is still here."""
        return cursor.covers(self._floor)

    def after(self, cursor: Vector, *, agent_id: str, pool: str | None) -> Iterator[Entry]:
        """Events after the cursor for one agent, or for all of a pool (`pool` given), in order."""
        own = self._of_agent.get(agent_id, ())
        # Readers of a whole pool are few, and most of the ring is theirs: no index for them.
        entries = (
            own if pool is None else (e for e in self._entries if e.pool == pool or agent_id in e.agents)
        )
        return (e for e in entries if e.offset >= cursor.get(e.slot))

    def _drop_oldest(self) -> None:
        oldest = self._entries.popleft()
        self._bytes -= len(oldest.body) + OVERHEAD
        self._floor.move(oldest.slot, oldest.offset + 1)
        for agent_id in oldest.agents:
            own = self._of_agent[agent_id]
            own.popleft()
            if not own:
                del self._of_agent[agent_id]
