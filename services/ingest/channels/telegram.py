"""This file reads Telegram Bot API updates: one update per call, named by its `update_id`.

Facts: core.telegram.org/bots/api (Bot API 10.2) and core.telegram.org/bots/webhooks. The contact point is the chat. In
a private chat its id is the customer's; a group is a contact point of its own, whose members are no identifiers of it.
"""

import hmac
from collections.abc import Callable
from typing import Any

from libs.contracts.payloads.base import Content, Identifier
from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    SignalIngested,
)
from libs.contracts.vocabulary import ContentKind, IdentifierKind
from libs.workspace import Inbox
from services.ingest.channels.adapter import BadSignature, RawRequest, Unparsable, empty
from services.ingest.channels.forming import (
    NOBODY,
    Forming,
    Head,
    Party,
    fingerprint,
    key_of,
    phone_identifier,
)
from services.ingest.channels.reading import (
    Unreadable,
    integer_of,
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
from services.ingest.channels.telegram_content import content_of, service_of

SIGNALS = (
    *("my_chat_member", "chat_member", "chat_join_request", "chat_boost", "removed_chat_boost"),
    *("channel_post", "edited_channel_post", "message_reaction_count", "poll", "poll_answer"),
    *("inline_query", "chosen_inline_result", "shipping_query", "pre_checkout_query", "purchased_paid_media"),
    *("business_connection", "business_message", "edited_business_message", "deleted_business_messages"),
)
"""Kinds of update that are understood and that no conversation needs."""


class Telegram:
    """The adapter; see the table in adapter.py for what it answers."""

    keeps_unparsable = True
    answer = staticmethod(empty)  # a body would be taken for a call of a method

    def verify(self, request: RawRequest, inbox: Inbox) -> None:
        """`X-Telegram-Bot-Api-Secret-Token` is the secret itself; it does not cover the body."""
        expected = inbox.credentials["secret_token"].reveal().encode()
        given = request.headers.get("x-telegram-bot-api-secret-token", "").encode("utf-8", "replace")
        if not hmac.compare_digest(expected, given):
            raise BadSignature("X-Telegram-Bot-Api-Secret-Token is not ours")

    def parse(self, request: RawRequest, inbox: Inbox) -> list[Item]:
        body = json_of(request.body)
        if not isinstance(body, dict):
            raise Unparsable(f"expected an object, found {kind_of(body)}")
        forming = Forming(inbox, request.received_at)
        update = _Update(forming, body)
        forming.take(body, lambda _: update.head(), update.item)
        return forming.items


class _Update:
    """One update: an id and one object under the name of its kind."""

    def __init__(self, forming: Forming, body: dict[str, Any]) -> None:
        self.forming, self.body = forming, body
        self.kind = next((kind for kind in (*_READERS, *SIGNALS) if kind in body), "")
        self.value = object_of(body.get(self.kind))

    def head(self) -> Head:
        update_id = integer_of(self.body.get("update_id"))
        item_id = str(update_id) if update_id is not None else key_of("unread", fingerprint(self.body))
        date = self.value.get("edit_date") if self.kind == "edited_message" else self.value.get("date")
        return Head(item_id, unix_time(date, self.forming.received_at), self._party(), self.body)

    def item(self, head: Head) -> Item:
        if not self.kind:
            names = ", ".join(name[:60] for name in self.body if name != "update_id")[:200]
            raise Unreadable(f"an update of no known kind: {names or 'nothing'}")
        if not isinstance(self.body[self.kind], dict):
            raise Unreadable(f"expected an object '{self.kind}', found {kind_of(self.body[self.kind])}")
        read = _READERS.get(self.kind)
        if read is None:
            return self._signal(head)
        if not head.party.address:
            raise Unreadable(f"{self.kind} does not say in which chat")
        return read(self, head)

    def _party(self) -> Party:
        value = self.value
        chat = object_of(value.get("chat")) or object_of(object_of(value.get("message")).get("chat"))
        sender = object_of(value.get("from")) or object_of(value.get("user"))
        sender_id = integer_of(sender.get("id"))
        if not chat and self.kind == "callback_query":  # a button of an inline message: its chat is not told
            chat = {**sender, "type": "private"}
        chat_id = integer_of(chat.get("id"))
        if chat_id is None:
            return NOBODY
        if chat.get("type") != "private" and (chat.get("type") is not None or chat_id != sender_id):
            return Party(str(chat_id), name_of(chat.get("title")))
        user = Identifier(kind=IdentifierKind.CHANNEL_USER, value=f"telegram:{chat_id}", verified=True)
        own_phone = self._own_phone(sender_id)
        return Party(str(chat_id), full_name(sender or chat), (user, own_phone) if own_phone else (user,))

    def _own_phone(self, sender_id: int | None) -> Identifier | None:
        """Telegram vouches for the number of a contact card only where the card is the sender's own, and not passed on."""
        card = object_of(self.value.get("contact"))
        passed_on = self.value.get("forward_origin") or self.value.get("forward_date")
        if sender_id is None or integer_of(card.get("user_id")) != sender_id or passed_on:
            return None
        digits = "".join(c for c in text_of(card.get("phone_number")) if c.isascii() and c.isdigit())
        return phone_identifier(f"+{digits}") if digits else None

    def message(self, head: Head) -> Item:
        """A message, or what Telegram tells as one: somebody joined, a message was pinned."""
        common, number = self.forming.common(head), required(self.value.get("message_id"), "message_id")
        if service := service_of(self.value):
            detail = self.value[service]
            return SignalIngested(
                **common,
                kind=f"service.{service}",
                text=word_of(detail) or "" if not isinstance(detail, bool) else "",
            )
        replied = object_of(self.value.get("reply_to_message"))
        return MessageIngested(
            **common,
            provider_message_id=number,
            content=content_of(self.value, private=bool(head.party.identifiers)),
            reply_to=word_of(replied.get("message_id")),
        )

    def edited_message(self, head: Head) -> Item:
        number = required(self.value.get("message_id"), "message_id")
        content = content_of(self.value, private=bool(head.party.identifiers))
        return EditIngested(**self.forming.common(head), provider_message_id=number, content=content)

    def callback_query(self, head: Head) -> Item:
        """A button under a message was pressed: what a person can read of it is the button's label."""
        message, data = object_of(self.value.get("message")), text_of(self.value.get("data"))
        query = required(self.value.get("id"), "callback_query.id")
        details = {"type": "callback_query", "data": data}
        if game := text_of(self.value.get("game_short_name")):
            details["game"] = game
        return MessageIngested(
            **self.forming.common(head),
            provider_message_id=key_of("callback", query),
            content=Content(
                kind=ContentKind.INTERACTIVE, text=_label(message, data) or data, details=details
            ),
            reply_to=word_of(message.get("message_id")),
        )

    def message_reaction(self, head: Head) -> Item:
        """The whole new set of reactions; of several the first counts, none takes it away."""
        target = required(self.value.get("message_id"), "message_id")
        new = [object_of(reaction) for reaction in list_of(self.value.get("new_reaction"))]
        emoji = next((found for reaction in new if (found := _emoji(reaction))), None)
        return ReactionIngested(**self.forming.common(head), provider_message_id=target, emoji=emoji)

    def _signal(self, head: Head) -> Item:
        member = object_of(self.value.get("new_chat_member"))
        return SignalIngested(
            **self.forming.common(head), kind=self.kind, text=text_of(member.get("status"))[:60]
        )


_READERS: dict[str, Callable[[_Update, Head], Item]] = {
    "message": _Update.message,
    "edited_message": _Update.edited_message,
    "callback_query": _Update.callback_query,
    "message_reaction": _Update.message_reaction,
}


def full_name(user: dict[str, Any]) -> str | None:
    """First and last name of a user or private chat."""
    return name_of(f"{text_of(user.get('first_name'))} {text_of(user.get('last_name'))}")


def _label(message: dict[str, Any], data: str) -> str:
    """The text on the button with this data, from the keyboard under the message."""
    for row in list_of(object_of(message.get("reply_markup")).get("inline_keyboard")):
        for button in list_of(row):
            if object_of(button).get("callback_data") == data and data:
                return text_of(object_of(button).get("text"))
    return ""


def _emoji(reaction: dict[str, Any]) -> str | None:
    match reaction.get("type"):
        case "custom_emoji":
            return f"custom:{word_of(reaction.get('custom_emoji_id')) or 'unknown'}"
        case "paid":
            return "\N{WHITE MEDIUM STAR}"
        case _:
            return text_of(reaction.get("emoji"))[:60] or None
