"""This file proves that customers write at the rate they were told, whatever becomes of what they write."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from deploy.demo.customers import Customer
from deploy.demo.ledger import Incoming, Ledger
from deploy.demo.organisation import WEBCHAT, Organisation, found
from deploy.demo.posting import Posting, Webhook
from deploy.demo.shapes import Numbers
from deploy.demo.traffic import Traffic
from deploy.demo.visitors import Visitors
from libs.contracts.vocabulary import Channel

SECONDS, RATE = 0.5, 100.0


class Nowhere:
    """Stands in for the posting and for the visitors' pages: takes everything and does nothing with it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.webhooks: list[Webhook] = []

    def post(self, webhook: Webhook, done: Callable[[], None] | None = None) -> None:
        self.webhooks.append(webhook)

    def say(self, customer: Customer, text: str, due: float) -> None:
        name = f"web-{len(self._ledger.incoming)}"
        self._ledger.said(Incoming(WEBCHAT, customer.person.address, name, name, text, due))


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    folder: Path = tmp_path_factory.mktemp("demo")
    return found(folder, "http://127.0.0.1:9", agents=1)


def traffic(organisation: Organisation) -> tuple[Traffic, Ledger, Nowhere]:
    ledger = Ledger()
    nowhere = Nowhere(ledger)
    posting, visitors = cast(Posting, nowhere), cast(Visitors, nowhere)
    return (
        Traffic(organisation, ledger, posting, visitors, Numbers("1"), random.Random(3), run=1),
        ledger,
        nowhere,
    )


async def test_messages_come_at_the_rate_and_count_from_when_they_were_due(
    organisation: Organisation,
) -> None:
    writing, ledger, nowhere = traffic(organisation)
    began = time.monotonic()
    await writing.run(RATE, lambda: time.monotonic() - began >= SECONDS)
    # The last webhook may carry a few messages at once, and the loop ends with the first look after its time.
    took = time.monotonic() - began
    assert 0.8 * SECONDS * RATE <= len(ledger.incoming) <= took * RATE + 6
    due = sorted(one.scheduled_at - began for one in ledger.incoming.values())
    assert due[0] == pytest.approx(0, abs=0.05)
    assert due[-1] <= took
    assert len({one.inbox for one in ledger.incoming.values()}) >= 3
    assert any(len(webhook.messages) > 1 for webhook in nowhere.webhooks)


async def test_an_answer_brings_what_the_customer_still_has_to_say(organisation: Organisation) -> None:
    writing, _, _ = traffic(organisation)
    began = time.monotonic()
    await writing.run(RATE, lambda: time.monotonic() - began >= 0.1)
    writing._ended = False
    talkative = next(one for one in writing.customers.values() if len(one.remaining) > 1)
    before = list(talkative.remaining)
    writing.answered(talkative.channel, talkative.person.address)
    (following,) = writing._waiting
    assert following.customer is talkative
    assert following.text == before[0].format(order=talkative.order)
    assert talkative.remaining == before[1:]


def test_an_answer_to_nobody_brings_nothing(organisation: Organisation) -> None:
    writing, _, _ = traffic(organisation)
    writing.answered(Channel.WHATSAPP, "620000")
    assert writing._waiting == []
