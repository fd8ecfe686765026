"""This file says what happens to a batch: sort out what was seen, decode, hand each item to its handler, collect what it does.

    records ─▶ watermark / first-hand ─▶ decode ─▶ parked? ─▶ handler ─▶ Changes + the store's rows ─▶ one statement

Nothing here touches Memory: a batch that fails is simply forgotten and taken again.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

import structlog

from libs.contracts.decided import Decided
from libs.contracts.envelope import (
    MAX_VALUE_BYTES,
    BadPayload,
    Envelope,
    Event,
    NotAnEvent,
    UnknownType,
    decode_envelope,
    decode_payload,
    encode_headers,
    encode_value,
)
from libs.contracts.payloads.base import Payload
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.flow.flow import Dead, Drop, Effect, Fired, Flow, Performed, Retry, Timer, UndeclaredOutput
from libs.flow.memory import Changes, DeadRow, EffectRow, Memory, headers_from_text, headers_to_text
from libs.flow.store import Store
from libs.flow.timers import TimerRow
from libs.flow.wire import Incoming, Outgoing, Record

log = structlog.get_logger(__name__)

TIMER_TOPIC, RESULT_TOPIC = "(timer)", "(effect)"
"""What stands for the topic in a dead letter that is a timer or the end of an effect."""


class OutputTooLarge(ValueError):
    """An event that the broker would refuse; refused before the transaction, since after it, it would block the outbox."""


class Poison(Exception):
    """A handler raised: the batch must be taken again with this item marked dead."""

    def __init__(self, place: "Place", fault: Exception, reason: str = "bug") -> None:
        super().__init__(repr(fault))
        self.place, self.fault, self.reason = place, fault, reason

    @property
    def told(self) -> str:
        """For people."""
        return f"{type(self.fault).__name__}: {self.fault}" if self.reason == "bug" else str(self.fault)


Place = tuple[str, int]
"""What names an item within its lane: (topic, offset), or ((timer), hash) and the like."""


@dataclass(slots=True)
class Entry:
    """One thing of a batch on its way to its handler."""

    place: Place
    key: str
    item: Any = None
    handler: Callable[[Any, Any], Any] | None = None
    cause: str = ""
    traceparent: str = ""
    workspace: str = ""
    recorded_at: datetime | None = None
    record: Record | None = None
    digest: UUID | None = None
    dead: str = ""
    """Reason why it cannot be handled, found before any handler saw it."""
    detail: str = ""
    parks: bool = True
    replay: DeadRow | None = None
    timer: TimerRow | None = None
    effect: EffectRow | None = None


class Working:
    """The Turn that handlers see: collects the changes of one batch."""

    def __init__(self, flow: Flow, lane: int, store: Store, memory: Memory, now: datetime) -> None:
        self.flow, self.lane, self.store, self.now = flow, lane, store, now
        self._memory = memory
        self._partitions = topic_map().partitions
        self._where = topic_of_type()
        self._declared = _declared(flow)
        self.changes = Changes(next_seq=memory.next_seq)
        self.entry: Entry | None = None
        self._read = dict(memory.positions)
        self._decided = ""

    def begin(self, entry: Entry) -> None:
        """From here on this entry is what is handled."""
        self.entry, self._decided = entry, ""
        if entry.record is not None and entry.replay is None:
            self._read[entry.place[0]] = entry.record.offset + 1
        elif entry.timer is not None:
            self.changes.fired += 1

    def _when_decided(self) -> str:
        if self.flow.replayable and not self._decided:
            memory = self._memory
            opened = f"{memory.epoch}.{memory.opened}"
            # The number of an effect tells its end from those of others in the same batch, and from a timer before it.
            effect = self.entry.effect.seq if self.entry is not None and self.entry.effect is not None else 0
            fired = memory.fired + self.changes.fired
            self._decided = str(Decided(self.now, opened, fired, self._read, effect))
        return self._decided

    def emit(self, payload: Payload, *, key: str, at: datetime, correlation: str = "") -> None:
        if type(payload) not in self._declared:
            raise UndeclaredOutput(f"flow {self.flow.name} does not declare that it writes {payload.type}")
        topic, raw_key = self._where[payload.type].name, key.encode()
        value = encode_value(payload)
        if len(value) > MAX_VALUE_BYTES:
            raise OutputTooLarge(f"{payload.type} takes {len(value)} bytes, {MAX_VALUE_BYTES} are allowed")
        partition = partition_of(raw_key, self._partitions)
        slot, changes, entry = f"{topic}/{partition}", self.changes, self.entry
        previous = changes.tails.get(slot) or self._memory.tails.get(slot, 0)
        sequence = changes.next_seq
        envelope = Envelope(
            id=str(sequence),
            source=self._memory.source,
            type=payload.type,
            time=at,
            subject=key,
            correlation_id=correlation,
            causation_id=entry.cause if entry else "",
            workspace=entry.workspace if entry else "",
            recorded_at=(entry.recorded_at if entry else None) or self.now,
            traceparent=entry.traceparent if entry else "",
            decided=self._when_decided(),
            sequence=sequence,
            previous=previous,
        )
        changes.next_seq = changes.tails[slot] = sequence
        changes.next_seq += 1
        changes.outgoing.append(Outgoing(topic, partition, raw_key, value, encode_headers(envelope)))

    def set_timer(self, timer: Timer, *, id: str, key: str, due: datetime) -> None:
        cause = self.entry.cause if self.entry else ""
        self.changes.timers[id] = TimerRow(id, key, due, timer.name, timer.model_dump_json(), cause)

    def cancel_timer(self, id: str) -> None:
        if id in self.changes.timers or self._memory.timers.may_be_set(id):
            self.changes.timers[id] = None

    def perform(self, effect: Effect, *, id: str, key: str) -> None:
        if id in self._memory.effects or self.changes.effects.get(id) is not None:
            return
        cause = self.entry.cause if self.entry else ""
        seq = self.changes.next_seq
        self.changes.next_seq += 1
        self.changes.effects[id] = EffectRow(id, key, seq, effect.name, effect.model_dump_json(), cause)


_declared_cache: dict[int, tuple[Flow, frozenset[type[Payload]]]] = {}


def _declared(flow: Flow) -> frozenset[type[Payload]]:
    known = _declared_cache.get(id(flow))
    if known is None or known[0] is not flow:
        known = (flow, frozenset(model for models in flow.emits.values() for model in models))
        _declared_cache[id(flow)] = known
    return known[1]


@dataclass(slots=True)
class Intake:
    """Turns records, due timers, ended effects and replays into entries, in the order in which they are to be handled."""

    flow: Flow
    memory: Memory
    lenient: set[str] = field(default_factory=set)
    """Topics whose head was lost to retention: there a gap in a source's chain is taken once, with an alarm."""
    watermarks_on: bool = True
    """Off only in the chaos campaign that shows that watermarks are needed."""

    def records(self, records: Sequence[Record], changes: Changes) -> list[Entry]:
        entries = []
        for record in records:
            changes.positions[record.topic] = record.offset + 1
            entry = self._record(record, changes)
            if entry is not None:
                entries.append(entry)
        return entries

    def _record(self, record: Record, changes: Changes) -> Entry | None:
        place = (record.topic, record.offset)
        key = (record.key or b"").decode("utf-8", "replace").replace("\0", "�")
        try:
            envelope = decode_envelope(record.headers)
        except NotAnEvent as fault:
            # Nobody of ours wrote this, so nothing of its key's order depends on it: it parks nothing.
            return Entry(place, key, record=record, dead=fault.reason, detail=str(fault), parks=False)
        if envelope.sequence and self.watermarks_on and not self._advances(record.topic, envelope, changes):
            return None
        handler = self._handler(record.topic, envelope.type)
        if handler is None:
            changes.outcomes["undeclared"] += 1
            return None
        entry = Entry(
            place,
            key,
            handler=handler,
            cause=envelope.name.replace("\0", "�"),  # kept with timers and effects; Postgres takes no NUL
            traceparent=envelope.traceparent,
            workspace=envelope.workspace,
            recorded_at=envelope.recorded_at,
            record=record,
        )
        if not envelope.sequence:
            entry.digest = digest_of(self.flow.name, envelope)
        try:
            entry.item = Event(envelope, decode_payload(envelope.type, record.value), key)
        except (BadPayload, UnknownType) as fault:
            entry.dead, entry.detail = fault.reason, str(fault)
        return entry

    def _handler(self, topic: str, type_name: str) -> Callable[[Any, Any], Any] | None:
        return handlers_of(self.flow).get((topic, type_name))

    def _advances(self, topic: str, envelope: Envelope, changes: Changes) -> bool:
        """The chained watermark: true where this event is the next of its source; then the mark moves."""
        slot = (topic, envelope.source)
        mark = changes.watermarks.get(slot)
        if mark is None:
            mark = self.memory.watermarks.get(slot, 0)
        if envelope.sequence <= mark:
            changes.outcomes["duplicate"] += 1
            return False
        if envelope.previous != mark and not topic_map()[topic].compact:
            if topic not in self.lenient or envelope.previous < mark:
                changes.outcomes["gap"] += 1
                log.error(
                    "gap in a source's chain: dropped, its source will publish again",
                    flow=self.flow.name,
                    topic=topic,
                    source=envelope.source,
                    sequence=envelope.sequence,
                    previous=envelope.previous,
                    watermark=mark,
                )
                return False
            log.error(
                "events before this one were lost to retention",
                topic=topic,
                source=envelope.source,
                watermark=mark,
            )
        changes.watermarks[slot] = envelope.sequence
        return True

    def timer(self, row: TimerRow) -> Entry:
        entry = Entry((TIMER_TOPIC, _hash(row.id, str(row.due))), row.key, cause=row.cause, timer=row)
        kind = self.flow.kinds.get(row.name)
        if kind is None:
            entry.dead, entry.detail = "unknown_timer", f"timer {row.name!r} has no handler in this build"
            return entry
        entry.handler = self.flow.timers[kind]
        try:
            entry.item = self._fired(kind, row)
        except ValueError as fault:
            entry.dead, entry.detail = "bad_timer", str(fault)
        return entry

    def soon(self, rows: Iterable[TimerRow]) -> Iterator[Fired[Any]]:
        """What timers will be when they fire; without those that cannot be handled."""
        for row in rows:
            kind = self.flow.kinds.get(row.name)
            if kind is not None:
                with suppress(ValueError):
                    yield self._fired(kind, row)

    @staticmethod
    def _fired(kind: type[Timer], row: TimerRow) -> Fired[Any]:
        """Raises ValueError where the row's body is none of this kind."""
        return Fired(row.id, row.key, row.due, _read_timer(kind, row.body))

    def performed(self, done: Performed, row: EffectRow) -> Entry:
        entry = Entry((RESULT_TOPIC, row.seq), row.key, item=done, cause=row.cause, effect=row)
        entry.handler = self.flow.results[type(done.effect)]
        return entry


@lru_cache(maxsize=8192)
def _read_timer(kind: type[Timer], body: str) -> Timer:
    """Once, of a timer that is looked at ahead and fires soon after."""
    return kind.model_validate_json(body)


def digest_of(flow: str, envelope: Envelope) -> UUID:
    """Names a first-hand event for one flow: 128 bits of BLAKE2b over flow, source and id."""
    raw = "\0".join((flow, envelope.source, envelope.id)).encode()
    return UUID(bytes=blake2b(raw, digest_size=16).digest())


def _hash(*parts: str) -> int:
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=7).digest())


_handlers_cache: dict[int, tuple[Flow, dict[tuple[str, str], Callable[[Any, Any], Any]]]] = {}


def handlers_of(flow: Flow) -> Mapping[tuple[str, str], Callable[[Any, Any], Any]]:
    """(topic, wire type) -> handler."""
    known = _handlers_cache.get(id(flow))
    if known is None or known[0] is not flow:
        table = {
            (topic, model.type): handler
            for topic, models in flow.reads.items()
            for model, handler in models.items()
        }
        known = (flow, table)
        _handlers_cache[id(flow)] = known
    return known[1]


def without_seen(entries: list[Entry], changes: Changes, known: Container[UUID]) -> list[Entry]:
    """Leave out first-hand events that are known, and repeats within the batch; note the others as seen by this batch.

    What is not known here may still have been handled: the batch's statement finds out.
    """
    fresh, here = [], set[UUID]()
    for entry in entries:
        if entry.digest is not None:
            if entry.digest in known or entry.digest in here:
                changes.outcomes["duplicate"] += 1
                continue
            here.add(entry.digest)
        fresh.append(entry)
    changes.seen = list(here)
    return fresh


def run(working: Working, entries: Sequence[Entry], poison: Mapping[Place, str]) -> None:
    """Hand each entry to its handler; keep what is dead or waits behind a dead one. Raises Poison, Retry."""
    changes = working.changes
    waiting = dict(working._memory.parked)
    for entry in entries:
        reason, outcome = poison.get(entry.place, entry.dead), None
        if entry.timer is not None and not entry.replay:
            if entry.timer.id in changes.timers:
                continue  # an item before it in this batch moved or cancelled it
            changes.timers[entry.timer.id] = None
        if entry.effect is not None and not entry.replay:
            changes.effects[entry.effect.id] = None
        if entry.replay is None and entry.parks and entry.key and waiting.get(entry.key):
            _keep(changes, entry, "parked", "behind_dead", "an earlier record of this key is dead")
            changes.outcomes["parked"] += 1
            continue
        if not reason:
            outcome = _handle(working, entry)
            if isinstance(outcome, Dead):
                reason, entry.detail = "refused", outcome.reason
            elif isinstance(outcome, Drop):
                changes.drops[outcome.reason] += 1
                changes.outcomes["dropped"] += 1
        if reason:
            if entry.replay is not None:
                raise Poison(entry.place, ValueError(entry.detail), reason)
            _keep(
                changes,
                entry,
                "dead",
                *((reason, entry.detail) if not poison.get(entry.place) else ("bug", reason)),
            )
            changes.outcomes["dead"] += 1
            if entry.parks and entry.key:
                waiting[entry.key] = waiting.get(entry.key, 0) + 1
            continue
        if entry.replay is not None:
            changes.replayed.append(entry.replay)
            waiting[entry.key] = waiting.get(entry.key, 1) - 1
        if not isinstance(outcome, Drop):
            changes.outcomes["handled"] += 1


def _handle(working: Working, entry: Entry) -> Any:
    working.begin(entry)
    try:
        assert entry.handler is not None
        return entry.handler(working, entry.item)
    except Retry:
        raise
    except Exception as fault:
        raise Poison(entry.place, fault) from fault
    finally:
        working.entry = None


def _keep(changes: Changes, entry: Entry, state: str, reason: str, detail: str) -> None:
    key = entry.key if entry.parks else ""
    topic, offset = entry.place
    if entry.record is not None:
        record = entry.record
        kept = (record.timestamp, record.key, record.value, headers_to_text(record.headers))
    else:
        row = entry.timer or entry.effect
        kept = (
            0,
            None,
            row.body.encode() if row else b"",
            json.dumps(asdict(row), default=str) if row else "{}",
        )
    changes.dead.append(DeadRow(0, key, state, topic, offset, *kept, reason, detail[:2000]))


def replayed(intake: Intake, dead: DeadRow, changes: Changes) -> Entry | None:
    """The entry of a dead letter that is tried again. An effect is simply asked for again, which needs no handler."""
    if dead.topic == TIMER_TOPIC:
        raw = json.loads(dead.record_headers)
        entry = intake.timer(TimerRow(**raw | {"due": datetime.fromisoformat(raw["due"])}))
    elif dead.topic == RESULT_TOPIC:
        row = EffectRow(**json.loads(dead.record_headers))
        changes.effects[row.id] = row
        changes.replayed.append(dead)
        return None
    else:
        record = Incoming(
            dead.topic,
            0,
            dead.offset,
            dead.record_time,
            dead.record_key,
            dead.record_value,
            list(headers_from_text(dead.record_headers)),
        )
        aside = Changes(next_seq=0)
        found = replace(intake, watermarks_on=False)._record(record, aside)
        if found is None:  # its type is not read any more
            changes.replayed.append(dead)
            return None
        entry = found
        entry.digest = None
    entry.replay = dead
    return entry


def utc(milliseconds: int) -> datetime:
    """A broker's record time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
