"""This file reads what the service heard and what it told, out of a recording or off the running log."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from libs.contracts.envelope import EnvelopeError, Event, decode
from libs.contracts.payloads.assignments import WorkAssigned
from libs.contracts.payloads.conversations import ConversationEvent, ConversationOpened
from libs.contracts.payloads.sla import ClockEvent
from libs.flow.recording import Recording, RecordingError, read
from libs.flow.tail import Tail, Tailed

HEARD = ("conversations", "assignments")
TOLD = "sla"
WITHIN = 120.0
"""Seconds for reading the running log."""


@dataclass(frozen=True)
class Traffic:
    """Events of conversations and of their work, and what was told of their clocks; each once."""

    heard: tuple[Event[ConversationEvent | WorkAssigned], ...]
    told: tuple[ClockEvent, ...]
    end: datetime
    """Until when there are any."""

    @property
    def opened(self) -> frozenset[str]:
        """Conversations of which all is known: their opening is there."""
        return frozenset(
            event.data.conversation_id for event in self.heard if isinstance(event.data, ConversationOpened)
        )


def recorded(path: Path) -> Traffic:
    """A folder of `make record`, or one of its files for all of it. Raises RecordingError."""
    found = read(path, (*HEARD, TOLD), needed=HEARD)
    if not len(found):
        raise RecordingError(f"{path} holds no event of a conversation: record while there is traffic")
    last = max(record.timestamp for topic in found.topics for record in found.all(topic))
    return traffic(_events(found), datetime.fromtimestamp(last / 1000, UTC))


async def from_log(kafka: str, since: timedelta) -> Traffic:
    """The last so long of the running log. Raises RecordingError where the broker is away or nothing is there."""
    found: list[Event[Any]] = []

    def take(tailed: Tailed) -> None:
        found.append(tailed.event)

    tail = Tail(kafka, (*HEARD, TOLD), take, client="sambung-sla-dryrun")
    try:
        async with asyncio.timeout(WITHIN):
            await tail.start(since)
            await tail.caught_up()
    except TimeoutError:
        raise RecordingError(
            f"the log was not read to its end within {WITHIN:g} s; is the broker there?"
        ) from None
    finally:
        await tail.stop()
    if not found:
        raise RecordingError("the log holds no event of a conversation of that time")
    return traffic(found, max(event.envelope.recorded_at or event.envelope.time for event in found))


def traffic(events: Iterable[Event[Any]], end: datetime) -> Traffic:
    """Sorted into heard and told; of an event that is there twice, one."""
    heard, told, seen = list[Event[Any]](), list[ClockEvent](), set[str]()
    for event in events:
        if event.envelope.name in seen:
            continue
        seen.add(event.envelope.name)
        if isinstance(event.data, ConversationEvent | WorkAssigned):
            heard.append(event)
        elif isinstance(event.data, ClockEvent):
            told.append(event.data)
    return Traffic(tuple(heard), tuple(told), end)


def _events(found: Recording) -> Iterator[Event[Any]]:
    """Those that are any, and of a known type: the flow that owns the others keeps them."""
    for topic in found.topics:
        for record in found.all(topic):
            try:
                yield decode(record.key, record.value, record.headers)
            except EnvelopeError:
                continue
