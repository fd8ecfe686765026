"""This file posts webhooks as providers do: until they are acknowledged, and some of them once more for no reason."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.demo.ledger import Incoming, Ledger

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
AT_ONCE = 64


@dataclass(frozen=True)
class Webhook:
    """One call: its body, how to sign it now, and the messages in it."""

    inbox: str
    body: bytes
    sign: Callable[[bytes, datetime], Mapping[str, str]]
    messages: Sequence[Incoming] = ()


class Posting:
    """Posts in the background; `drain` waits for what is under way. A provider gives up after `give_up` seconds."""

    def __init__(
        self,
        ingest: str,
        ledger: Ledger,
        rng: random.Random,
        *,
        duplicates: float = 0.05,
        give_up: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`duplicates`: share of acknowledged webhooks that come a second time. `transport` stands in for the network."""
        self._ledger, self._rng, self._duplicates, self._give_up = ledger, rng, duplicates, give_up
        self._client = httpx.AsyncClient(
            base_url=ingest,
            timeout=10,
            trust_env=False,
            limits=httpx.Limits(max_connections=AT_ONCE),
            transport=transport,
        )
        # The client's own queue of calls that wait for a connection is searched whole at each call: an outage would choke it.
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def post(self, webhook: Webhook, done: Callable[[], None] | None = None) -> None:
        """Post until acknowledged. `done` is called then. After `close` nothing is posted any more."""
        if not self._closed:
            self._background(self._until_taken(webhook, done))

    async def drain(self, within: float) -> int:
        """Wait for everything under way; returns how many webhooks are still not acknowledged."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within)
        return len(self._tasks)

    async def close(self) -> None:
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _background(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_taken(self, webhook: Webhook, done: Callable[[], None] | None) -> None:
        pause, deadline = FIRST_PAUSE, time.monotonic() + self._give_up
        while not await self._once(webhook):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(pause * self._rng.uniform(0.7, 1.3))
            pause = min(pause * 2, LONGEST_PAUSE)
        now = time.monotonic()
        for message in webhook.messages:
            message.acknowledged_at = message.acknowledged_at or now
        if done:
            done()
        if self._rng.random() < self._duplicates:
            await asyncio.sleep(self._rng.uniform(0, 1))
            self._ledger.duplicates += 1
            await self._once(webhook)

    async def _once(self, webhook: Webhook) -> bool:
        for message in webhook.messages:
            message.posts += 1
        try:
            async with self._room:
                headers = dict(webhook.sign(webhook.body, datetime.now(UTC)))
                answer = await self._client.post(
                    f"/v1/inboxes/{webhook.inbox}/webhook", content=webhook.body, headers=headers
                )
        except httpx.HTTPError:
            self._ledger.answers["no_answer"] += 1
            return False
        self._ledger.answers[str(answer.status_code)] += 1
        return answer.is_success
