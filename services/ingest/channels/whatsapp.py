"""This file reads WhatsApp Cloud API webhooks: `entry[].changes[].value.{messages, statuses, errors, ...}[]`, all of them.

Facts: developers.facebook.com/documentation/business-messaging/whatsapp (webhooks reference, business-scoped user ids).
"""

import hashlib
import hmac
from typing import Any

from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    ReceiptIngested,
    SignalIngested,
)
from libs.contracts.vocabulary import MessageStatus
from libs.workspace import Inbox
from services.ingest.channels.adapter import (
    Answer,
    BadSignature,
    HandshakeRefused,
    RawRequest,
    Unparsable,
    empty,
)
from services.ingest.channels.forming import NOBODY, Forming, Head, Party, fingerprint, key_of
from services.ingest.channels.reading import (
    Unreadable,
    json_of,
    kind_of,
    list_of,
    name_of,
    object_of,
    required,
    text_of,
    unix_time,
    word_of,
)
from services.ingest.channels.whatsapp_content import content_of, error_of, error_text
from services.ingest.channels.whatsapp_party import customer, group, names_of

STATUSES = {
    "sent": MessageStatus.SENT,
    "delivered": MessageStatus.DELIVERED,
    "read": MessageStatus.READ,
    "played": MessageStatus.READ,  # a voice message that was listened to
    "failed": MessageStatus.FAILED,
}
MESSAGE_LISTS = {"messages", "statuses", "errors"}
"""What a change of the field `messages` may hold; reduced bodies have been seen that name no field."""
SIGNALS = {"system", "request_welcome"}
"""Message types that are no messages of the customer's."""


class WhatsApp:
    """The adapter; see the table in adapter.py for what it answers."""

    keeps_unparsable = True
    answer = staticmethod(empty)

    def handshake(self, request: RawRequest, inbox: Inbox) -> Answer:
        """`hub.mode=subscribe` with our verify token is answered with the bare challenge."""
        expected = inbox.credentials["verify_token"].reveal().encode()
        given = request.query.get("hub.verify_token", "").encode("utf-8", "replace")
        challenge = request.query.get("hub.challenge", "")
        if request.query.get("hub.mode") != "subscribe" or not hmac.compare_digest(expected, given):
            raise HandshakeRefused("hub.mode or hub.verify_token is not ours")
        return Answer(challenge.encode("utf-8", "replace"))

    def verify(self, request: RawRequest, inbox: Inbox) -> None:
        """`X-Hub-Signature-256: sha256=<hex HMAC-SHA256(app secret, raw body)>`."""
        secret = inbox.credentials["app_secret"].reveal().encode()
        expected = "sha256=" + hmac.new(secret, request.body, hashlib.sha256).hexdigest()
        given = request.headers.get("x-hub-signature-256", "")
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise BadSignature("X-Hub-Signature-256 does not match the body")

    def parse(self, request: RawRequest, inbox: Inbox) -> list[Item]:
        body = json_of(request.body)
        if not isinstance(body, dict) or not isinstance(body.get("entry"), list):
            raise Unparsable("expected an object with a list 'entry'")
        forming = Forming(inbox, request.received_at)
        for entry in body["entry"]:
            changes = object_of(entry).get("changes")
            if not isinstance(changes, list):
                forming.keep(entry, f"expected a list 'changes', found {kind_of(changes)}")
                continue
            for change in changes:
                _Change(forming, object_of(entry), change).read()
        if not forming.items:
            raise Unparsable("the body holds no item")
        return forming.items


class _Change:
    """One element of `changes`: a field's name and its value."""

    def __init__(self, forming: Forming, entry: dict[str, Any], change: object) -> None:
        self.forming, self.change = forming, change
        self.entry_id, self.entry_time = word_of(entry.get("id")) or "", entry.get("time")
        self.field = text_of(object_of(change).get("field"))
        self.value = object_of(object_of(change).get("value"))
        self.names = names_of(self.value)

    def read(self) -> None:
        if not isinstance(object_of(self.change).get("value"), dict):
            self.forming.keep(self.change, "expected an object 'value'")
        elif reason := self._not_ours():
            self.forming.keep(self.change, reason)
        elif self.field == "messages" or (not self.field and not MESSAGE_LISTS.isdisjoint(self.value)):
            self._each({"messages": self._message, "statuses": self._status, "errors": self._error})
        elif self.field == "smb_message_echoes":
            self._each({"message_echoes": self._echo})
        elif self.field == "calls":
            self._each({"calls": self._call, "statuses": self._status, "errors": self._error})
        elif self.field in ("user_preferences", "user_id_update"):
            self._each({self.field: self._about_customer})
        else:
            self.forming.take(self.change, self._other_head, self._other)

    def _not_ours(self) -> str | None:
        """Meta sends what happens to any number of the account to every subscribed address."""
        expected = self.forming.inbox.credentials.get("phone_number_id")
        given = object_of(self.value.get("metadata")).get("phone_number_id")
        if expected is None or given is None or str(given) == expected.reveal():
            return None
        return f"phone_number_id {word_of(given) or kind_of(given)} is not this inbox's"

    def _each(self, readers: dict[str, Any]) -> None:
        """Every element of every list that this field may carry."""
        found = False
        for name, read in readers.items():
            if name not in self.value:
                continue
            if not isinstance(self.value[name], list):
                self.forming.keep(self.change, f"expected a list '{name}', found {kind_of(self.value[name])}")
                found = True
            for raw in list_of(self.value[name]):
                read(raw)
                found = True
        if not found:
            self.forming.keep(self.change, f"none of {', '.join(readers)} in a change of {self.field[:60]!r}")

    def _message(self, raw: object) -> None:
        self.forming.take(raw, self._message_head, lambda head: self._message_item(head, echo=False))

    def _echo(self, raw: object) -> None:
        """What the business wrote in WhatsApp's own app: from the business, to the customer."""
        self.forming.take(raw, self._echo_head, lambda head: self._message_item(head, echo=True))

    def _message_head(self, raw: dict[str, Any]) -> Head:
        system = object_of(raw.get("system"))
        party = group(raw) or customer(
            raw.get("from"),
            raw.get("from_user_id") or system.get("previous_user_id") or system.get("user_id"),
            self.names,
            alone=raw.get("from") is None and raw.get("from_user_id") is None,
            also=system,
        )
        return self._head(raw, party)

    def _echo_head(self, raw: dict[str, Any]) -> Head:
        return self._head(raw, group(raw) or customer(raw.get("to"), raw.get("to_user_id"), self.names))

    def _head(self, raw: dict[str, Any], party: Party, *key: str) -> Head:
        name = word_of(raw.get("id"))
        item_id = key_of(name, *key) if name else key_of("unread", fingerprint([self.entry_id, raw]))
        return Head(item_id, unix_time(raw.get("timestamp"), self.forming.received_at), party, raw)

    def _message_item(self, head: Head, *, echo: bool) -> Item:
        raw, kind = head.raw, text_of(head.raw.get("type"))
        common = self.forming.common(head)
        if kind in SIGNALS:
            system = object_of(raw.get("system"))
            word = text_of(system.get("type"))[:60]
            return SignalIngested(
                **common, kind=f"{kind}.{word}" if word else kind, text=text_of(system.get("body"))
            )
        if not head.party.address:
            raise Unreadable("neither 'from' nor a user id names the customer")
        wamid = required(raw.get("id"), "id")
        match kind:
            case "reaction":
                reaction = object_of(raw.get("reaction"))
                target = required(reaction.get("message_id"), "reaction.message_id")
                # Taken away: the emoji is empty, or missing.
                emoji = text_of(reaction.get("emoji"))[:60] or None
                return ReactionIngested(**common, provider_message_id=target, emoji=emoji)
            case "edit":
                edit = object_of(raw.get("edit"))
                target = required(edit.get("original_message_id"), "edit.original_message_id")
                content = content_of(object_of(edit.get("message")), head.party)
                return EditIngested(**common, provider_message_id=target, content=content)
            case "revoke":
                revoke = object_of(raw.get("revoke"))
                target = required(revoke.get("original_message_id"), "revoke.original_message_id")
                return EditIngested(**common, provider_message_id=target, content=None)
            case "interactive" if object_of(raw.get("interactive")).get("type") == "call_permission_reply":
                reply = object_of(object_of(raw.get("interactive")).get("call_permission_reply"))
                return SignalIngested(
                    **common, kind="call_permission", text=text_of(reply.get("response"))[:60]
                )
        return MessageIngested(
            **common,
            provider_message_id=wamid,
            content=content_of(raw, head.party),
            reply_to=word_of(object_of(raw.get("context")).get("id")),
            echo=echo,
        )

    def _status(self, raw: object) -> None:
        self.forming.take(raw, self._status_head, self._status_item)

    def _status_head(self, raw: dict[str, Any]) -> Head:
        """The same contact point as that of the customer's messages: the number, else the user id; for a group, the group."""
        if raw.get("recipient_type") == "group":
            participant = raw.get("recipient_participant_id") or raw.get("recipient_participant_user_id")
            party = Party(word_of(raw.get("recipient_id")) or "")
        else:
            party = customer(raw.get("recipient_id"), raw.get("recipient_user_id"), self.names)
            participant = party.address
        return self._head(raw, party, text_of(raw.get("status"))[:60], word_of(participant) or "")

    def _status_item(self, head: Head) -> Item:
        raw, word = head.raw, text_of(head.raw.get("status"))
        common = self.forming.common(head)
        if raw.get("type") in ("call", "payment"):
            return SignalIngested(**common, kind=f"{raw['type']}.{word.lower()[:60]}")
        status = STATUSES.get(word)
        if status is None:
            raise Unreadable(f"status {word[:60]!r} is not known here")
        if not head.party.address:
            raise Unreadable("neither 'recipient_id' nor a user id names the customer")
        errors = list_of(raw.get("errors"))
        return ReceiptIngested(
            **common,
            provider_message_id=required(raw.get("id"), "id"),
            status=status,
            correlation=word_of(raw.get("biz_opaque_callback_data")),
            error=error_of(errors[0]) if errors else None,
        )

    def _call(self, raw: object) -> None:
        self.forming.take(raw, self._call_head, self._call_item)

    def _call_head(self, raw: dict[str, Any]) -> Head:
        ours = raw.get("direction") == "BUSINESS_INITIATED"
        party = customer(raw.get("to" if ours else "from"), None, self.names)
        return self._head(raw, party, text_of(raw.get("event"))[:60])

    def _call_item(self, head: Head) -> Item:
        event, status = text_of(head.raw.get("event")), text_of(head.raw.get("status"))
        return SignalIngested(**self.forming.common(head), kind=f"call.{event[:60]}", text=status[:60])

    def _error(self, raw: object) -> None:
        """`value.errors`: not about one message."""
        self.forming.take(
            raw,
            lambda error: self._head_without_id(error, NOBODY, self.entry_time),
            lambda head: SignalIngested(
                **self.forming.common(head), kind="provider_error", text=error_text(head.raw)
            ),
        )

    def _about_customer(self, raw: object) -> None:
        """A customer's preferences, or the user id that replaced another one: old and new name the same person."""
        self.forming.take(
            raw,
            self._about_customer_head,
            lambda head: SignalIngested(
                **self.forming.common(head), kind=self.field, text=text_of(head.raw.get("detail"))[:500]
            ),
        )

    def _about_customer_head(self, raw: dict[str, Any]) -> Head:
        user_id = raw.get("user_id")
        ids = user_id if isinstance(user_id, dict) else {"current": user_id}
        old, new = ids.get("previous"), ids.get("current")
        party = customer(raw.get("wa_id"), old or new, self.names, also={"user_id": new})
        return self._head_without_id(raw, party, raw.get("timestamp"))

    def _head_without_id(self, raw: dict[str, Any], party: Party, time: object) -> Head:
        """Named by its content and the time of its entry: a repeated call has the same, a later notice another."""
        item_id = key_of(self.field or "messages", fingerprint([self.entry_id, self.entry_time, raw]))
        return Head(item_id, unix_time(time, self.forming.received_at), party, raw)

    def _other_head(self, raw: dict[str, Any]) -> Head:
        return self._head_without_id(raw, NOBODY, self.entry_time)

    def _other(self, head: Head) -> Item:
        """Account notices, templates, groups, history: nothing that a conversation needs, kept for whoever wants it."""
        event = name_of(self.value.get("event")) or name_of(self.value.get("decision")) or ""
        return SignalIngested(**self.forming.common(head), kind=self.field[:60] or "no_field", text=event)
