"""This file proves, for any course of answers, receipts and waits, that delivery ends each message once and keeps the order."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads.base import Content, Payload
from libs.contracts.payloads.conversations import DeliveryReported, MessageRequested, MessageStatusChanged
from libs.contracts.vocabulary import Channel, ContentKind, MessageStatus
from libs.flow.flow import Effect, Fired, Performed, Timer
from services.delivery.channels.table import CHANNELS
from services.delivery.domain.answers import Accepted, Answer, Fault, PutOff, Refused, RetryLater, Unknown
from services.delivery.effects import RetryDue, SendMessage
from services.delivery.handlers import Handlers
from services.delivery.sending import Sent
from services.delivery.store import DeliveryStore

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POINTS = ("cpt_a", "cpt_b")
ON = Handlers(
    give_up_after=timedelta(hours=1),
    doubt=timedelta(seconds=30),
    repeatable={name: channel.repeatable for name, channel in CHANNELS.items()},
)
FAULT = Fault("trouble")

answers = st.one_of(
    st.just(Accepted("wamid.1")),
    st.just(Refused(FAULT)),
    st.just(Unknown(FAULT)),
    st.builds(
        RetryLater, st.just(FAULT), st.none() | st.integers(0, 100).map(lambda s: timedelta(seconds=s))
    ),
    st.builds(PutOff, st.integers(1, 100).map(lambda s: timedelta(seconds=s))),
)
STATUSES = (MessageStatus.ACCEPTED, MessageStatus.SENT, MessageStatus.READ, MessageStatus.FAILED)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("asked"), st.sampled_from(POINTS), st.sampled_from([Channel.WHATSAPP, Channel.TELEGRAM])
        ),
        st.tuples(st.just("answered"), st.sampled_from(POINTS), answers),
        st.tuples(st.just("waited"), st.sampled_from(POINTS), st.none()),
        st.tuples(st.just("receipt"), st.integers(0, 3), st.sampled_from(STATUSES)),
    ),
    max_size=60,
)


class Kernel:
    """One lane without a database: a Turn that keeps what handlers ask for and checks each request as it is made."""

    def __init__(self) -> None:
        self.store, self.now, self.lane = DeliveryStore(0), AT, 0
        for point in POINTS:
            self.store.dispatch._groups[point] = {}
        self.asked: dict[str, list[str]] = defaultdict(list)
        self.ended: dict[str, list[str]] = defaultdict(list)
        self.sending: dict[str, tuple[str, SendMessage]] = {}
        self.timers: dict[str, tuple[str, datetime, Timer]] = {}
        self.effects: set[str] = set()

    def emit(self, payload: Payload, *, key: str, at: datetime, correlation: str = "") -> None:
        assert isinstance(payload, DeliveryReported)
        self.ended[key].append(payload.message_id)

    def set_timer(self, timer: Timer, *, id: str, key: str, due: datetime) -> None:
        assert key not in self.sending, "what is being sent does not wait to be sent"
        self.timers[id] = (key, due, timer)

    def cancel_timer(self, id: str) -> None:
        self.timers.pop(id, None)

    def perform(self, effect: Effect, *, id: str, key: str) -> None:
        assert isinstance(effect, SendMessage)
        assert id not in self.effects, "an effect asked for twice under one id is performed once"
        assert key not in self.sending, "one message of a contact point at a time"
        assert self.ended[key] == self.asked[key][: len(self.ended[key])]
        assert effect.message_id == self.asked[key][len(self.ended[key])], (
            "only the first of the line is sent"
        )
        self.effects.add(id)
        self.sending[key] = (id, effect)

    def ask(self, point: str, channel: Channel) -> None:
        message_id = f"msg_{sum(map(len, self.asked.values()))}"
        self.asked[point].append(message_id)
        request = MessageRequested(
            message_id=message_id,
            conversation_id="cnv_a",
            contact_point_id=point,
            inbox_id="toko",
            channel=channel,
            address="628",
            content=Content(kind=ContentKind.TEXT, text="x"),
            requested_at=self.now,
        )
        ON.on_message_requested(self, _event(request, point))

    def answer(self, point: str, answer: Answer | PutOff) -> None:
        if point in self.sending:
            effect_id, effect = self.sending.pop(point)
            ON.on_sent(self, Performed(effect_id, point, effect, Sent(answer, self.now)))

    def wait(self, point: str) -> None:
        """Let the contact point's timer come due."""
        for timer_id, (key, due, timer) in list(self.timers.items()):
            if key == point:
                del self.timers[timer_id]
                self.now = max(self.now, due)
                assert isinstance(timer, RetryDue)
                ON.on_retry_due(self, Fired(timer_id, key, due, timer))

    def receipt(self, number: int, status: MessageStatus) -> None:
        everything = [(point, name) for point in POINTS for name in self.asked[point]]
        if number < len(everything):
            point, name = everything[number]
            changed = MessageStatusChanged(
                conversation_id="cnv_a",
                contact_point_id=point,
                contact_id="con_a",
                inbox_id="toko",
                version=1,
                occurred_at=self.now,
                message_id=name,
                status=status,
            )
            ON.on_message_status_changed(self, _event(changed, point))

    def finish(self) -> None:
        """From now on the provider takes everything."""
        for _ in range(3 * sum(map(len, self.asked.values())) + 3):
            for point in POINTS:
                self.wait(point)
                self.answer(point, Accepted("wamid.9"))


def _event(payload: Any, key: str) -> Event[Any]:
    return Event(Envelope("1", "/test", payload.type, AT), payload, key)


@settings(max_examples=300)
@given(steps)
def test_each_message_ends_once_and_in_its_place(course: list[tuple[str, Any, Any]]) -> None:
    kernel = Kernel()
    for what, first, second in course:
        match what:
            case "asked":
                kernel.ask(first, second)
            case "answered":
                kernel.answer(first, second)
            case "waited":
                kernel.wait(first)
            case _:
                kernel.receipt(first, second)
    kernel.finish()
    assert kernel.ended == {point: names for point, names in kernel.asked.items() if point in kernel.ended}
    assert sum(map(len, kernel.ended.values())) == sum(map(len, kernel.asked.values()))
    assert list(kernel.store.dispatch) == []
    assert (kernel.sending, kernel.timers) == ({}, {})
