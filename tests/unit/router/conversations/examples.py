"""This file holds the workspace, the people and the items that tests of conversations share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.contracts.ids import ContactPointId, InboxId, contact_id, contact_point_id, conversation_id
from libs.contracts.payloads.base import Author, Content, Identifier
from libs.contracts.payloads.inbound import MessageIngested
from libs.contracts.vocabulary import AuthorKind, Channel, ContentKind, ConversationState, IdentifierKind
from libs.workspace import Agent, Inbox, Pool, Queue, Workspace
from services.router.conversations.domain.conversation import ContactPoint, Conversation

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

WORKSPACE = Workspace(
    id="toko",
    version="1",
    inboxes={
        "wa": Inbox("wa", Channel.WHATSAPP, "umum"),
        "web": Inbox("web", Channel.WEBCHAT, "umum", reopen_window=2 * HOUR),
        "tg": Inbox("tg", Channel.TELEGRAM, "umum"),
    },
    queues={
        "umum": Queue("umum", "layanan", skills={"bahasa": 1}, sla="standar"),
        "prioritas": Queue("prioritas", "layanan", skills={"bahasa": 3}, prefers={"refund": 4}, priority=10),
        "gudang": Queue("gudang", "logistik"),
    },
    pools={"layanan": Pool("layanan"), "logistik": Pool("logistik", idle_release=timedelta(minutes=10))},
    agents={
        "ayu": Agent("ayu", "Ayu Lestari", "layanan"),
        "budi": Agent("budi", "Budi Santoso", "layanan", skills={"refund": 3}),
        "gani": Agent("gani", "Gani", "logistik", queues=("gudang",)),
        "hendra": Agent("hendra", "Hendra Wijaya", "layanan", role="supervisor"),
    },
)

AYU, BUDI, GANI, HENDRA, NOBODY = (
    Author(kind=AuthorKind.AGENT, agent_id=name) for name in ("ayu", "budi", "gani", "hendra", "nobody")
)
BOT = Author(kind=AuthorKind.BOT)

SITI = "6281234567890"


def point_of(address: str = SITI, inbox: str = "wa") -> ContactPointId:
    return contact_point_id(InboxId(inbox), address)


def phone(value: str, *, verified: bool = True) -> Identifier:
    return Identifier(kind=IdentifierKind.PHONE, value=value, verified=verified)


def email(value: str, *, verified: bool = True) -> Identifier:
    return Identifier(kind=IdentifierKind.EMAIL, value=value, verified=verified)


def external(value: str, *, verified: bool = True) -> Identifier:
    return Identifier(kind=IdentifierKind.EXTERNAL, value=value, verified=verified)


def text(words: str) -> Content:
    return Content(kind=ContentKind.TEXT, text=words)


def message(
    name: str = "wamid.1",
    *,
    address: str = SITI,
    inbox: str = "wa",
    at: datetime = NOON,
    words: str = "halo",
    identifiers: tuple[Identifier, ...] = (),
    **more: Any,
) -> MessageIngested:
    """A customer's message as an adapter makes it."""
    return MessageIngested(
        item_id=name,
        inbox_id=inbox,
        channel=WORKSPACE.inboxes[inbox].channel,
        address=address,
        contact_point_id=point_of(address, inbox),
        occurred_at=at,
        provider_message_id=name,
        content=text(words),
        identifiers=identifiers,
        **more,
    )


def contact_point(address: str = SITI, inbox: str = "wa") -> ContactPoint:
    name = point_of(address, inbox)
    channel = WORKSPACE.inboxes[inbox].channel
    return ContactPoint(name, contact_id(name), inbox, channel, address, None, NOON)


def conversation(state: ConversationState = ConversationState.OPEN, **changes: Any) -> Conversation:
    """One on WhatsApp in which the customer wrote at noon."""
    point = contact_point()
    made = Conversation(
        conversation_id=conversation_id(point.contact_point_id, 1),
        contact_point_id=point.contact_point_id,
        contact_id=point.contact_id,
        inbox_id="wa",
        channel=Channel.WHATSAPP,
        number=1,
        state=state,
        version=1,
        queue="umum",
        pool="layanan",
        opened_at=NOON,
        changed_at=NOON,
        resolved_at=NOON if state is ConversationState.RESOLVED else None,
        customer_wrote_at=NOON,
    )
    return replace(made, **changes)
