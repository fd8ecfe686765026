"""This file says what a flow is: the table from event type to handler, and what a handler may do."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.base import Payload, Value
from libs.contracts.topics import topic_map, topic_of_type
from libs.flow.store import Store

S = TypeVar("S", bound=Store)
T = TypeVar("T", bound="Timer")


class Timer(Value):
    """What a flow wants to be reminded of. A subclass sets `name`, which is how it is kept in the database."""

    name: ClassVar[str]


class Effect(Value):
    """A deed outside the system (an HTTP call), kept until its result has been handled.

    It is performed after the transaction that asked for it, at least once: after a crash it is performed again with
    `Performing.again` true. Effects of one key are performed one after another, in the order they were asked for.
    """

    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Fired(Generic[T]):
    """A timer that is due. `id` and `key` are those it was set with; `due_at` is when it was due, not when it was seen."""

    id: str
    key: str
    due_at: datetime
    timer: T


@dataclass(frozen=True, slots=True)
class Performing:
    """An effect about to be performed. `again`: an earlier try may have been made and not recorded."""

    id: str
    key: str
    effect: Any
    again: bool


@dataclass(frozen=True, slots=True)
class Performed:
    """The end of an effect: what the performer returned."""

    id: str
    key: str
    effect: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How handling ended. Handlers return None (done) or one of these."""


@dataclass(frozen=True, slots=True)
class Drop(Outcome):
    """Nothing to do, counted under `reason` (a stable word)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead(Outcome):
    """This record can never be handled. It is kept with the reason; later records of its key wait behind it."""

    reason: str


class Retry(Exception):
    """Raise for a fault that is not the record's (a store or service is away). The lane pauses and takes the batch again."""

    def __init__(self, reason: str, after: float = 0.5) -> None:
        super().__init__(reason)
        self.after = after


class Turn(Protocol[S]):  # type: ignore[misc]
    """All that a handler may read and do while it handles one item. Nothing takes effect before the batch commits."""

    @property
    def store(self) -> S:
        """The lane's rows; what this batch's keys need is loaded."""
        ...

    @property
    def now(self) -> datetime:
        """Processing time of this batch, aware UTC. Facts are stamped with event time, not with this."""
        ...

    @property
    def lane(self) -> int: ...

    def emit(self, payload: Payload, *, key: str, at: datetime, correlation: str = "") -> None:
        """Publish after commit, to the one topic that carries this type. Raises UndeclaredOutput where the flow's `emits` lacks it."""
        ...

    def set_timer(self, timer: Timer, *, id: str, key: str, due: datetime) -> None:
        """Set, or move, the timer with this id (unique in the flow). Fires once, also when `due` is past."""
        ...

    def cancel_timer(self, id: str) -> None:
        """Forget a timer; no error where there is none."""
        ...

    def perform(self, effect: Effect, *, id: str, key: str) -> None:
        """Have an effect performed after commit. The id is unique in the flow; asking twice for one id is once."""
        ...


EventHandler = Callable[[Any, Event[Any]], Outcome | None]
"""(turn, event) -> outcome"""
TimerHandler = Callable[[Any, Fired[Any]], Outcome | None]
"""(turn, fired) -> outcome"""
ResultHandler = Callable[[Any, Performed], Outcome | None]
"""(turn, performed) -> outcome"""
Performer = Callable[[Performing], Awaitable[Any]]
"""Does the deed and returns its result. It must not raise for a refusal: that is a result. What it raises is tried again with back-off."""

Item = Event[Any] | Fired[Any] | Performed
"""What a batch is made of."""


class FlowError(ValueError):
    """A flow that contradicts the map of topics, or itself; names every contradiction."""


class UndeclaredOutput(FlowError):
    """A handler published a type that its flow does not declare."""


@dataclass(frozen=True)
class Flow:
    """One flow: what it reads, what it does with it, what it writes.

    `schema` is the Postgres schema of the service that owns it. `store` makes the rows of one lane.
    `performers` maps an effect type to what performs it, `results` to what handles the end of it.
    """

    name: str
    schema: str
    reads: Mapping[str, Mapping[type[Payload], EventHandler]]
    store: Callable[[int], Store]
    emits: Mapping[str, Sequence[type[Payload]]] = field(default_factory=dict)
    timers: Mapping[type[Timer], TimerHandler] = field(default_factory=dict)
    performers: Mapping[type[Effect], Performer] = field(default_factory=dict)
    results: Mapping[type[Effect], ResultHandler] = field(default_factory=dict)
    gather: float = 0.0
    """How long (seconds) records may be left on the log, while they come at shorter distances than that, so that more of them
    share a batch. Timers and effects do not wait for it."""
    replayable: bool = False
    """Whether its events say when they were decided and what had been handled before (header `ce_decided`), so that what it
    read and wrote can be replayed."""
    tick: float = 0.0
    """Timers fire at whole multiples of so many seconds, of all lanes at the same moments, so that more of them share a batch
    and a transaction; 0: as soon as they are due. What they are stamped with does not depend on it."""
    effects_at_once: int = 16
    """How many effects of one lane are under way at the same time (of different keys)."""

    @cached_property
    def kinds(self) -> dict[str, type[Timer]]:
        """Kinds of timers by their names."""
        return {kind.name: kind for kind in self.timers}

    def check(self) -> None:
        """Raises FlowError where the flow contradicts topics.yaml."""
        topics, where = topic_map().topics, topic_of_type()
        problems: list[str] = []
        for topic, handlers in self.reads.items():
            if topic not in topics:
                problems.append(f"reads {topic!r}, which is no topic")
            elif self.name not in topics[topic].consumers:
                problems.append(f"reads {topic!r}, whose consumers are {', '.join(topics[topic].consumers)}")
            problems += [
                f"reads {m.type} from {topic!r}, which does not carry it"
                for m in handlers
                if topic not in topics or m.type not in topics[topic].types
            ]
        for topic, models in self.emits.items():
            if topic not in topics or topics[topic].producer != self.name:
                problems.append(f"writes {topic!r}, whose producer it is not")
            problems += [
                f"writes {m.type} to {topic!r}, which does not carry it"
                for m in models
                if m.type not in where or where[m.type].name != topic
            ]
        problems += [
            f"performs {e.name} without a result handler" for e in self.performers if e not in self.results
        ]
        if problems:
            raise FlowError(f"flow {self.name}: " + "; ".join(problems))


def cause_of(envelope: Envelope) -> str:
    """How an event names the one that led to it."""
    return envelope.name
