"""This file lets tests of the conversations flow speak as customers, agents, providers, matching and SLA clocks do."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from libs.contracts.envelope import Event
from libs.contracts.ids import ConversationId, conversation_id
from libs.contracts.payloads.assignments import (
    Explanation,
    WorkAssigned,
    WorkCompleted,
    WorkQueued,
    WorkRequested,
)
from libs.contracts.payloads.base import Author, Payload
from libs.contracts.payloads.commands import ConversationCommand
from libs.contracts.payloads.conversations import (
    ConversationEvent,
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    DeliveryReported,
)
from libs.contracts.payloads.inbound import ReceiptIngested
from libs.contracts.payloads.sla import ClockEvent
from libs.contracts.vocabulary import MessageStatus, Metric
from libs.flow.harness import START, Harness
from services.router.conversations.flow import flow
from tests.unit.router.conversations.examples import AYU, SITI, WORKSPACE, message, point_of

E = Event[Any]


def kinds(events: Iterable[E]) -> list[str]:
    """The types, without their version."""
    return [event.data.type.removesuffix(".v1") for event in events]


def only(events: Iterable[E], kind: str) -> Any:
    """The payload of the one event of this type."""
    (found,) = [event.data for event in events if event.data.type == f"{kind}.v1"]
    return found


class Desk:
    """One flow on the real database. Everything is given twice, as brokers and providers do."""

    def __init__(self, harness: Harness) -> None:
        self.h = harness
        self._counts: dict[str, int] = defaultdict(int)

    def _next(self, what: str) -> int:
        self._counts[what] += 1
        return self._counts[what]

    @property
    def now(self) -> datetime:
        return self.h.time.now()

    async def item(self, payload: Any, *, twice: bool = True) -> list[E]:
        """An item of a provider."""
        key, source = payload.contact_point_id, f"/ingest/{payload.inbox_id}"
        return await self.h.give(
            payload, key=key, at=payload.occurred_at, id=payload.item_id, source=source, twice=twice
        )

    async def says(self, words: str = "halo", *, at: datetime | None = None, **more: Any) -> list[E]:
        """The customer writes."""
        name = more.pop("name", f"wamid.{self._next('message')}")
        return await self.item(message(name, words=words, at=at or self.now, **more))

    async def asks(
        self,
        command: type[ConversationCommand],
        *,
        by: Author = AYU,
        of: str | None = None,
        point: str | None = None,
        at: datetime | None = None,
        id: str | None = None,
        **fields: Any,
    ) -> list[E]:
        """An agent commands the contact point's first conversation, or the one named."""
        point = point or point_of()
        payload = command(conversation_id=of or first(point), contact_point_id=point, author=by, **fields)
        name = id or f"command-{self._next('command')}"
        return await self.h.give(payload, key=point, at=at, id=name, source=f"/desk/{by.agent_id}")

    async def assigned(self, agent_id: str, *, work_item_id: str | None = None) -> list[E]:
        return await self._work(
            WorkAssigned, work_item_id, agent_id=agent_id, waited_seconds=1.0, explanation=None
        )

    async def queued_again(self) -> list[E]:
        explanation = Explanation(policy="p", policy_version="1", strategy="longest_idle")
        return await self._work(
            WorkQueued, None, waiting_since=START, reason="agent_lost", explanation=explanation
        )

    async def completed(self, agent_id: str) -> list[E]:
        return await self._work(WorkCompleted, None, agent_id=agent_id, reason="completed")

    async def _work(self, kind: type[Payload], work_item_id: str | None, **fields: Any) -> list[E]:
        work = self.last(WorkRequested)
        payload = kind(
            work_item_id=work_item_id or work.work_item_id,
            conversation_id=work.conversation_id,
            contact_point_id=work.contact_point_id,
            pool=work.pool,
            queue=work.queue,
            version=self._next("work"),
            occurred_at=self.now,
            **fields,
        )
        return await self.h.give(payload, key=work.contact_point_id)

    async def clock(
        self, kind: type[ClockEvent], due: timedelta, *, name: str = "clk_a", **more: Any
    ) -> list[E]:
        """An SLA clock of the first conversation, due so long after the start."""
        payload = kind(
            clock_id=name,
            conversation_id=first(),
            contact_point_id=point_of(),
            metric=Metric.FIRST_RESPONSE,
            policy="standar",
            queue="umum",
            started_at=START,
            due_at=START + due,
            occurred_at=self.now,
            version=self._next(name),
            **more,
        )
        return await self.h.give(payload, key=point_of())

    async def reported(
        self, message_id: str, status: MessageStatus = MessageStatus.ACCEPTED, name: str | None = None
    ) -> list[E]:
        """Delivery says what became of a message."""
        payload = DeliveryReported(
            message_id=message_id,
            conversation_id=first(),
            contact_point_id=point_of(),
            status=status,
            provider_message_id=name,
            attempts=1,
            occurred_at=self.now,
        )
        return await self.h.give(payload, key=point_of())

    async def receipt(self, name: str, status: MessageStatus, correlation: str | None = None) -> list[E]:
        """The provider says what became of a message."""
        payload = ReceiptIngested(
            item_id=f"receipt-{self._next('receipt')}",
            inbox_id="wa",
            channel=WORKSPACE.inboxes["wa"].channel,
            address=SITI,
            contact_point_id=point_of(),
            occurred_at=self.now,
            provider_message_id=name,
            status=status,
            correlation=correlation,
        )
        return await self.item(payload)

    def last(self, kind: type[Payload]) -> Any:
        return [event.data for event in self.h.emitted if isinstance(event.data, kind)][-1]

    async def row(self, number: int = 1) -> Any:
        """A conversation as it stands in the database."""
        (row,) = await self.h.rows(
            "select * from conversation where conversation_id = $1", first(number=number)
        )
        return row

    def check(self) -> None:
        """What holds after any history: versions without gap, one conversation at a time."""
        versions: dict[str, int] = defaultdict(int)
        live: dict[str, str] = {}
        for event in self.h.emitted:
            data = event.data
            if not isinstance(data, ConversationEvent):
                continue
            assert data.version == versions[data.conversation_id] + 1
            versions[data.conversation_id] = data.version
            assert event.envelope.correlation_id == data.conversation_id
            if isinstance(data, ConversationOpened | ConversationReopened):
                assert live.setdefault(data.contact_point_id, data.conversation_id) == data.conversation_id
            elif isinstance(data, ConversationResolved):
                live.pop(data.contact_point_id)


def first(point: str | None = None, number: int = 1) -> ConversationId:
    """The id of a contact point's first conversation, or of a later one."""
    return conversation_id(point_of() if point is None else point, number)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Desk]:
    """A desk whose invariants are checked at the end."""
    async with Harness(flow(WORKSPACE), dsn) as harness:
        found = Desk(harness)
        yield found
        found.check()
        dead = await harness.rows("select reason, detail from dead_letter")
        assert not dead, dead
