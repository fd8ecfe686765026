"""This file proves that webhooks are posted as providers post them: again until they are taken, and now and then once more."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from deploy.demo.ledger import Incoming, Ledger
from deploy.demo.organisation import CUSTOM
from deploy.demo.posting import Posting, Webhook
from deploy.demo.shapes import CustomShape


@asynccontextmanager
async def posting(
    answer: Callable[[httpx.Request], httpx.Response], *, duplicates: float = 0.0
) -> AsyncIterator[tuple[Posting, Ledger]]:
    ledger = Ledger()
    transport = httpx.MockTransport(answer)
    one = Posting("http://ingest", ledger, random.Random(1), duplicates=duplicates, transport=transport)
    yield one, ledger
    await one.close()


def webhook() -> Webhook:
    message = Incoming(CUSTOM, "628", "1", "1", "Halo", 0.0)
    return Webhook(CUSTOM, b"{}", CustomShape("key").headers, [message])


async def test_a_webhook_is_posted_until_it_is_taken() -> None:
    answers: Iterator[httpx.Response | httpx.HTTPError] = iter(
        [httpx.Response(503), httpx.ConnectError("refused"), httpx.Response(200)]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        found = next(answers)
        if isinstance(found, httpx.HTTPError):
            raise found
        return found

    async with posting(answer) as (one, ledger):
        sent, done = webhook(), []
        one.post(sent, lambda: done.append(True))
        assert await one.drain(5) == 0
        (message,) = sent.messages
        assert message.acknowledged_at is not None
        assert (message.posts, done) == (3, [True])
        assert dict(ledger.answers) == {"503": 1, "no_answer": 1, "200": 1}


async def test_what_is_never_taken_is_never_acknowledged() -> None:
    async with posting(lambda _: httpx.Response(503)) as (one, _):
        sent = webhook()
        one.post(sent)
        assert await one.drain(0.5) == 1
        assert sent.messages[0].acknowledged_at is None


async def test_a_repetition_is_the_same_body_signed_anew() -> None:
    bodies: list[bytes] = []
    signed: list[datetime] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        stamp = request.headers["x-sambung-signature"].removeprefix("t=").partition(",")[0]
        signed.append(datetime.fromtimestamp(int(stamp), UTC))
        return httpx.Response(200)

    async with posting(answer, duplicates=1.0) as (one, ledger):
        one.post(webhook())
        assert await one.drain(5) == 0
        assert (len(bodies), len(set(bodies)), ledger.duplicates) == (2, 1, 1)
        assert signed == sorted(signed)
