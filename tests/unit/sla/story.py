"""This file tells conversations as the events that the service reads."""

from datetime import datetime, timedelta
from typing import Any

from libs.contracts.ids import ContactPointId, InboxId, contact_id, contact_point_id, conversation_id
from libs.contracts.payloads.assignments import Explanation, WorkAssigned, WorkCompleted
from libs.contracts.payloads.base import Author, Content
from libs.contracts.payloads.conversations import (
    ConversationEvent,
    ConversationOpened,
    ConversationReopened,
    ConversationResolved,
    ConversationSnoozed,
    ConversationTransferred,
    MessageQueued,
    MessageReceived,
)
from libs.contracts.vocabulary import AuthorKind, Channel, ContentKind
from libs.workspace import Pool, Queue, SlaPolicy, Workspace

GOLD = SlaPolicy(
    "gold",
    first_response=timedelta(minutes=15),
    next_response=timedelta(minutes=10),
    resolution=timedelta(hours=8),
    warn_at=(0.8,),
)
QUICK = SlaPolicy("quick", first_response=timedelta(minutes=1), warn_at=())
WORKSPACE = Workspace(
    id="shop",
    version="v1",
    pools={"support": Pool("support")},
    queues={
        "general": Queue("general", "support", sla="gold"),
        "quick": Queue("quick", "support", sla="quick"),
        "free": Queue("free", "support"),
    },
    sla_policies={"gold": GOLD, "quick": QUICK},
)

AGENT = Author(kind=AuthorKind.AGENT, agent_id="ayu")
BOT = Author(kind=AuthorKind.BOT, name="greeter")
CUSTOMER = Author(kind=AuthorKind.CUSTOMER)


class Talk:
    """One conversation; each method is its next event, in the router's order."""

    def __init__(self, name: str, queue: str = "general") -> None:
        self.point: ContactPointId = contact_point_id(InboxId("wa-main"), name)
        self.id = conversation_id(self.point, 1)
        self.queue = queue
        self.version = 0

    def _next(self, at: datetime) -> dict[str, Any]:
        self.version += 1
        return {
            "conversation_id": self.id,
            "contact_point_id": self.point,
            "contact_id": contact_id(self.point),
            "inbox_id": "wa-main",
            "version": self.version,
            "occurred_at": at,
        }

    def opened(self, at: datetime) -> ConversationEvent:
        return ConversationOpened(
            **self._next(at), channel=Channel.WHATSAPP, queue=self.queue, pool="support"
        )

    def reopened(self, at: datetime) -> ConversationEvent:
        return ConversationReopened(**self._next(at), queue=self.queue, pool="support")

    def resolved(self, at: datetime) -> ConversationEvent:
        return ConversationResolved(**self._next(at), by=AGENT)

    def snoozed(self, at: datetime) -> ConversationEvent:
        return ConversationSnoozed(**self._next(at), by=AGENT, until=at + timedelta(hours=1))

    def transferred(self, at: datetime, queue: str) -> ConversationEvent:
        return ConversationTransferred(**self._next(at), by=AGENT, queue=queue)

    def asked(self, at: datetime, author: Author = CUSTOMER) -> ConversationEvent:
        return MessageReceived(
            **self._next(at),
            message_id=f"msg_{self.version}",
            provider_message_id=f"wamid.{self.version}",
            author=author,
            content=Content(kind=ContentKind.TEXT, text="Halo"),
        )

    def answered(self, at: datetime, author: Author = AGENT) -> ConversationEvent:
        return MessageQueued(
            **self._next(at),
            message_id=f"msg_{self.version}",
            author=author,
            content=Content(kind=ContentKind.TEXT, text="Selamat pagi"),
        )

    def _work(self, at: datetime, work_item: str) -> dict[str, Any]:
        return {
            "work_item_id": work_item,
            "conversation_id": self.id,
            "contact_point_id": self.point,
            "pool": "support",
            "queue": self.queue,
            "version": 1,
            "occurred_at": at,
        }

    def assigned(self, at: datetime, agent: str = "ayu", work_item: str = "wki_1") -> WorkAssigned:
        why = Explanation(policy="p", policy_version="v1", strategy="longest_idle")
        return WorkAssigned(**self._work(at, work_item), agent_id=agent, waited_seconds=0.0, explanation=why)

    def completed(self, at: datetime, work_item: str = "wki_1") -> WorkCompleted:
        return WorkCompleted(**self._work(at, work_item), reason="resolved")
