"""This file keeps the messages that have not ended yet, by contact point."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from libs.contracts.payloads.base import Content, ProviderError
from libs.contracts.vocabulary import MessageStatus
from libs.flow.store import Reader, Store, Table


class State(StrEnum):
    """WAITING -> SENDING -> (ended) | RETRYING -> SENDING | UNCERTAIN -> SENDING. Only the first of a line is past WAITING."""

    WAITING = "waiting"
    SENDING = "sending"
    RETRYING = "retrying"
    UNCERTAIN = "uncertain"
    """The provider may have it; waits for a receipt before it is sent again."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One message that was asked for and has not ended."""

    message_id: str
    contact_point_id: str
    conversation_id: str
    inbox_id: str
    channel: str
    address: str
    content: Content
    reply_to: str | None
    number: int
    state: State
    attempts: int
    tries: int
    receipt: MessageStatus | None
    """What the provider said of it in a receipt while its answer was still awaited."""
    last_fault: ProviderError | None
    requested_at: datetime
    due_at: datetime | None


class DeliveryStore(Store):
    """The lines of the contact points that a batch is about."""

    def __init__(self, lane: int) -> None:
        super().__init__(lane)
        self.dispatch = Table("dispatch", Dispatch, key=["message_id"], group="contact_point_id")
        self.tables = (self.dispatch,)

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        await self.dispatch.load(db, (item.key for item in items))

    def line(self, contact_point_id: str) -> list[Dispatch]:
        """In the order in which they were asked for."""
        return sorted(self.dispatch.of(contact_point_id), key=lambda row: row.number)
