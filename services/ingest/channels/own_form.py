"""This file reads items in the project's own form: what the custom channel and the web chat send (docs/channels-custom.md)."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from libs.contracts.payloads.base import Content, Identifier, Location, Media, ProviderError
from libs.contracts.payloads.inbound import (
    EditIngested,
    Item,
    MessageIngested,
    ReactionIngested,
    ReceiptIngested,
    UnsupportedIngested,
)
from libs.contracts.vocabulary import ContentKind, IdentifierKind, MessageStatus
from services.ingest.channels.adapter import Answer
from services.ingest.channels.forming import Forming, Head, phone_identifier
from services.ingest.channels.reading import (
    Unreadable,
    integer_of,
    kind_of,
    name_of,
    number_of,
    object_of,
    required,
    text_of,
    word_of,
)

STATUSES = {
    status.value: status
    for status in (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ, MessageStatus.FAILED)
}
FILES = {
    "image/": ContentKind.IMAGE,
    "video/": ContentKind.VIDEO,
    "audio/": ContentKind.AUDIO,
}
"""Kind of a message with files by the type of the first one; any other is a document."""

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def items_list(body: object) -> list[Any] | None:
    """The `items` of a body, or None where there is no such list."""
    items = object_of(body).get("items")
    return items if isinstance(items, list) else None


def report(items: Sequence[Item], /) -> Answer:
    """How many items were taken, and which of them could not be understood and why."""
    wrong = [
        {"id": item.item_id, "reason": item.reason} for item in items if isinstance(item, UnsupportedIngested)
    ]
    body = {"accepted": len(items) - len(wrong), "unsupported": wrong}
    return Answer(json.dumps(body, ensure_ascii=False).encode(), "application/json")


def identifier_of(raw: object, region: str) -> Identifier | None:
    """One of `identifiers`, normalised; None where its kind or value makes no sense."""
    fields = object_of(raw)
    value, verified = word_of(fields.get("value")), fields.get("verified") is True
    match text_of(fields.get("kind")), value:
        case "phone", str(written):
            return phone_identifier(written, region, verified=verified)
        case "email", str(written) if _EMAIL.fullmatch(written):
            return Identifier(kind=IdentifierKind.EMAIL, value=written.casefold(), verified=verified)
        case "external", str(written):
            return Identifier(kind=IdentifierKind.EXTERNAL, value=written, verified=verified)
        case _:
            return None


def item_of(forming: Forming, head: Head) -> Item:
    """One item, by its `kind`. Raises Unreadable."""
    kind = text_of(head.raw.get("kind")) or "message"
    read = _READERS.get(kind)
    if read is None:
        raise Unreadable(f"kind {kind[:60]!r} is none of {', '.join(_READERS)}")
    if not head.party.address:
        raise Unreadable("no from.address")
    required(head.raw.get("id"), "id")
    return read(forming.common(head), head.raw)


def content_of(raw: dict[str, Any]) -> Content:
    """Text, files, a place: at least one of them. Raises Unreadable."""
    text, media = raw.get("text"), raw.get("media")
    if text is not None and not isinstance(text, str):
        raise Unreadable(f"text: expected a string, found {kind_of(text)}")
    if media is not None and not isinstance(media, list):
        raise Unreadable(f"media: expected a list, found {kind_of(media)}")
    files = tuple(_file(file) for file in media or [])
    place = _place(raw["location"]) if raw.get("location") is not None else None
    if not text and not files and place is None:
        raise Unreadable("neither text nor media nor location")
    kind = ContentKind.TEXT
    if files:
        mime = files[0].mime_type or ""
        kind = next((kind for start, kind in FILES.items() if mime.startswith(start)), ContentKind.DOCUMENT)
    elif place is not None:
        kind = ContentKind.LOCATION
    return Content(
        kind=kind, text=text or "", media=files, location=place, details=object_of(raw.get("details"))
    )


def _file(raw: object) -> Media:
    file = object_of(raw)
    url = text_of(file.get("url"))
    if not url.startswith(("https://", "http://")):
        raise Unreadable("media: every file needs a url that begins with https:// or http://")
    return Media(
        url=url,
        mime_type=name_of(file.get("mime_type")),
        filename=name_of(file.get("filename")),
        sha256=name_of(file.get("sha256")),
        size=integer_of(file.get("size")),
    )


def _place(raw: object) -> Location:
    latitude, longitude = (number_of(object_of(raw).get(name)) for name in ("latitude", "longitude"))
    if latitude is None or longitude is None:
        raise Unreadable("location: expected latitude and longitude as numbers")
    return Location(
        latitude=latitude,
        longitude=longitude,
        name=name_of(object_of(raw).get("name")),
        address=name_of(object_of(raw).get("address")),
    )


def _message(common: dict[str, Any], raw: dict[str, Any]) -> Item:
    return MessageIngested(
        **common,
        provider_message_id=word_of(raw.get("message_id")) or word_of(raw.get("id")) or "",
        content=content_of(raw),
        reply_to=word_of(raw.get("reply_to")),
        echo=raw.get("echo") is True,
    )


def _receipt(common: dict[str, Any], raw: dict[str, Any]) -> Item:
    status = STATUSES.get(text_of(raw.get("status")))
    if status is None:
        raise Unreadable(f"status: expected one of {', '.join(STATUSES)}")
    correlation = word_of(raw.get("correlation"))
    target = word_of(raw.get("message_id")) or correlation
    if target is None:
        raise Unreadable("neither message_id nor correlation")
    error = object_of(raw.get("error"))
    return ReceiptIngested(
        **common,
        provider_message_id=target,
        status=status,
        correlation=correlation,
        error=ProviderError(
            code=word_of(error.get("code")) or "unknown",
            text=text_of(error.get("text"))[:500],
            retryable=error.get("retryable") is True,
        )
        if error
        else None,
    )


def _edit(common: dict[str, Any], raw: dict[str, Any]) -> Item:
    content = None if raw.get("withdrawn") is True else content_of(raw)
    return EditIngested(
        **common, provider_message_id=required(raw.get("message_id"), "message_id"), content=content
    )


def _reaction(common: dict[str, Any], raw: dict[str, Any]) -> Item:
    return ReactionIngested(
        **common,
        provider_message_id=required(raw.get("message_id"), "message_id"),
        emoji=text_of(raw.get("emoji"))[:60] or None,
    )


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Item]] = {
    "message": _message,
    "receipt": _receipt,
    "edit": _edit,
    "reaction": _reaction,
}
