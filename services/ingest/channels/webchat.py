"""This file reads the project's own web chat: what a visitor's page sends, over the socket or by POST (docs/channels-webchat.md)."""

from typing import Any

from libs.contracts.payloads.inbound import Item
from libs.workspace import Inbox
from services.ingest.channels.adapter import RawRequest, Unparsable
from services.ingest.channels.forming import Forming, Head, Party, fingerprint, key_of
from services.ingest.channels.own_form import item_of, items_list, report
from services.ingest.channels.reading import Unreadable, json_of, object_of, text_of, word_of
from services.ingest.channels.webchat_session import bearer, read_token

LONGEST_TEXT = 10_000
TRUSTED = {"message": ("id", "kind", "text", "reply_to"), "receipt": ("id", "kind", "message_id", "status")}
"""What a page may say. Anything else, a time or a file's address among it, is a stranger's word and is not passed on."""


class WebChat:
    """The adapter; see the table in adapter.py for what it answers. Every call carries a session token."""

    keeps_unparsable = False
    answer = staticmethod(report)

    def verify(self, request: RawRequest, inbox: Inbox) -> None:
        """`Authorization: Bearer <session token>`."""
        read_token(bearer(request.headers), inbox, request.received_at)

    def parse(self, request: RawRequest, inbox: Inbox) -> list[Item]:
        """One item, or several under `items`. The visitor is the one of the token; without any, an anonymous one."""
        body = json_of(request.body)
        raws = items_list(body)
        if raws is None and not isinstance(body, dict):
            raise Unparsable("expected an object")
        token = bearer(request.headers)
        party = read_token(token, inbox, request.received_at).party if token else Party("anonymous")
        forming = Forming(inbox, request.received_at)
        for raw in [body] if raws is None else raws:
            forming.take(raw, lambda found: _head(found, party, forming), lambda head: _item(head, forming))
        return forming.items


def _head(raw: dict[str, Any], party: Party, forming: Forming) -> Head:
    """A page names its messages itself, so the name counts for its visitor only."""
    kind = text_of(raw.get("kind")) or "message"
    said = {name: raw[name] for name in TRUSTED.get(kind, ("id", "kind")) if name in raw}
    if kind == "receipt":
        target = word_of(raw.get("message_id")) or ""
        name = f"receipt/{target}/{text_of(raw.get('status'))[:20]}"
        said = {**said, "id": name, "correlation": target}
    else:
        name = word_of(raw.get("id")) or f"unread/{fingerprint(raw)}"
    return Head(key_of(party.address, name), forming.received_at, party, said)


def _item(head: Head, forming: Forming) -> Item:
    kind = text_of(head.raw.get("kind")) or "message"
    if kind not in TRUSTED:
        raise Unreadable(f"kind {kind[:60]!r} is none of {', '.join(TRUSTED)}")
    if kind == "receipt" and object_of(head.raw).get("status") not in ("delivered", "read"):
        raise Unreadable("status: expected delivered or read")
    if len(text_of(head.raw.get("text"))) > LONGEST_TEXT:
        raise Unreadable(f"text: expected at most {LONGEST_TEXT} characters")
    return item_of(forming, head)
