"""This file turns the content of a WhatsApp message into ours, kind by kind."""

from collections.abc import Callable
from typing import Any

from libs.contracts.payloads.base import Content, Location, Media, ProviderError
from libs.contracts.vocabulary import ContentKind
from services.ingest.channels.adapter import Unparsable
from services.ingest.channels.forming import Party
from services.ingest.channels.reading import (
    Unreadable,
    integer_of,
    json_of,
    list_of,
    name_of,
    number_of,
    object_of,
    text_of,
    word_of,
)

MEDIA = {
    "image": ContentKind.IMAGE,
    "video": ContentKind.VIDEO,
    "audio": ContentKind.AUDIO,
    "document": ContentKind.DOCUMENT,
    "sticker": ContentKind.STICKER,
}
RETRYABLE = {1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133016}
"""Codes of the published list after which the same message may be sent again."""


def content_of(raw: dict[str, Any], party: Party) -> Content:
    """The content of a message, or of the `message` inside an edit. Raises Unreadable."""
    kind = text_of(raw.get("type"))
    read = _READERS.get(kind)
    if read is None:
        raise Unreadable(_unsupported(kind, raw))
    content = read(object_of(raw.get(kind)), raw, kind)
    extra = _around(raw, party)
    return content.model_copy(update={"details": {**content.details, **extra}}) if extra else content


def error_of(raw: object) -> ProviderError:
    """One element of an `errors` list."""
    error = object_of(raw)
    code = integer_of(error.get("code"))
    return ProviderError(
        code=str(code) if code is not None else "unknown", text=error_text(error), retryable=code in RETRYABLE
    )


def error_text(error: dict[str, Any]) -> str:
    """The most telling words of an error."""
    details = object_of(error.get("error_data")).get("details") or error.get("details")
    for words in (details, error.get("message"), error.get("title")):
        if text_of(words):
            return text_of(words)[:500]
    return ""


def _unsupported(kind: str, raw: dict[str, Any]) -> str:
    """Why a message of an unknown type is one: the provider's words where it has any."""
    errors = list_of(raw.get("errors"))
    inner = text_of(object_of(raw.get("unsupported")).get("type"))[:60]
    if errors:
        error = error_of(errors[0])
        return f"{error.code} {error.text}{f' ({inner})' if inner else ''}"
    return f"message type {kind[:60]!r} is not known here" if kind else "a message without a type"


def _around(raw: dict[str, Any], party: Party) -> dict[str, Any]:
    """What stands beside the content: forwarding, advertisement, product, and in a group who said it."""
    context, found = object_of(raw.get("context")), dict[str, Any]()
    found |= {flag: True for flag in ("forwarded", "frequently_forwarded") if context.get(flag) is True}
    if product := object_of(context.get("referred_product")):
        found["referred_product"] = product
    if referral := object_of(raw.get("referral")):
        found["referral"] = referral
    if raw.get("group_id") and party.address == word_of(raw.get("group_id")):
        found["sender"] = {
            key: word
            for key, field in (("wa_id", "from"), ("user_id", "from_user_id"))
            if (word := word_of(raw.get(field)))
        }
    return found


def _text(body: dict[str, Any], _raw: dict[str, Any], _kind: str) -> Content:
    if not isinstance(body.get("body"), str):
        raise Unreadable("no text.body")
    return Content(kind=ContentKind.TEXT, text=body["body"])


def _media(body: dict[str, Any], _raw: dict[str, Any], kind: str) -> Content:
    media = Media(
        url=text_of(body.get("url")) or None,
        provider_id=word_of(body.get("id")),
        mime_type=name_of(body.get("mime_type")),
        filename=name_of(body.get("filename")),
        sha256=name_of(body.get("sha256")),
    )
    if media.url is None and media.provider_id is None:
        raise Unreadable(f"{kind} has neither id nor url")
    details = {word: True for word in ("voice", "animated") if body.get(word) is True}
    return Content(kind=MEDIA[kind], text=text_of(body.get("caption")), media=(media,), details=details)


def _location(body: dict[str, Any], _raw: dict[str, Any], _kind: str) -> Content:
    latitude, longitude = number_of(body.get("latitude")), number_of(body.get("longitude"))
    if latitude is None or longitude is None:
        raise Unreadable("a location without latitude and longitude")
    name, address = name_of(body.get("name")), name_of(body.get("address"))
    place = Location(latitude=latitude, longitude=longitude, name=name, address=address)
    details = {"url": body["url"]} if text_of(body.get("url")) else {}
    return Content(kind=ContentKind.LOCATION, text=name or address or "", location=place, details=details)


def _contacts(_body: dict[str, Any], raw: dict[str, Any], _kind: str) -> Content:
    cards = [card for card in list_of(raw.get("contacts")) if isinstance(card, dict)]
    if not cards:
        raise Unreadable("no contacts")
    names = [name_of(object_of(card.get("name")).get("formatted_name")) for card in cards]
    return Content(
        kind=ContentKind.CONTACTS, text=", ".join(name for name in names if name), details={"contacts": cards}
    )


def _interactive(body: dict[str, Any], _raw: dict[str, Any], _kind: str) -> Content:
    kind = text_of(body.get("type"))
    reply = object_of(body.get(kind))
    if kind in ("button_reply", "list_reply"):
        text = text_of(reply.get("title"))
    elif kind == "nfm_reply":
        text = text_of(reply.get("body"))
        reply = {**reply, "response": _response(reply.get("response_json"))}
    else:
        raise Unreadable(
            f"interactive of type {kind[:60]!r} is not known here" if kind else "interactive without a type"
        )
    return Content(kind=ContentKind.INTERACTIVE, text=text, details={"type": kind, kind: reply})


def _response(value: object) -> Any:
    """The answers of a flow: a string that holds JSON, as a rule."""
    if not isinstance(value, str):
        return value
    try:
        return json_of(value.encode())
    except Unparsable:
        return None


def _button(body: dict[str, Any], _raw: dict[str, Any], _kind: str) -> Content:
    """The quick reply of a template."""
    text, payload = text_of(body.get("text")), text_of(body.get("payload"))
    if not text and not payload:
        raise Unreadable("a button without text and payload")
    details = {"type": "button", "payload": payload}
    return Content(kind=ContentKind.INTERACTIVE, text=text or payload, details=details)


def _order(body: dict[str, Any], _raw: dict[str, Any], _kind: str) -> Content:
    if not isinstance(body.get("product_items"), list):
        raise Unreadable("an order without product_items")
    return Content(kind=ContentKind.ORDER, text=text_of(body.get("text")), details={"order": body})


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any], str], Content]] = {
    "text": _text,
    **dict.fromkeys(MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
