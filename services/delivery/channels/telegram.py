"""This file speaks the Telegram Bot API: POST /bot<token>/<method>.

The token stands in the address, so an address is never logged. Telegram has no idempotency key and sends no receipts:
a request that ended in doubt is sent again, and the customer may then see it twice.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.contracts.payloads.base import Content
from libs.contracts.vocabulary import ContentKind
from libs.workspace import Inbox
from services.delivery.channels.channel import ProviderRequest, Unsendable
from services.delivery.channels.reading import json_object, member, retry_after, seconds, words
from services.delivery.domain.answers import Accepted, Answer, Fault, Refused, RetryLater, Unknown
from services.delivery.effects import SendMessage

PUBLIC_ADDRESS = "https://api.telegram.org"
LONGEST_TEXT, LONGEST_CAPTION = 4096, 1024

MEDIA = {
    ContentKind.IMAGE: ("sendPhoto", "photo"),
    ContentKind.VIDEO: ("sendVideo", "video"),
    ContentKind.AUDIO: ("sendAudio", "audio"),
    ContentKind.DOCUMENT: ("sendDocument", "document"),
    ContentKind.STICKER: ("sendSticker", "sticker"),
}


class Telegram:
    per_second = 30.0
    per_address: float | None = 1.0
    repeatable = True

    def request(self, message: SendMessage, inbox: Inbox, at: datetime) -> ProviderRequest:  # noqa: ARG002
        method, fields = _content(message.content)
        body: dict[str, Any] = {"chat_id": _chat(message.address), **fields}
        if message.reply_to and message.reply_to.rpartition("/")[2].isdigit():
            # The answered message may have been deleted meanwhile; the answer must go out all the same.
            quoted = int(message.reply_to.rpartition("/")[2])
            body["reply_parameters"] = {"message_id": quoted, "allow_sending_without_reply": True}
        base = (inbox.provider.base_url or PUBLIC_ADDRESS).rstrip("/")
        return ProviderRequest(
            url=f"{base}/bot{inbox.credentials['bot_token'].reveal()}/{method}",
            body=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        said = json_object(body)
        if said.get("ok") is True:
            found = member(said, "result").get("message_id")
            return Accepted(str(found) if isinstance(found, int) else None)
        code = said.get("error_code") if isinstance(said.get("error_code"), int) else status
        fault = Fault(str(code), words(said.get("description")))
        wait = seconds(member(said, "parameters").get("retry_after")) or retry_after(headers)
        if code == 429:
            return RetryLater(fault, wait, inbox_wide=True)
        if code == 200 or (status >= 500 and not said):
            return Unknown(Fault(f"http_{status}", "not an answer of the Bot API"))
        if status >= 500 or status in (408, 425):
            return RetryLater(fault, wait)
        return Refused(fault)


def _chat(address: str) -> int | str:
    """Chats are numbers, public channels are @names."""
    return int(address) if address.lstrip("-").isdigit() else address


def _content(content: Content) -> tuple[str, dict[str, Any]]:
    if content.kind is ContentKind.TEXT:
        return "sendMessage", {"text": _within(content.text, LONGEST_TEXT)}
    if content.kind in MEDIA and len(content.media) == 1:
        method, name = MEDIA[content.kind]
        file = content.media[0].provider_id or content.media[0].url
        if not file:
            raise Unsendable("unsupported_content", "the file has neither a link nor a provider's id")
        fields: dict[str, Any] = {name: file}
        if content.text and content.kind is not ContentKind.STICKER:
            fields["caption"] = _within(content.text, LONGEST_CAPTION)
        return method, fields
    if content.kind is ContentKind.LOCATION and content.location is not None:
        place = content.location
        return "sendLocation", {"latitude": place.latitude, "longitude": place.longitude}
    raise Unsendable("unsupported_content", f"Telegram cannot carry {content.kind} from here")


def _within(text: str, limit: int) -> str:
    if not text:
        raise Unsendable("empty", "there is no text to send")
    # Telegram counts UTF-16 code units: an emoji outside the basic plane is two.
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if units > limit:
        raise Unsendable("too_long", f"Telegram takes {limit} characters, this is {units}")
    return text
