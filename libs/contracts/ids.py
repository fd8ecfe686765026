"""This file makes and names the ids; every id is a pure function of what it identifies."""

from base64 import b32encode
from hashlib import blake2b
from typing import NewType

InboxId = NewType("InboxId", str)
ContactPointId = NewType("ContactPointId", str)
ContactId = NewType("ContactId", str)
ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
WorkItemId = NewType("WorkItemId", str)
AgentId = NewType("AgentId", str)
ReservationId = NewType("ReservationId", str)
ClockId = NewType("ClockId", str)
EntryId = NewType("EntryId", str)


def digest(*parts: str | int, size: int = 15) -> str:
    """Lower-case base32 text of BLAKE2b over the parts; parts are length-prefixed, so ("ab","c") != ("a","bc")."""
    state = blake2b(digest_size=size)
    for part in parts:
        raw = str(part).encode("utf-8", "surrogatepass")
        state.update(len(raw).to_bytes(4, "big"))
        state.update(raw)
    return b32encode(state.digest()).decode("ascii").rstrip("=").lower()


def contact_point_id(inbox: InboxId, address: str) -> ContactPointId:
    """One address on one inbox, e.g. a phone number that wrote to our WhatsApp number."""
    return ContactPointId("cpt_" + digest(inbox, address))


def contact_id(first: ContactPointId) -> ContactId:
    """The person, named after the first contact point that was seen."""
    return ContactId("con_" + digest(first))


def conversation_id(contact_point: ContactPointId, number: int) -> ConversationId:
    """The number-th conversation (from 1) with a contact point."""
    return ConversationId("cnv_" + digest(contact_point, number))


def incoming_message_id(contact_point: ContactPointId, provider_message_id: str) -> MessageId:
    return MessageId("msg_" + digest("in", contact_point, provider_message_id))


def outgoing_message_id(contact_point: ContactPointId, command: str) -> MessageId:
    """`command` is the command's own id, so that a repeated command names the same message."""
    return MessageId("msg_" + digest("out", contact_point, command))


def work_item_id(conversation: ConversationId, number: int) -> WorkItemId:
    """The number-th claim on attention (from 1) that a conversation makes."""
    return WorkItemId("wki_" + digest(conversation, number))


def reservation_id(work_item: WorkItemId, number: int) -> ReservationId:
    return ReservationId("rsv_" + digest(work_item, number))


def clock_id(conversation: ConversationId, metric: str, number: int) -> ClockId:
    return ClockId("clk_" + digest(conversation, metric, number))


def entry_id(source: str, event_id: str) -> EntryId:
    """A timeline entry is the trace of exactly one event."""
    return EntryId("ent_" + digest(source, event_id))
