"""This file makes the decisions of one lane again, handling its inputs in the order and at the times at which they were handled.

The recording says, with each decision, how far every topic had been read and how many timers had been handled: so it is known
what came before it and what caused it. Inputs that decided nothing lie between two decisions; their order among each other
does not matter to what follows, and they are taken in the order of their times.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from heapq import merge
from typing import NamedTuple

from libs.contracts.decided import Decided
from libs.contracts.envelope import EnvelopeError, Event, decode, decode_envelope
from libs.contracts.payloads.base import Payload
from libs.flow.batch import handlers_of, utc
from libs.flow.flow import Flow
from libs.flow.recording import Recording, RecordingError
from libs.flow.wire import Incoming
from services.router.assignment.effects import AskHook, Heard
from services.router.replay.answers import answered
from services.router.replay.decisions import Decision
from services.router.replay.recording import READ
from services.router.replay.rows import LaneRows
from services.router.replay.turn import Made, Turning

EARLIEST = datetime.min.replace(tzinfo=UTC)


class Read(NamedTuple):
    """An event that the flow handled, and when the broker had it."""

    topic: str
    came: datetime
    event: Event[Payload]

    @property
    def name(self) -> str:
        return self.event.envelope.name


class Answered(NamedTuple):
    """What an allocation hook had answered when a decision was made, by which it is made again."""

    name: str
    """Of the event for which it was asked."""
    came: datetime
    asked: AskHook
    heard: Heard


class Lane:
    """One lane, from the beginning of its topics or from what the tables held later. `again(decision)` must be called for each decision, in their order."""

    def __init__(self, flow: Flow, recording: Recording, lane: int, rows: LaneRows | None = None) -> None:
        self.index = lane
        self._begin = dict(rows.positions) if rows is not None else {}
        self._handlers = handlers_of(flow)
        self._inputs = {
            topic: tuple(r for r in recording.of(topic, lane) if r.offset >= self._begin.get(topic, 0))
            for topic in READ
        }
        for topic, records in self._inputs.items():
            if records and records[0].offset > self._begin.get(topic, 0):
                raise RecordingError(
                    f"{topic}/{lane} begins at offset {records[0].offset}: what was waiting or held before is not known. "
                    "Record from the beginning of the log, or write `python -m services.router.replay.rows` first"
                )
        self._taken = dict.fromkeys(READ, 0)
        first = [utc(records[0].timestamp) for records in self._inputs.values() if records]
        self._turn = Turning(flow, lane, min(first)) if first else None
        self.answers = 0
        """Decisions that followed from what an allocation hook answered."""
        self._opened: str | None = None if rows is not None else ""
        self._fired = 0
        self._seen: set[str] = set()
        self._marks: dict[tuple[str, str], int] = {}
        if rows is not None:
            self._seen = {name for topic in READ for name in self._handled_before(recording.of(topic, lane))}
            self._marks = {(topic, source): sequence for topic, source, sequence in rows.watermarks}
            self._turn = self._turn or Turning(flow, lane, EARLIEST)
            self._turn.adopt(rows)

    @property
    def left(self) -> int:
        """Inputs that no recorded decision came after."""
        return sum(len(records) - self._taken[topic] for topic, records in self._inputs.items())

    def again(self, decision: Decision) -> list[Made]:
        """What the flow emits from after the last decision up to and with this one."""
        turn, target = self._turning(), decision.decided
        pending = {topic: self._until(topic, target.read.get(topic, 0)) for topic in READ}
        last: Read | Answered | None = self._answer(decision) or next(
            (p.pop() for p in pending.values() if p and p[-1].name == decision.cause), None
        )
        reads = list(merge(*pending.values(), key=lambda r: r.came))
        if self._opened in ("", target.opened):
            self._go_on(reads, last, target)
        else:
            self._begin_anew(reads, last, decision)
        self._opened, self._fired = target.opened, target.timers
        made, turn.made = turn.made, []
        turn.asked.clear()
        return made

    def _answer(self, decision: Decision) -> Answered | None:
        found = answered(decision.events)
        if found is None:
            return None
        self.answers += 1
        return Answered(decision.cause, decision.decided.at, *found)

    def _go_on(self, reads: list[Read], last: Read | Answered | None, target: Decided) -> None:
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

    def _begin_anew(self, reads: list[Read], last: Read | Answered | None, decision: Decision) -> None:
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

    def _handled_before(self, records: Sequence[Incoming]) -> Iterator[str]:
        """Names of what lies before the beginning: a command that comes again after it is known."""
        for record in records:
            if record.offset < self._begin.get(record.topic, 0):
                with suppress(EnvelopeError):
                    yield decode_envelope(record.headers).name

    def _turning(self) -> Turning:
        if self._turn is None:
            raise RecordingError(
                f"lane {self.index} decided something, but nothing that it read was recorded: record "
                f"{' and '.join(READ)} too"
            )
        return self._turn

    def _until(self, topic: str, offset: int) -> list[Read]:
        """What the flow was given of the topic up to this offset and since the last call."""
        records, begin = self._inputs[topic], self._taken[topic]
        end = begin
        while end < len(records) and records[end].offset < offset:
            end += 1
        if offset > self._begin.get(topic, 0) and (end == 0 or records[end - 1].offset < offset - 1):
            raise RecordingError(
                f"{topic}/{self.index} was read up to offset {offset}, but is recorded only to "
                f"{records[end - 1].offset + 1 if end else 0}: record again, {topic} whole"
            )
        self._taken[topic] = end
        return [read for record in records[begin:end] if (read := self._fresh(record)) is not None]

    def _handle(self, what: Read | Answered, now: datetime) -> None:
        turn = self._turning()
        turn.now, turn.cause = now, what.name
        if isinstance(what, Answered):
            turn.answer(what.asked, what.heard)
        else:
            self._handlers[what.topic, what.event.envelope.type](turn, what.event)
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
