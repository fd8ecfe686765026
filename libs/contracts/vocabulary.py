"""This file holds the closed lists of words that payloads use; a word from a newer writer reads as `unknown`."""

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """Base of all enumerations on the wire. Members added later do not break older readers."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls("unknown") if isinstance(value, str) and "unknown" in cls._value2member_map_ else None


class Channel(Word):
    WHATSAPP = "whatsapp"
    TELEGRAM = "telegram"
    WEBCHAT = "webchat"
    CUSTOM = "custom"
    UNKNOWN = "unknown"


class ContentKind(Word):
    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    INTERACTIVE = "interactive"
    ORDER = "order"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class MessageStatus(Word):
    """Receipts of an outgoing message; the lattice that orders them is in the router's domain."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"


class AuthorKind(Word):
    CUSTOMER = "customer"
    AGENT = "agent"
    BOT = "bot"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class IdentifierKind(Word):
    """`channel_user` is the channel's own sender id (value `<channel>:<id>`); `external` is the customer's id in the owner's system."""

    PHONE = "phone"
    EMAIL = "email"
    EXTERNAL = "external"
    WHATSAPP_USER = "whatsapp_user"
    CHANNEL_USER = "channel_user"
    DEVICE = "device"
    UNKNOWN = "unknown"


class Presence(Word):
    AVAILABLE = "available"
    BUSY = "busy"
    BREAK = "break"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class ConversationState(Word):
    OPEN = "open"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class WorkState(Word):
    QUEUED = "queued"
    OFFERED = "offered"
    CLAIMED = "claimed"
    AWAY = "away"
    ASSIGNED = "assigned"
    WRAPPING = "wrapping"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


VIP = "vip"
"""The tag of conversations with important customers: SLA policies may ask for it, and pools may raise their priority."""


class Metric(Word):
    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"
    TIME_TO_ASSIGNMENT = "time_to_assignment"
    PERIODIC_UPDATE = "periodic_update"
    UNKNOWN = "unknown"


class EntryKind(Word):
    MESSAGE = "message"
    NOTE = "note"
    STATUS = "status"
    CONVERSATION = "conversation"
    ASSIGNMENT = "assignment"
    SLA = "sla"
    IDENTITY = "identity"
    UNKNOWN = "unknown"
