"""This file speaks the WhatsApp Cloud API: POST /<version>/<phone number id>/messages.

Rate limits come as HTTP 400 with a code, not as 429, so the code decides and the status only where there is none.
There is no idempotency key. `biz_opaque_callback_data` carries our message id and comes back in every receipt: a send
that ended in doubt is settled by the receipt, and repeated only when none has come in time.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.contracts.payloads.base import Content, Media
from libs.contracts.vocabulary import ContentKind
from libs.workspace import Inbox
from services.delivery.channels.channel import ProviderRequest, Unsendable
from services.delivery.channels.reading import json_object, member, retry_after, words
from services.delivery.domain.answers import Accepted, Answer, Fault, Refused, RetryLater, Unknown
from services.delivery.effects import SendMessage

PUBLIC_ADDRESS = "https://graph.facebook.com"
VERSION = "v24.0"
LONGEST_TEXT, LONGEST_CAPTION = 4096, 1024

# Meta's error-codes page. Any other code is about this message or this account and does not go away by itself.
RETRY = {1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133016}
INBOX_WIDE = {4, 80007, 130429, 131048, 131057, 133016}
"""Limits that count the number's messages to everyone; 131056 counts those to one recipient."""

MEDIA = {
    ContentKind.IMAGE: "image",
    ContentKind.VIDEO: "video",
    ContentKind.AUDIO: "audio",
    ContentKind.DOCUMENT: "document",
    ContentKind.STICKER: "sticker",
}
CAPTIONED = {ContentKind.IMAGE, ContentKind.VIDEO, ContentKind.DOCUMENT}


class WhatsApp:
    per_second = 80.0
    per_address: float | None = None
    repeatable = False

    def request(self, message: SendMessage, inbox: Inbox, at: datetime) -> ProviderRequest:  # noqa: ARG002
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            **_recipient(message.address),
            **_content(message.content),
            "biz_opaque_callback_data": message.message_id,
        }
        if message.reply_to:
            body["context"] = {"message_id": message.reply_to}
        base = (inbox.provider.base_url or PUBLIC_ADDRESS).rstrip("/")
        version = inbox.provider.options.get("version", VERSION)
        return ProviderRequest(
            url=f"{base}/{version}/{inbox.credentials['phone_number_id'].reveal()}/messages",
            body=json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {inbox.credentials['access_token'].reveal()}",
                "content-type": "application/json",
            },
        )

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        said = json_object(body)
        if 200 <= status < 300:
            return _taken(said, status)
        error = member(said, "error")
        code = error.get("code")
        text = words(member(error, "error_data").get("details"), error.get("message"))
        if isinstance(code, int) and not isinstance(code, bool):
            fault = Fault(str(code), text)
            if code in RETRY:
                return RetryLater(fault, retry_after(headers), inbox_wide=code in INBOX_WIDE)
            return Refused(fault)
        fault = Fault(f"http_{status}", text)
        if status in (408, 425, 429):
            return RetryLater(fault, retry_after(headers), inbox_wide=status == 429)
        # Without Meta's own error body a gateway answered: what stands behind it may have sent the message.
        return Unknown(fault) if status >= 500 else Refused(fault)


def _taken(said: dict[str, Any], status: int) -> Answer:
    messages = said.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    found = first.get("id") if isinstance(first, dict) else None
    if isinstance(found, str) and found:
        return Accepted(found)
    return Unknown(Fault(f"http_{status}", "success without a message id"))


def _recipient(address: str) -> dict[str, str]:
    if address.endswith("@g.us"):
        return {"recipient_type": "group", "to": address}
    if address.isdigit():
        return {"recipient_type": "individual", "to": address}
    # People with a user name show no number: their business-scoped id goes into a field of its own.
    return {"recipient_type": "individual", "recipient": address}


def _content(content: Content) -> dict[str, Any]:
    if content.kind is ContentKind.TEXT:
        _within(content.text, LONGEST_TEXT)
        return {"type": "text", "text": {"body": content.text, "preview_url": False}}
    if content.kind in MEDIA:
        name = MEDIA[content.kind]
        return {"type": name, name: _media(content)}
    if content.kind is ContentKind.LOCATION and content.location is not None:
        return {"type": "location", "location": content.location.model_dump(exclude_none=True)}
    raise Unsendable("unsupported_content", f"WhatsApp cannot carry {content.kind} from here")


def _media(content: Content) -> dict[str, Any]:
    if len(content.media) != 1:
        raise Unsendable("unsupported_content", "a WhatsApp media message carries exactly one file")
    media: Media = content.media[0]
    said: dict[str, Any]
    if media.provider_id:
        said = {"id": media.provider_id}
    elif media.url:
        said = {"link": media.url}
    else:
        raise Unsendable("unsupported_content", "the file has neither a link nor a provider's id")
    if content.text and content.kind in CAPTIONED:
        _within(content.text, LONGEST_CAPTION)
        said["caption"] = content.text
    if media.filename and content.kind is ContentKind.DOCUMENT:
        said["filename"] = media.filename
    return said


def _within(text: str, limit: int) -> None:
    if not text:
        raise Unsendable("empty", "there is no text to send")
    if len(text) > limit:
        raise Unsendable("too_long", f"WhatsApp takes {limit} characters, this is {len(text)}")
