"""This file says who a WhatsApp item is about: a phone number where there is one, else a business-scoped user id.

A user who adopted a user name may write without showing a number: then `from`, `wa_id` and `recipient_id` are missing and
only the user id (`CC.` and up to 128 characters) is there. The number, when present, stays the address, so that messages
and receipts of one customer meet in one contact point; the user id goes along as an identifier and links the two.
"""

import re
from typing import Any

from libs.contracts.payloads.base import Identifier
from libs.contracts.vocabulary import IdentifierKind
from services.ingest.channels.forming import Party, phone_identifier
from services.ingest.channels.reading import list_of, name_of, object_of, word_of

_NUMBER = re.compile(r"\+?(\d{5,20})", re.ASCII)
_USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9._-]{1,160}", re.ASCII)

Names = list[dict[str, Any]]


def names_of(value: dict[str, Any]) -> Names:
    """The `contacts` beside messages and statuses: names and ids of the people in them."""
    return [contact for contact in list_of(value.get("contacts")) if isinstance(contact, dict)]


def customer(
    number: object, user_id: object, names: Names, *, alone: bool = False, also: dict[str, Any] | None = None
) -> Party:
    """The customer named by a number, a user id (one has been seen in place of the number), or both.

    `alone`: the item itself names nobody, so a single entry of `contacts` does. `also`: an object whose `wa_id`,
    `new_wa_id` and `user_id` name the same person too (a changed number).
    """
    digits, bsuid = number_of(number), user_id_of(user_id) or user_id_of(number)
    contact = _entry(digits, bsuid, names)
    if contact is None and alone and len(names) == 1:
        contact = names[0]
    contact = contact or {}
    digits = digits or number_of(contact.get("wa_id"))
    bsuid = bsuid or user_id_of(contact.get("user_id"))
    also = also or {}
    words = (digits, number_of(also.get("wa_id")), number_of(also.get("new_wa_id")))
    phones = [phone_identifier(f"+{word}") for word in words if word]
    ids = [
        Identifier(kind=IdentifierKind.WHATSAPP_USER, value=word, verified=True)
        for word in (bsuid, user_id_of(also.get("user_id")))
        if word
    ]
    return Party(
        digits or bsuid or "",
        name_of(object_of(contact.get("profile")).get("name")),
        tuple(dict.fromkeys([*(phone for phone in phones if phone), *ids])),
    )


def group(raw: dict[str, Any]) -> Party | None:
    """The group an item was said in, or None. It has no identifiers: those of its members name people, not the group."""
    word = word_of(raw.get("group_id"))
    return Party(word) if word else None


def number_of(value: object) -> str | None:
    """The digits of a phone number with country code."""
    found = _NUMBER.fullmatch(word_of(value) or "")
    return found[1] if found else None


def user_id_of(value: object) -> str | None:
    """A business-scoped user id."""
    word = word_of(value) or ""
    return word if _USER_ID.fullmatch(word) else None


def _entry(digits: str | None, bsuid: str | None, names: Names) -> dict[str, Any] | None:
    for contact in names:
        if (digits and number_of(contact.get("wa_id")) == digits) or (
            bsuid and contact.get("user_id") == bsuid
        ):
            return contact
    return None
