"""This file takes a call: verify, split into items, publish them all, wait for the broker. Nothing else is on this path."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from libs.contracts.payloads.inbound import Item, UnsupportedIngested
from libs.flow.publisher import PublishFailed
from libs.flow.wire import Outgoing
from libs.service.problems import Problem, unavailable
from libs.service.trace import current_traceparent
from libs.timesource import TimeSource
from libs.workspace import Inbox, Workspace
from services.ingest import metrics
from services.ingest.channels import ADAPTERS
from services.ingest.channels.adapter import (
    Adapter,
    Answer,
    BadSignature,
    HandshakeRefused,
    RawRequest,
    Refused,
    Unparsable,
)
from services.ingest.channels.forming import kept_body
from services.ingest.records import record_of

log = structlog.get_logger(__name__)

MOST_HELD = 64 * 1024 * 1024
"""Bytes of bodies that may wait for the broker at once; while it is away every call waits until it is given up."""
LEAST_HELD = 4_096
"""What a call counts for at least: it holds more than its body."""

STATUS: Mapping[type[Refused], tuple[int, str]] = {
    BadSignature: (401, "The signature is wrong or missing"),
    HandshakeRefused: (403, "The handshake is not for this inbox"),
    Unparsable: (400, "The body cannot be read"),
}


class Publishes(Protocol):
    """What this service asks of the broker; `libs.flow.publisher.Publisher` does it."""

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Return when all are acknowledged; raise PublishFailed otherwise."""
        ...


class Intake:
    """Takes calls for every inbox of the workspace; many at once share one publisher.

    `take` returns only when every item of the body is on the log. Otherwise it raises Problem, and the caller keeps the call.
    """

    def __init__(
        self, workspace: Workspace, publisher: Publishes, time: TimeSource, ack_within: timedelta
    ) -> None:
        self.workspace, self.time = workspace, time
        self._publisher, self._ack_within = publisher, ack_within.total_seconds()
        self._held = 0

    def inbox(self, inbox_id: str) -> tuple[Inbox, Adapter]:
        """The inbox and what reads its channel. Raises Problem 404."""
        inbox = self.workspace.inboxes.get(inbox_id)
        adapter = ADAPTERS.get(inbox.channel) if inbox else None
        if inbox is None or adapter is None:
            metrics.REJECTED.labels("", "unknown_inbox").inc()
            raise Problem(404, "unknown_inbox", "There is no such inbox")
        return inbox, adapter

    async def take(self, inbox: Inbox, adapter: Adapter, request: RawRequest) -> Answer:
        """The provider's own success answer, once everything is acknowledged. Raises Problem."""
        began = self.time.monotonic()
        items = self._read(inbox, adapter, request)
        await self._publish(inbox, items, request)
        metrics.ACK.labels(inbox.channel.value).observe(self.time.monotonic() - began)
        metrics.counter(metrics.REQUESTS, inbox.id, inbox.channel.value, "taken").inc()
        for item in items:
            metrics.counter(metrics.ITEMS, inbox.id, item.type.partition(".")[0]).inc()
            if isinstance(item, UnsupportedIngested):
                metrics.UNSUPPORTED.labels(inbox.id, inbox.channel.value).inc()
                log.warning("item kept as unsupported", inbox=inbox.id, item=item.item_id)
        return adapter.answer(items)

    def refusal(self, inbox: Inbox, fault: Refused) -> Problem:
        """The answer to a call that is not taken; counted."""
        status, title = next(said for kind, said in STATUS.items() if isinstance(fault, kind))
        metrics.REJECTED.labels(inbox.id, fault.reason).inc()
        metrics.REQUESTS.labels(inbox.id, inbox.channel.value, "refused").inc()
        return Problem(status, fault.reason, title, str(fault))

    def _read(self, inbox: Inbox, adapter: Adapter, request: RawRequest) -> list[Item]:
        try:
            adapter.verify(request, inbox)
            return adapter.parse(request, inbox)
        except Unparsable as fault:
            if not adapter.keeps_unparsable:
                raise self.refusal(inbox, fault) from None
            return kept_body(request.body, str(fault), inbox, request.received_at)
        except Refused as fault:
            raise self.refusal(inbox, fault) from None

    async def _publish(self, inbox: Inbox, items: Sequence[Item], request: RawRequest) -> None:
        held = max(len(request.body), LEAST_HELD)
        if self._held + held > MOST_HELD:
            raise self._unavailable(inbox, "overloaded", "Too many calls wait for the broker")
        traceparent = current_traceparent()
        records = [
            record_of(
                item, workspace=self.workspace.id, traceparent=traceparent, received_at=request.received_at
            )
            for item in items
        ]
        self._held += held
        try:
            async with asyncio.timeout(self._ack_within):
                await self._publisher.publish(records)
        except (PublishFailed, TimeoutError) as fault:
            log.warning("nothing acknowledged", inbox=inbox.id, items=len(items), fault=type(fault).__name__)
            raise self._unavailable(inbox, "broker_away", "The broker is away") from None
        finally:
            self._held -= held

    def _unavailable(self, inbox: Inbox, code: str, title: str) -> Problem:
        metrics.REJECTED.labels(inbox.id, code).inc()
        metrics.REQUESTS.labels(inbox.id, inbox.channel.value, "unavailable").inc()
        return unavailable(code, title, "nothing was taken; send it again")
