"""This file keeps what was said to the system and what came out of it, each thing once, with its times and its copies."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from libs.contracts.ids import InboxId, contact_point_id, incoming_message_id


@dataclass(slots=True)
class Incoming:
    """One message of a customer. Times are seconds of one monotonic clock."""

    inbox: str
    address: str
    provider_message_id: str
    item_id: str
    text: str
    scheduled_at: float
    acknowledged_at: float | None = None
    posts: int = 0
    """How often it was posted, with retries and duplicates."""
    shown_at: float | None = None
    """When the first agent's screen showed it."""
    waited: bool = False
    """Its conversation had to wait for an agent, so the time to the screen says nothing about the system."""

    @property
    def contact_point_id(self) -> str:
        return contact_point_id(InboxId(self.inbox), self.address)

    @property
    def message_id(self) -> str:
        """The id under which every store must know it."""
        return incoming_message_id(
            contact_point_id(InboxId(self.inbox), self.address), self.provider_message_id
        )


@dataclass(slots=True)
class Outgoing:
    """One message that a provider was asked to send. `key`: our message id, or on Telegram chat and text."""

    channel: str
    key: str
    address: str
    text: str
    provider_message_id: str
    copies: int = 1
    """More than one: the customer would have seen it twice."""
    receipts: list[str] = field(default_factory=list)
    """Statuses of it that were posted and acknowledged."""


@dataclass(slots=True)
class Reply:
    """What an agent answered. Its text is like no other, so it names the reply on every channel."""

    conversation_id: str
    contact_point_id: str
    agent_id: str
    text: str
    outcome: str = ""
    """`done` or `accepted` as the desk said, `refused`, or nothing where no answer came."""
    message_id: str = ""


@dataclass
class Ledger:
    """The provider's side of the story. The demo's last question is whether the system's side agrees."""

    incoming: dict[tuple[str, str], Incoming] = field(default_factory=dict)
    """(inbox, contact point, provider's message id as one text) -> message."""
    outgoing: dict[tuple[str, str], Outgoing] = field(default_factory=dict)
    """(channel, key) -> message."""
    replies: dict[str, Reply] = field(default_factory=dict)
    """Text -> reply."""
    answers: Counter[str] = field(default_factory=Counter)
    """What posts were answered: `200`, `503`, `no_answer` …"""
    duplicates: int = 0
    repeated_requests: int = 0
    """Requests with an idempotency key that had been seen: dropped, as the contract says."""
    receipts_acknowledged: int = 0
    _by_message: dict[str, Incoming] = field(default_factory=dict)

    def said(self, message: Incoming) -> None:
        self.incoming[message.inbox, f"{message.address}/{message.provider_message_id}"] = message
        self._by_message[message.message_id] = message

    def by_message_id(self, message_id: str) -> Incoming | None:
        return self._by_message.get(message_id)

    def acknowledged(self) -> Iterator[Incoming]:
        return (one for one in self.incoming.values() if one.acknowledged_at is not None)

    def shown(self, message_id: str, at: float, *, waited: bool) -> None:
        """An agent's screen shows a customer's message."""
        one = self._by_message.get(message_id)
        if one is not None and one.shown_at is None:
            one.shown_at, one.waited = at, waited

    def latencies(self) -> list[float]:
        """Seconds from the scheduled webhook to the screen, of messages that did not have to wait for an agent."""
        return [
            one.shown_at - one.scheduled_at
            for one in self.incoming.values()
            if one.shown_at is not None and not one.waited
        ]

    def contact_points(self) -> set[str]:
        return {one.contact_point_id for one in self.incoming.values()}

    def unacknowledged(self) -> list[Incoming]:
        return [one for one in self.incoming.values() if one.acknowledged_at is None]


def percentile(values: list[float], share: float) -> float | None:
    """The smallest value that `share` of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]
