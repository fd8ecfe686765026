"""This file proves on the real database that a message's status only moves up, whatever order its reports come in."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations

import pytest

from libs.contracts.payloads.base import ProviderError
from libs.contracts.payloads.commands import ResolveConversation, SendReply
from libs.contracts.payloads.conversations import DeliveryReported, MessageStatusChanged
from libs.contracts.vocabulary import MessageStatus
from tests.flows.conversations_desk import Desk, first, kinds, only, opened
from tests.unit.router.conversations.examples import point_of, text

pytestmark = pytest.mark.postgres

ACCEPTED, SENT, DELIVERED, READ, FAILED = (
    MessageStatus.ACCEPTED,
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.READ,
    MessageStatus.FAILED,
)


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    """The customer has written."""
    async with opened(postgres_dsn) as found:
        await found.says()
        yield found


async def replied(desk: Desk) -> str:
    name: str = (await desk.asks(SendReply, content=text("baik")))[0].data.message_id
    return name


def statuses(desk: Desk, message: str) -> list[MessageStatus]:
    return [
        event.data.status
        for event in desk.h.emitted
        if isinstance(event.data, MessageStatusChanged) and event.data.message_id == message
    ]


async def test_report_and_receipts_in_order_are_each_told(desk: Desk) -> None:
    message = await replied(desk)
    await desk.reported(message, ACCEPTED, "wamid.out")
    for status in (SENT, DELIVERED, READ):
        await desk.h.crash()
        await desk.receipt("wamid.out", status)
    assert statuses(desk, message) == [ACCEPTED, SENT, DELIVERED, READ]


async def test_receipts_before_the_report_wait_for_it(desk: Desk) -> None:
    message = await replied(desk)
    assert await desk.receipt("wamid.out", DELIVERED) == []
    await desk.h.crash()
    assert await desk.receipt("wamid.out", SENT) == []
    await desk.h.crash()
    await desk.reported(message, ACCEPTED, "wamid.out")
    assert statuses(desk, message) == [ACCEPTED, DELIVERED]
    await desk.receipt("wamid.out", READ)
    assert statuses(desk, message) == [ACCEPTED, DELIVERED, READ]
    assert await desk.h.rows("select 1 from timer") == []


async def test_receipt_that_carries_our_own_id_needs_no_report(desk: Desk) -> None:
    message = await replied(desk)
    await desk.receipt("wamid.out", DELIVERED, correlation=message)
    await desk.receipt("wamid.out", READ)
    await desk.reported(message, ACCEPTED, "wamid.out")
    assert statuses(desk, message) == [DELIVERED, READ]


async def test_receipts_without_and_then_with_our_id_are_joined(desk: Desk) -> None:
    message = await replied(desk)
    await desk.receipt("wamid.out", READ)
    await desk.receipt("wamid.out", SENT, correlation=message)
    assert statuses(desk, message) == [READ]


async def test_any_order_of_report_and_receipts_ends_the_same(desk: Desk) -> None:
    for number, order in enumerate(permutations([ACCEPTED, SENT, FAILED, DELIVERED])):
        message, name = await replied(desk), f"wamid.{number}"
        for status in order:
            if status is ACCEPTED:
                await desk.reported(message, ACCEPTED, name)
            else:
                await desk.receipt(name, status)
        assert statuses(desk, message)[-1] is DELIVERED
        (row,) = await desk.h.rows("select status from message where message_id = $1", message)
        assert row["status"] == DELIVERED


async def test_failure_is_told_with_its_reason_and_stands_until_the_provider_delivers_after_all(
    desk: Desk,
) -> None:
    message = await replied(desk)
    reason = ProviderError(code="131026", text="undeliverable")
    report = DeliveryReported(
        message_id=message,
        conversation_id=first(),
        contact_point_id=point_of(),
        status=FAILED,
        error=reason,
        attempts=3,
        occurred_at=desk.now,
    )
    events = await desk.h.give(report, key=point_of())
    assert only(events, "message.status_changed").error == reason
    await desk.receipt("wamid.late", SENT, correlation=message)
    await desk.receipt("wamid.late", DELIVERED, correlation=message)
    assert statuses(desk, message) == [FAILED, DELIVERED]


async def test_receipt_after_the_end_goes_to_the_messages_own_conversation(desk: Desk) -> None:
    message = await replied(desk)
    await desk.reported(message, ACCEPTED, "wamid.out")
    await desk.asks(ResolveConversation)
    await desk.h.advance(timedelta(days=3))
    await desk.says("soal lain")
    await desk.h.crash()
    events = await desk.receipt("wamid.out", READ)
    assert only(events, "message.status_changed").conversation_id == first()


async def test_receipt_for_a_message_typed_in_the_providers_app_is_followed(desk: Desk) -> None:
    await desk.says("dari ponsel", name="wamid.app", echo=True)
    assert kinds(await desk.receipt("wamid.app", SENT)) == []
    assert kinds(await desk.receipt("wamid.app", READ)) == ["message.status_changed"]


async def test_our_own_message_coming_back_as_an_echo_is_not_shown_twice(desk: Desk) -> None:
    message = await replied(desk)
    await desk.reported(message, ACCEPTED, "wamid.out")
    assert await desk.says("baik", name="wamid.out", echo=True) == []


async def test_customers_quote_of_our_message_names_it(desk: Desk) -> None:
    message = await replied(desk)
    await desk.reported(message, ACCEPTED, "wamid.out")
    assert only(await desk.says("yang itu", reply_to="wamid.out"), "message.received").reply_to == message


async def test_receipts_for_messages_that_are_not_ours_are_forgotten_after_a_day(desk: Desk) -> None:
    await desk.receipt("wamid.foreign", DELIVERED)
    assert len(await desk.h.rows("select 1 from message_name")) == 1
    await desk.h.crash()
    assert await desk.h.advance(timedelta(days=1)) == []
    assert await desk.h.rows("select 1 from message_name") == []


async def test_report_or_receipt_for_an_unknown_message_or_point_tells_nothing(desk: Desk) -> None:
    assert await desk.reported("msg_never", ACCEPTED, "wamid.x") == []
    assert await desk.reported("msg_\0", ACCEPTED, "wamid.\0") == []
    assert await desk.receipt("wamid.\0", READ, correlation="\0") == []
    assert await desk.receipt("wamid.1", READ) == []  # the customer's own message
