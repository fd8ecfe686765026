"""This file makes the decisions of one lane again, handling its inputs in the order and at the times at which they were handled.

The recording says, with each decision, how far every topic had been read and how many timers had been handled: so it is known
what came before it and what caused it. Inputs that decided nothing lie between two decisions; their order among each other
does not matter to what follows, and they are taken in the order of their times.
"""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge

from libs.contracts.envelope import EnvelopeError, Event, NotAnEvent, decode, decode_envelope
from libs.contracts.payloads.base import Payload
from libs.flow.batch import handlers_of, utc
from libs.flow.flow import Flow
from libs.flow.wire import Incoming
from services.router.replay.decisions import Decision
from services.router.replay.recording import INPUTS, Recording, RecordingError
from services.router.replay.turn import Made, Turning


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
        if target.opened != self._opened:
            if self._opened:
                turn.reopen()
            self._opened, self._fired = target.opened, 0
        pending = {topic: self._until(topic, target.read.get(topic, 0)) for topic in INPUTS}
        timers = target.timers - self._fired
        self._fired = target.timers
        last = next((p.pop() for p in pending.values() if p and _name(p[-1]) == decision.cause), None)
        spare = timers if last is not None else timers - 1
        since = turn.now
        for record in merge(*pending.values(), key=lambda r: r.timestamp):
            came = utc(record.timestamp)
            while spare > 0 and (due := turn.next_due()) is not None and due <= came:
                turn.fire(_between(since, due, target.at))
                spare -= 1
            self._handle(record, _between(since, came, target.at))
        for _ in range(spare):
            turn.fire(_between(since, turn.next_due() or target.at, target.at))
        if last is not None:
            self._handle(last, target.at)
        elif timers > 0:
            turn.fire(target.at)
        made, turn.made = turn.made, []
        return made

    def _turning(self) -> Turning:
        if self._turn is None:
            raise RecordingError(
                f"lane {self.index} decided something, but nothing that it read was recorded: record "
                f"{' and '.join(INPUTS)} too"
            )
        return self._turn

    def _until(self, topic: str, offset: int) -> list[Incoming]:
        """The records of the topic up to this offset that were not taken yet."""
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
        return list(records[begin:end])

    def _handle(self, record: Incoming, now: datetime) -> None:
        event = self._fresh(record)
        handler = self._handlers.get((record.topic, event.envelope.type)) if event is not None else None
        if handler is None:
            return
        turn = self._turning()
        turn.now = now
        handler(turn, event)
        turn.store.committed()

    def _fresh(self, record: Incoming) -> Event[Payload] | None:
        """The event, unless it is none, or was handled before, or lies behind a gap and comes again: as the kernel reads."""
        try:
            event = decode(record.key, record.value, record.headers)
        except EnvelopeError:
            return None
        envelope, slot = event.envelope, (record.topic, event.envelope.source)
        if not envelope.sequence:
            known = envelope.name in self._seen
            self._seen.add(envelope.name)
            return None if known else event
        mark = self._marks.get(slot, 0)
        if envelope.sequence <= mark or envelope.previous != mark:
            return None
        self._marks[slot] = envelope.sequence
        return event


def _name(record: Incoming) -> str | None:
    try:
        return decode_envelope(record.headers).name
    except NotAnEvent:
        return None


def _between(least: datetime, wanted: datetime, most: datetime) -> datetime:
    return min(max(least, wanted), most)


def lanes(flow: Flow, recording: Recording) -> Iterator[Lane]:
    for lane in recording.lanes:
        yield Lane(flow, recording, lane)
