"""This file proves delivery's flow on the real database: one end per message, in order, through retries, doubt and crashes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import pytest

from libs.contracts.envelope import Event
from libs.contracts.payloads.base import Content, Payload, ProviderError
from libs.contracts.payloads.conversations import DeliveryReported, MessageRequested, MessageStatusChanged
from libs.contracts.vocabulary import Channel, ContentKind, MessageStatus
from libs.flow.flow import Performing
from libs.flow.harness import START, Harness
from services.delivery.channels.table import CHANNELS
from services.delivery.domain.answers import Accepted, Answer, Fault, PutOff, Refused, RetryLater, Unknown
from services.delivery.flow import flow
from services.delivery.handlers import Handlers
from services.delivery.sending import Sent

POINT = "cpt_a"
DOUBT, GIVE_UP = timedelta(seconds=30), timedelta(hours=24)
BUSY = RetryLater(Fault("131016", "overloaded"))

pytestmark = pytest.mark.postgres


class Provider:
    """Answers each send with what the test laid down, else accepts; remembers what it was asked and whether again."""

    def __init__(self) -> None:
        self.answers: list[Answer | PutOff] = []
        self.asked: list[tuple[str, bool]] = []
        self.harness: Harness | None = None
        self.before: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, performing: Performing) -> Sent:
        assert self.harness is not None
        message_id = performing.effect.message_id
        self.asked.append((message_id, performing.again))
        if self.before:
            await self.before()
        answer = self.answers.pop(0) if self.answers else Accepted(f"wamid.{message_id}")
        return Sent(answer, self.harness.time.now())

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    @contextmanager
    def laying_down(self, *answers: Answer | PutOff) -> Iterator[None]:
        self.answers = list(answers)
        yield
        assert self.answers == [], "the provider was asked less often than the test expected"


@asynccontextmanager
async def delivery(dsn: str) -> AsyncIterator[tuple[Harness, Provider]]:
    provider = Provider()
    repeatable = {name: channel.repeatable for name, channel in CHANNELS.items()}
    on = Handlers(give_up_after=GIVE_UP, doubt=DOUBT, repeatable=repeatable)
    async with Harness(flow(on, provider), dsn) as harness:
        provider.harness = harness
        yield harness, provider


def requested(
    name: str, *, channel: Channel = Channel.WHATSAPP, point: str = POINT, after: float = 0
) -> MessageRequested:
    return MessageRequested(
        message_id=name,
        conversation_id="cnv_a",
        contact_point_id=point,
        inbox_id="toko",
        channel=channel,
        address="6281234567890",
        content=Content(kind=ContentKind.TEXT, text=f"Halo dari {name}"),
        requested_at=START + timedelta(seconds=after),
    )


def receipt(name: str, status: MessageStatus, error: ProviderError | None = None) -> MessageStatusChanged:
    return MessageStatusChanged(
        conversation_id="cnv_a",
        contact_point_id=POINT,
        contact_id="con_a",
        inbox_id="toko",
        version=5,
        occurred_at=START + timedelta(seconds=2),
        message_id=name,
        status=status,
        error=error,
    )


def reports(events: list[Event[Payload]]) -> list[DeliveryReported]:
    found = [event.data for event in events if isinstance(event.data, DeliveryReported)]
    assert len(found) == len(events), "delivery emits reports and nothing else"
    return found


async def test_an_accepted_message_is_reported_once_with_the_providers_id(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        emitted = await h.give(requested("msg_1"), key=POINT)
        (report,) = reports(emitted)
        assert (report.status, report.provider_message_id, report.attempts) == (
            MessageStatus.ACCEPTED,
            "wamid.msg_1",
            1,
        )
        assert (emitted[0].key, emitted[0].envelope.correlation_id) == (POINT, "cnv_a")
        assert provider.asked == [("msg_1", False)]
        assert await h.rows("select * from dispatch") == []


async def test_a_refused_message_is_reported_failed_with_the_providers_words(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Refused(Fault("131047", "re-engagement message"))):
            (report,) = reports(await h.give(requested("msg_1"), key=POINT))
        assert report.status is MessageStatus.FAILED
        assert report.error == ProviderError(code="131047", text="re-engagement message", retryable=False)


async def test_web_chat_is_accepted_by_being_on_the_log(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        (report,) = reports(await h.give(requested("msg_1", channel=Channel.WEBCHAT), key=POINT))
        assert (report.status, report.provider_message_id) == (MessageStatus.ACCEPTED, "msg_1")
        assert provider.asked == []


async def test_a_message_turned_down_is_tried_again_and_later_ones_wait_behind_it(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(BUSY, BUSY):
            assert await h.give(requested("msg_1"), key=POINT) == []
            assert await h.give(requested("msg_2"), key=POINT) == []
            assert await h.give(requested("msg_3"), key=POINT) == []
            assert await h.advance(timedelta(seconds=1.5)) == []
        emitted = reports(await h.advance(timedelta(seconds=3)))
        assert [report.message_id for report in emitted] == ["msg_1", "msg_2", "msg_3"]
        assert [report.attempts for report in emitted] == [3, 1, 1]
        assert provider.names == ["msg_1", "msg_1", "msg_1", "msg_2", "msg_3"]


async def test_another_contact_point_does_not_wait(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(BUSY):
            assert await h.give(requested("msg_1"), key=POINT) == []
        (report,) = reports(await h.give(requested("msg_2", point="cpt_b"), key="cpt_b"))
        assert report.message_id == "msg_2"


async def test_the_wait_that_the_provider_asked_for_is_kept(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(RetryLater(Fault("429"), timedelta(seconds=90))):
            await h.give(requested("msg_1"), key=POINT)
        assert await h.advance(timedelta(seconds=89)) == []
        assert provider.names == ["msg_1"]
        (report,) = reports(await h.advance(timedelta(seconds=25)))
        assert report.status is MessageStatus.ACCEPTED


async def test_a_refusal_lets_the_next_one_go(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(BUSY, Refused(Fault("131026"))):
            await h.give(requested("msg_1"), key=POINT)
            await h.give(requested("msg_2"), key=POINT)
            emitted = reports(await h.advance(timedelta(seconds=2)))
        assert [(r.message_id, r.status) for r in emitted] == [
            ("msg_1", MessageStatus.FAILED),
            ("msg_2", MessageStatus.ACCEPTED),
        ]


async def test_a_message_fails_with_the_last_fault_when_its_time_is_up(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        provider.answers = [BUSY] * 500
        await h.give(requested("msg_1"), key=POINT)
        emitted: list[DeliveryReported] = []
        for _ in range(400):
            emitted += reports(await h.advance(timedelta(minutes=4)))
        (report,) = emitted
        assert report.status is MessageStatus.FAILED
        assert report.error == ProviderError(code="131016", text="overloaded", retryable=True)
        assert report.occurred_at - START >= GIVE_UP
        assert report.occurred_at - START < GIVE_UP + timedelta(minutes=5)
        assert report.attempts == len(provider.asked)


async def test_being_put_off_by_our_own_limit_is_no_attempt(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(PutOff(timedelta(seconds=5)), PutOff(timedelta(seconds=5))):
            await h.give(requested("msg_1"), key=POINT)
            await h.advance(timedelta(seconds=5))
        (report,) = reports(await h.advance(timedelta(seconds=5)))
        assert report.attempts == 1


async def test_an_attempt_in_doubt_is_settled_by_a_receipt_and_not_repeated(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Unknown(Fault("no_answer", "ReadTimeout"))):
            assert await h.give(requested("msg_1"), key=POINT) == []
            assert await h.give(requested("msg_2"), key=POINT) == []
        emitted = reports(await h.give(receipt("msg_1", MessageStatus.SENT), key=POINT))
        assert [(r.message_id, r.status) for r in emitted] == [
            ("msg_1", MessageStatus.ACCEPTED),
            ("msg_2", MessageStatus.ACCEPTED),
        ]
        assert await h.advance(DOUBT * 2) == []
        assert provider.names == ["msg_1", "msg_2"]


async def test_an_attempt_in_doubt_is_repeated_when_no_receipt_comes(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Unknown(Fault("no_answer"))):
            await h.give(requested("msg_1"), key=POINT)
        assert await h.advance(DOUBT - timedelta(seconds=1)) == []
        (report,) = reports(await h.advance(timedelta(seconds=1)))
        assert (report.status, report.attempts) == (MessageStatus.ACCEPTED, 2)


@pytest.mark.parametrize("answer", [Unknown(Fault("no_answer")), BUSY, Refused(Fault("131026"))])
async def test_a_receipt_that_came_before_the_answer_outweighs_it(postgres_dsn: str, answer: Answer) -> None:
    async with delivery(postgres_dsn) as (h, provider):

        async def deliver_first() -> None:
            record = h.record(receipt("msg_1", MessageStatus.DELIVERED), key=POINT)
            h.append(record)
            await h.catch_up(record.partition)
            await (await h.lane(record.partition)).work.batch()

        provider.before = deliver_first
        with provider.laying_down(answer):
            (report,) = reports(await h.give(requested("msg_1"), key=POINT))
        assert report.status is MessageStatus.ACCEPTED
        assert await h.advance(DOUBT * 2) == []


async def test_a_late_receipt_ends_a_message_that_waits_to_be_tried_again(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Unknown(Fault("no_answer")), BUSY):
            await h.give(requested("msg_1"), key=POINT)
            await h.advance(DOUBT)
        (report,) = reports(await h.give(receipt("msg_1", MessageStatus.DELIVERED), key=POINT))
        assert report.status is MessageStatus.ACCEPTED
        assert await h.advance(DOUBT) == []


async def test_a_receipt_of_failure_ends_a_message_in_doubt(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Unknown(Fault("no_answer"))):
            await h.give(requested("msg_1"), key=POINT)
        error = ProviderError(code="131049", text="ecosystem")
        (report,) = reports(await h.give(receipt("msg_1", MessageStatus.FAILED, error), key=POINT))
        assert (report.status, report.error) == (MessageStatus.FAILED, error)


async def test_receipts_of_messages_that_ended_change_nothing(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, _):
        await h.give(requested("msg_1"), key=POINT)
        assert await h.give(receipt("msg_1", MessageStatus.READ), key=POINT) == []
        assert await h.rows("select * from dead_letter") == []


@pytest.mark.parametrize("channel", [Channel.TELEGRAM, Channel.CUSTOM])
async def test_where_a_copy_does_no_harm_an_attempt_in_doubt_is_repeated_soon(
    postgres_dsn: str, channel: Channel
) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(Unknown(Fault("no_answer"))):
            await h.give(requested("msg_1", channel=channel), key=POINT)
        (report,) = reports(await h.advance(timedelta(seconds=2)))
        assert (report.status, report.attempts) == (MessageStatus.ACCEPTED, 2)


async def test_a_crash_between_any_two_steps_loses_no_message_and_no_place(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        with provider.laying_down(BUSY, BUSY, Unknown(Fault("no_answer"))):
            for name in ("msg_1", "msg_2", "msg_3"):
                await h.give(requested(name), key=POINT)
                await h.crash()
            for _ in range(3):
                await h.advance(timedelta(seconds=3))
                await h.crash()
        await h.advance(DOUBT)
        ended = reports(h.emitted)
        assert [report.message_id for report in ended] == ["msg_1", "msg_2", "msg_3"]
        assert {report.status for report in ended} == {MessageStatus.ACCEPTED}


async def test_after_a_crash_an_unfinished_send_is_known_to_be_made_again(postgres_dsn: str) -> None:
    async with delivery(postgres_dsn) as (h, provider):
        await h.give(requested("msg_1"), key=POINT)
        # As a process leaves it that ends after the provider's answer and before its own commit.
        await h.crash()
        await h.rows(
            "insert into dispatch (message_id, contact_point_id, conversation_id, inbox_id, channel, address, content, number, "
            "state, attempts, tries, requested_at) values ('msg_2', $1, 'cnv_a', 'toko', 'whatsapp', '628', "
            """'{"kind": "text", "text": "x"}', 1, 'sending', 0, 1, $2)""",
            POINT,
            START,
        )
        await h.rows(
            "insert into effect (flow, lane, id, key, seq, name, body) select 'delivery', lane, 'msg_2/1', $1, 900, "
            "'send_message', $2 from lane where next_seq > 1",
            POINT,
            requested("msg_2").model_dump_json(),
        )
        await h.give(receipt("msg_1", MessageStatus.SENT), key=POINT)
        assert provider.asked[-1] == ("msg_2", True)
        assert [report.message_id for report in reports(h.emitted)] == ["msg_1", "msg_2"]
