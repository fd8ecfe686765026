"""This file holds what a lane knows between batches, and the changes that one batch makes to it."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from libs.flow.timers import TimerRow, Timers


@dataclass(frozen=True, slots=True)
class EffectRow:
    id: str
    key: str
    seq: int
    name: str
    body: str
    cause: str


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A dead letter, or a record parked behind one. `id` is 0 until the database has numbered it."""

    id: int
    key: str
    state: str
    topic: str
    offset: int
    record_time: int
    record_key: bytes | None
    record_value: bytes | None
    record_headers: str
    reason: str
    detail: str


@dataclass(slots=True)
class Memory:
    """The kernel's state of a lane between batches; equal to its rows, of which later timers are only rows."""

    epoch: int
    next_seq: int
    source: str
    tails: dict[str, int]
    """"<topic>/<partition>" -> sequence of this lane's last event to it."""
    positions: dict[str, int]
    watermarks: dict[tuple[str, str], int]
    timers: Timers
    effects: dict[str, EffectRow]
    parked: dict[str, int]
    """Key -> number of records that wait for a person; the empty key's hold nothing up."""
    outbox: list[int] = field(default_factory=list)
    """First sequences of batches that are acknowledged by the broker and still in the outbox."""
    dead_run: int = 0
    opened: int = 0
    """How often the store was opened anew under this epoch."""
    fired: int = 0
    """Timers handled since the store was opened."""


@dataclass(slots=True)
class Changes:
    """What one batch does, besides the store's rows. Nothing of it is in Memory before the commit."""

    next_seq: int
    positions: dict[str, int] = field(default_factory=dict)
    watermarks: dict[tuple[str, str], int] = field(default_factory=dict)
    tails: dict[str, int] = field(default_factory=dict)
    timers: dict[str, TimerRow | None] = field(default_factory=dict)
    effects: dict[str, EffectRow | None] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    dead: list[DeadRow] = field(default_factory=list)
    replayed: list[DeadRow] = field(default_factory=list)
    outgoing: list[Any] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many records came to which end; counted once the batch is committed."""
    drops: Counter[str] = field(default_factory=Counter)
    fired: int = 0
    """Timers that this batch handled."""


def apply(memory: Memory, changes: Changes) -> None:
    """Make a committed batch's changes the lane's state."""
    memory.next_seq = changes.next_seq
    memory.fired += changes.fired
    memory.positions.update(changes.positions)
    memory.watermarks.update(changes.watermarks)
    memory.tails.update(changes.tails)
    memory.timers.apply(changes.timers)
    for effect_id, row in changes.effects.items():
        if row is None:
            memory.effects.pop(effect_id, None)
        else:
            memory.effects[effect_id] = row
    for dead in changes.dead:
        memory.parked[dead.key] = memory.parked.get(dead.key, 0) + 1
    for dead in changes.replayed:
        left = memory.parked.get(dead.key, 1) - 1
        if left > 0:
            memory.parked[dead.key] = left
        else:
            memory.parked.pop(dead.key, None)


def headers_to_text(headers: Any) -> str:
    """Kafka headers as JSON text; bytes map to code points one to one, so that none is lost."""
    return json.dumps([[name, (value or b"").decode("latin-1")] for name, value in headers])


def headers_from_text(text: str) -> Iterator[tuple[str, bytes]]:
    for name, value in json.loads(text):
        yield name, value.encode("latin-1")
