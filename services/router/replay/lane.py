"""This file makes the decisions of one lane again, handling its inputs in the order and at the times at which they were handled.

The recording says, with each decision, how far every topic had been read and how many timers had been handled: so it is known
what came before it and what caused it. Inputs that decided nothing lie between two decisions; their order among each other
does not matter to what follows, and they are taken in the order of their times.
"""

from datetime import datetime
from heapq import merge
from typing import NamedTuple

from libs.contracts.decided import Decided
from libs.contracts.envelope import EnvelopeError, Event, decode
from libs.contracts.payloads.base import Payload
from libs.flow.batch import handlers_of, utc
from libs.flow.flow import Flow
from libs.flow.wire import Incoming
from services.router.replay.decisions import Decision
from services.router.replay.recording import INPUTS, Recording, RecordingError
from services.router.replay.turn import Made, Turning


class Read(NamedTuple):
    """An event that the flow handled, and when the broker had it."""

    topic: str
    came: datetime
    event: Event[Payload]

    @property
    def name(self) -> str:
        return self.event.envelope.name


class Lane:
    """One lane, from the beginning of its topics. `again(decision)` must be called for each decision, in their order."""

    def __init__(self, flow: Flow, recording: Recording, lane: int) -> None:
        self.index = lane
        self._handlers = handlers_of(flow)
        self._inputs = {topic: recording.of(topic, lane) for topic in INPUTS}
        for topic, records in self._inputs.items():
            if records and records[0].offset:
                raise RecordingError(
                    f"{topic}/{lane} begins at offset {records[0].offset}: what was waiting or held before is not known. "
                    "Record from the beginning of the log (a new installation, or within its retention)"
                )
        self._taken = dict.fromkeys(INPUTS, 0)
        first = [utc(records[0].timestamp) for records in self._inputs.values() if records]
        self._turn = Turning(flow, lane, min(first)) if first else None
        self._opened, self._fired = "", 0
        self._seen: set[str] = set()
        self._marks: dict[tuple[str, str], int] = {}

    @property
    def left(self) -> int:
        """Inputs that no recorded decision came after."""
        return sum(len(records) - self._taken[topic] for topic, records in self._inputs.items())

    def again(self, decision: Decision) -> list[Made]:
        """What the flow emits from after the last decision up to and with this one."""
        turn, target = self._turning(), decision.decided
        pending = {topic: self._until(topic, target.read.get(topic, 0)) for topic in INPUTS}
        last = next((p.pop() for p in pending.values() if p and p[-1].name == decision.cause), None)
        reads = list(merge(*pending.values(), key=lambda r: r.came))
        if self._opened in ("", target.opened):
            self._go_on(reads, last, target)
        else:
            self._begin_anew(reads, last, decision)
        self._opened, self._fired = target.opened, target.timers
        made, turn.made = turn.made, []
        return made

    def _go_on(self, reads: list[Read], last: Read | None, target: Decided) -> None:
        """Handle these and as many timers as the count grew by; what decides is `last`, or else the last of the timers."""
        turn, timers = self._turning(), target.timers - self._fired
        spare, since = timers if last is not None else timers - 1, turn.now
        for read in reads:
            while spare > 0 and (due := turn.next_due()) is not None and due <= read.came:
                turn.fire(_between(since, due, target.at))
                spare -= 1
            self._handle(read, _between(since, read.came, target.at))
        for _ in range(spare):
            turn.fire(_between(since, turn.next_due() or target.at, target.at))
        if last is not None:
            self._handle(last, target.at)
        elif timers > 0:
            turn.fire(target.at)

    def _begin_anew(self, reads: list[Read], last: Read | None, decision: Decision) -> None:
        """The lane went to another process, or began anew after a fault, and with it the count of timers.

        Those that were handled before, without a decision, are not counted anywhere: timers are taken as they were due.
        The one that decides is known by what set it.
        """
        turn, target = self._turning(), decision.decided
        turn.reopen()
        since = turn.now
        for read in [*reads, *([last] if last is not None else [])]:
            while (due := turn.next_due()) is not None and due <= read.came:
                turn.fire(_between(since, due, target.at))
            self._handle(read, target.at if read is last else _between(since, read.came, target.at))
        if last is None:
            while (due := turn.next_due()) is not None and due <= target.at:
                if turn.next_cause() == decision.cause:
                    turn.fire(target.at)
                    return
                turn.fire(_between(since, due, target.at))

    def _turning(self) -> Turning:
        if self._turn is None:
            raise RecordingError(
                f"lane {self.index} decided something, but nothing that it read was recorded: record "
                f"{' and '.join(INPUTS)} too"
            )
        return self._turn

    def _until(self, topic: str, offset: int) -> list[Read]:
        """What the flow was given of the topic up to this offset and since the last call."""
        records, begin = self._inputs[topic], self._taken[topic]
        end = begin
        while end < len(records) and records[end].offset < offset:
            end += 1
        if offset and (end == 0 or records[end - 1].offset < offset - 1):
            raise RecordingError(
                f"{topic}/{self.index} was read up to offset {offset}, but is recorded only to "
                f"{records[end - 1].offset + 1 if end else 0}: record again, {topic} whole"
            )
        self._taken[topic] = end
        return [read for record in records[begin:end] if (read := self._fresh(record)) is not None]

    def _handle(self, read: Read, now: datetime) -> None:
        turn = self._turning()
        turn.now, turn.cause = now, read.name
        self._handlers[read.topic, read.event.envelope.type](turn, read.event)
        turn.store.committed()

    def _fresh(self, record: Incoming) -> Read | None:
        """The event, unless it is none, or was handled before, or lies behind a gap and comes again: as the kernel reads."""
        try:
            event = decode(record.key, record.value, record.headers)
        except EnvelopeError:
            return None
        envelope, slot = event.envelope, (record.topic, event.envelope.source)
        if envelope.sequence:
            mark = self._marks.get(slot, 0)
            if envelope.sequence <= mark or envelope.previous != mark:
                return None
            self._marks[slot] = envelope.sequence
        elif envelope.name in self._seen:
            return None
        self._seen.add(envelope.name)
        if (record.topic, envelope.type) not in self._handlers:
            return None
        return Read(record.topic, utc(record.timestamp), event)


def _between(least: datetime, wanted: datetime, most: datetime) -> datetime:
    return min(max(least, wanted), most)
