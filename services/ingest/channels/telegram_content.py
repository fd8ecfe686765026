"""This file turns the content of a Telegram message into ours, kind by kind.

Telegram counts entity offsets in UTF-16 code units; here they are counted in characters, and each entity carries the text
that it covers, so that nobody downstream has to count.
"""

from collections.abc import Callable
from typing import Any

from libs.contracts.payloads.base import Content, Location, Media
from libs.contracts.vocabulary import ContentKind
from services.ingest.channels.reading import (
    Unreadable,
    integer_of,
    list_of,
    name_of,
    number_of,
    object_of,
    required,
    text_of,
    word_of,
)

SERVICE = (
    *("new_chat_members", "left_chat_member", "new_chat_title", "new_chat_photo", "delete_chat_photo"),
    *(
        "group_chat_created",
        "supergroup_chat_created",
        "channel_chat_created",
        "message_auto_delete_timer_changed",
    ),
    *("migrate_to_chat_id", "migrate_from_chat_id", "pinned_message", "users_shared", "chat_shared"),
    *(
        "connected_website",
        "write_access_allowed",
        "passport_data",
        "proximity_alert_triggered",
        "boost_added",
    ),
    *(
        "chat_background_set",
        "chat_owner_left",
        "chat_owner_changed",
        "checklist_tasks_done",
        "checklist_tasks_added",
    ),
    *(
        "direct_message_price_changed",
        "paid_message_price_changed",
        "gift",
        "unique_gift",
        "gift_upgrade_sent",
    ),
    *("forum_topic_created", "forum_topic_edited", "forum_topic_closed", "forum_topic_reopened"),
    *("general_forum_topic_hidden", "general_forum_topic_unhidden"),
    *("giveaway_created", "giveaway", "giveaway_winners", "giveaway_completed"),
    *("suggested_post_approved", "suggested_post_approval_failed", "suggested_post_declined"),
    *("suggested_post_paid", "suggested_post_refunded", "successful_payment", "refunded_payment"),
    *("video_chat_scheduled", "video_chat_started", "video_chat_ended", "video_chat_participants_invited"),
)
"""What Telegram tells in the shape of a message."""
BESIDE = (
    "media_group_id",
    "message_thread_id",
    "has_media_spoiler",
    "author_signature",
    "business_connection_id",
)
"""Plain fields kept beside the content; `media_group_id` is common to the messages of one album."""


def service_of(raw: dict[str, Any]) -> str | None:
    """Which service message this is, if it is one."""
    return next((name for name in SERVICE if name in raw), None)


def content_of(raw: dict[str, Any], *, private: bool) -> Content:
    """The content of a message. Raises Unreadable."""
    for kind, read in _READERS.items():
        if kind in raw:
            content = read(object_of(raw[kind]), raw)
            return content.model_copy(update={"details": {**content.details, **_around(raw, private)}})
    known = {"message_id", "date", "chat", "from", "edit_date", "sender_chat"}
    names = ", ".join(name[:60] for name in raw if name not in known)[:200]
    raise Unreadable(f"a message of no known kind: {names or 'empty'}")


def entities_of(text: str, raw: object) -> list[dict[str, Any]]:
    """Formatting and links, in order; those that point outside the text are left out."""
    units, found = text.encode("utf-16-le"), []
    for entity in list_of(raw):
        offset, length = (integer_of(object_of(entity).get(name)) for name in ("offset", "length"))
        if (
            offset is None
            or length is None
            or offset < 0
            or length <= 0
            or 2 * (offset + length) > len(units)
        ):
            continue
        start = len(units[: 2 * offset].decode("utf-16-le", "replace"))
        covered = units[2 * offset : 2 * (offset + length)].decode("utf-16-le", "replace")
        link = {
            name: entity[name] for name in ("url", "language", "custom_emoji_id") if text_of(entity.get(name))
        }
        user = word_of(object_of(entity.get("user")).get("id"))
        found.append(
            {
                "type": text_of(entity.get("type"))[:60],
                "offset": start,
                "length": len(covered),
                "text": covered,
            }
            | link
            | ({"user_id": user} if user else {})
        )
    return sorted(found, key=lambda entity: (entity["offset"], -entity["length"]))


def _around(raw: dict[str, Any], private: bool) -> dict[str, Any]:
    found = {name: raw[name] for name in BESIDE if name in raw and not isinstance(raw[name], dict | list)}
    origin = raw.get("forward_origin") or raw.get("forward_from") or raw.get("forward_from_chat")
    if origin:
        found["forwarded"] = True
        found["forward_origin"] = origin
    if quote := text_of(object_of(raw.get("quote")).get("text")):
        found["quote"] = quote
    entities = entities_of(_words(raw), raw.get("entities") or raw.get("caption_entities"))
    if entities:
        found["entities"] = entities
    if not private:
        sender = object_of(raw.get("sender_chat")) or object_of(raw.get("from"))
        name = name_of(sender.get("title")) or name_of(
            f"{text_of(sender.get('first_name'))} {text_of(sender.get('last_name'))}"
        )
        found["sender"] = {"id": word_of(sender.get("id")), "name": name}
    return found


def _words(raw: dict[str, Any]) -> str:
    return text_of(raw.get("text")) or text_of(raw.get("caption"))


def _text(_body: dict[str, Any], raw: dict[str, Any]) -> Content:
    if not isinstance(raw["text"], str):
        raise Unreadable("text is no text")
    return Content(kind=ContentKind.TEXT, text=raw["text"])


def _file(kind: ContentKind, name: str) -> Callable[[dict[str, Any], dict[str, Any]], Content]:
    """A reader of one kind of file; `name` says in the details what Telegram calls it, where ours is less exact."""

    def read(body: dict[str, Any], raw: dict[str, Any]) -> Content:
        details: dict[str, Any] = {name: True} if name else {}
        for field in ("duration", "title", "performer", "set_name"):
            if (value := name_of(body.get(field)) or integer_of(body.get(field))) is not None:
                details[field] = value
        text = _words(raw) or (text_of(body.get("emoji")) if kind is ContentKind.STICKER else "")
        return Content(kind=kind, text=text, media=(_media(body, name or kind),), details=details)

    return read


def _media(body: dict[str, Any], name: str) -> Media:
    file_id = required(body.get("file_id"), f"{name}.file_id")
    return Media(
        provider_id=file_id,
        mime_type=name_of(body.get("mime_type")),
        filename=name_of(body.get("file_name")),
        size=integer_of(body.get("file_size")),
    )


def _photo(_body: dict[str, Any], raw: dict[str, Any]) -> Content:
    """One picture in several sizes: the largest."""
    sizes = [size for size in list_of(raw["photo"]) if isinstance(size, dict)]
    if not sizes:
        raise Unreadable("a photo without sizes")
    largest = max(
        sizes, key=lambda size: (integer_of(size.get("width")) or 0, integer_of(size.get("file_size")) or 0)
    )
    return Content(kind=ContentKind.IMAGE, text=_words(raw), media=(_media(largest, "photo"),))


def _place(body: dict[str, Any]) -> tuple[float, float]:
    latitude, longitude = number_of(body.get("latitude")), number_of(body.get("longitude"))
    if latitude is None or longitude is None:
        raise Unreadable("a location without latitude and longitude")
    return latitude, longitude


def _location(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    latitude, longitude = _place(body)
    live = {"live": True} if integer_of(body.get("live_period")) else {}
    return Content(
        kind=ContentKind.LOCATION, location=Location(latitude=latitude, longitude=longitude), details=live
    )


def _venue(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    latitude, longitude = _place(object_of(body.get("location")))
    name, address = name_of(body.get("title")), name_of(body.get("address"))
    place = Location(latitude=latitude, longitude=longitude, name=name, address=address)
    return Content(kind=ContentKind.LOCATION, text=name or address or "", location=place)


def _contact(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    name = name_of(f"{text_of(body.get('first_name'))} {text_of(body.get('last_name'))}")
    text = name or text_of(body.get("phone_number"))
    return Content(kind=ContentKind.CONTACTS, text=text, details={"contacts": [body]})


def _dice(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    return Content(
        kind=ContentKind.TEXT,
        text=text_of(body.get("emoji")),
        details={"dice": integer_of(body.get("value"))},
    )


def _poll(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    return Content(
        kind=ContentKind.INTERACTIVE,
        text=text_of(body.get("question")),
        details={"type": "poll", "poll": body},
    )


def _web_app(body: dict[str, Any], _raw: dict[str, Any]) -> Content:
    """What a web app under a keyboard button sent."""
    details = {"type": "web_app_data", "data": text_of(body.get("data"))}
    return Content(kind=ContentKind.INTERACTIVE, text=text_of(body.get("button_text")), details=details)


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Content]] = {
    "text": _text,
    "photo": _photo,
    "animation": _file(ContentKind.VIDEO, "animation"),  # before document, which it carries too
    "video": _file(ContentKind.VIDEO, ""),
    "video_note": _file(ContentKind.VIDEO, "video_note"),
    "voice": _file(ContentKind.AUDIO, "voice"),
    "audio": _file(ContentKind.AUDIO, ""),
    "document": _file(ContentKind.DOCUMENT, ""),
    "sticker": _file(ContentKind.STICKER, ""),
    "venue": _venue,  # before location, which it carries too
    "location": _location,
    "contact": _contact,
    "dice": _dice,
    "poll": _poll,
    "web_app_data": _web_app,
}
