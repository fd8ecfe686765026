"""This file makes webhooks as the providers make them: their bodies (WhatsApp Cloud API v24, Bot API 10.2) and signatures."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Person:
    """A customer as a channel knows them. `address`: digits of a phone, a chat id, a visitor or member id."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a customer. `kind` is the channel-neutral word: text, image, location, sticker."""

    person: Person
    provider_message_id: str
    at: datetime
    text: str
    kind: str = "text"
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider's word on a message of ours. `correlation` is what we sent along to have it back."""

    address: str
    provider_message_id: str
    status: str
    at: datetime
    correlation: str


@dataclass(frozen=True, slots=True)
class WhatsAppShape:
    app_secret: str
    phone_number_id: str
    display_number: str = "15550783881"

    def messages(self, said: Sequence[Said]) -> bytes:
        """All of them in one body; each person's name once."""
        people = {one.person.address: one.person for one in said}
        contacts = [{"profile": {"name": p.name}, "wa_id": p.address} for p in people.values()]
        return self._body({"contacts": contacts, "messages": [self._message(one) for one in said]})

    def statuses(self, receipts: Sequence[Receipt]) -> bytes:
        return self._body(
            {
                "statuses": [
                    {
                        "id": one.provider_message_id,
                        "status": one.status,
                        "timestamp": _unix(one.at),
                        "recipient_id": one.address,
                        "biz_opaque_callback_data": one.correlation,
                    }
                    for one in receipts
                ]
            }
        )

    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002
        mac = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "x-hub-signature-256": f"sha256={mac}"}

    def _message(self, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {
            "from": said.person.address,
            "id": said.provider_message_id,
            "timestamp": _unix(said.at),
        }
        if said.reply_to:
            message["context"] = {"from": self.display_number, "id": said.reply_to}
        match said.kind:
            case "image":
                picture = {
                    "mime_type": "image/jpeg",
                    "sha256": "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI=",
                    "id": "1003383421387256",
                }
                message |= {"type": "image", "image": {"caption": said.text, **picture}}
            case "location":
                message |= {
                    "type": "location",
                    "location": {"latitude": -7.2575, "longitude": 112.7521, "name": said.text},
                }
            case _:
                message |= {"type": "text", "text": {"body": said.text}}
        return message

    def _body(self, value: dict[str, Any]) -> bytes:
        metadata = {"display_phone_number": self.display_number, "phone_number_id": self.phone_number_id}
        change = {
            "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
            "field": "messages",
        }
        whole = {
            "object": "whatsapp_business_account",
            "entry": [{"id": "102290129340398", "changes": [change]}],
        }
        # Meta escapes everything beyond ASCII, and signs what it sends.
        return json.dumps(whole, ensure_ascii=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class TelegramShape:
    secret_token: str

    def update(self, update_id: int, said: Said) -> bytes:
        """One update: Telegram never sends more at once."""
        first, _, last = said.person.name.partition(" ")
        chat_id = int(said.person.address)
        who = {"id": chat_id, "first_name": first, "last_name": last}
        message: dict[str, Any] = {
            "message_id": int(said.provider_message_id),
            "from": {**who, "is_bot": False, "language_code": "id"},
            "chat": {**who, "type": "private"},
            "date": int(said.at.timestamp()),
        }
        match said.kind:
            case "image":
                size = {
                    "file_id": "AgACAgIAAxkBAAIC",
                    "file_unique_id": "AQADBQ",
                    "width": 90,
                    "height": 67,
                    "file_size": 1253,
                }
                message |= {"photo": [size], "caption": said.text}
            case "location":
                message |= {"location": {"latitude": -6.9175, "longitude": 107.6191}}
            case _:
                message |= {"text": said.text}
        return json.dumps({"update_id": update_id, "message": message}, ensure_ascii=False).encode()

    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002
        return {"content-type": "application/json", "x-telegram-bot-api-secret-token": self.secret_token}


@dataclass(frozen=True, slots=True)
class CustomShape:
    signing_key: str

    def messages(self, said: Sequence[Said]) -> bytes:
        return self._body([self._message(one) for one in said])

    def receipts(self, receipts: Sequence[Receipt]) -> bytes:
        return self._body(
            [
                {
                    "id": f"{one.provider_message_id}/{one.status}",
                    "kind": "receipt",
                    "from": {"address": one.address},
                    "at": one.at.isoformat(),
                    "message_id": one.provider_message_id,
                    "status": one.status,
                    "correlation": one.correlation,
                }
                for one in receipts
            ]
        )

    def headers(self, body: bytes, at: datetime) -> Mapping[str, str]:
        """The time is signed too, so a repetition is signed anew."""
        moment = int(at.timestamp())
        mac = hmac.new(self.signing_key.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "x-sambung-signature": f"t={moment},v1={mac}"}

    def _message(self, said: Said) -> dict[str, Any]:
        member = {"kind": "external", "value": said.person.address, "verified": True}
        return {
            "id": said.provider_message_id,
            "kind": "message",
            "from": {"address": said.person.address, "name": said.person.name, "identifiers": [member]},
            "at": said.at.isoformat(),
            "text": said.text,
        }

    def _body(self, items: list[dict[str, Any]]) -> bytes:
        return json.dumps({"items": items}, ensure_ascii=False).encode()


@dataclass
class Numbers:
    """Gives out the ids that a provider gives out. `run` keeps those of one run apart from those of another."""

    run: str
    update_id: int = 0
    _message: int = 0
    _chats: dict[str, int] = field(default_factory=dict)

    def wamid(self) -> str:
        self._message += 1
        return f"wamid.HBgN{self.run}{self._message:08X}A="

    def update(self) -> int:
        self.update_id += 1
        return self.update_id

    def in_chat(self, chat: str) -> str:
        """Telegram numbers the messages of a chat, both directions together."""
        self._chats[chat] = self._chats.get(chat, 0) + 1
        return str(self._chats[chat])

    def item(self, kind: str) -> str:
        self._message += 1
        return f"{kind}-{self.run}-{self._message}"


def _unix(at: datetime) -> str:
    return str(int(at.astimezone(UTC).timestamp()))
