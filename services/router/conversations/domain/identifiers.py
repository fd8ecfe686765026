"""This file turns an identifier as somebody wrote it into one that can be compared, or into nothing."""

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from libs.contracts.vocabulary import Channel, IdentifierKind
from services.router.conversations.domain.text import LONGEST_VALUE, storable

STRENGTH: tuple[IdentifierKind, ...] = (
    IdentifierKind.EXTERNAL,
    IdentifierKind.PHONE,
    IdentifierKind.EMAIL,
    IdentifierKind.WHATSAPP_USER,
    IdentifierKind.CHANNEL_USER,
)
"""Which kinds tell who somebody is, the strongest first. A device tells nothing: families and kiosks share one."""

JUNK = frozenset(
    [
        "-1",
        "anonim",
        "anonymous",
        "blank",
        "false",
        "guest",
        "id",
        "n/a",
        "na",
        "nan",
        "nil",
        "no",
        "none",
        "null",
        "pelanggan",
        "tamu",
        "test",
        "tes",
        "true",
        "undefined",
        "unknown",
        "user",
        "visitor",
        "[object",
        "object]",
    ]
)
"""What forms and scripts write when they know nothing."""
JUNK_MAILBOX = JUNK | frozenset(
    ["abc", "asdf", "email", "example", "mail", "no-reply", "noreply", "nobody", "nomail", "tidakada"]
)
JUNK_DOMAIN = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test(?:\.com)?|invalid|localhost|local)$")

_MAIL = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+\.[^\s@<>\".]+")
_EMPTY = re.compile(r"[0\W_]*")
_CLUTTER = re.compile(r"^(?:tel:|whatsapp:|(?:https?://)?wa\.me/)\+?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s().\-/]")
_SHARED_NUMBERS = frozenset(
    {
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)
"""Numbers of firms, not of persons (1500123 is a valid UAN in Indonesia)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparable identifier, and whether the channel or the owner vouches for it."""

    kind: IdentifierKind
    value: str
    verified: bool

    def __str__(self) -> str:
        return written(self.kind, self.value, self.verified)


def written(kind: IdentifierKind, value: str, verified: bool) -> str:
    """One text for an identifier as it stands, to know it again without understanding it."""
    return f"{kind}{'!' if verified else '?'}{value}"


def understand(
    kind: IdentifierKind, value: str, *, verified: bool, region: str, channel: Channel, address: str
) -> Evidence | None:
    """The comparable form; None where it tells nobody apart.

    `region` (ISO 3166) reads a phone number without country code. A channel's own sender id counts only where it names
    the contact point's own `address`: in a group chat the sender is one of many, not the contact point.
    """
    text = value.strip()
    if not text or len(text) > LONGEST_VALUE or _EMPTY.fullmatch(text) or text.casefold() in JUNK:
        return None
    match kind:
        case IdentifierKind.PHONE:
            found = phone(text, region)
        case IdentifierKind.EMAIL:
            found = email(text)
        case IdentifierKind.CHANNEL_USER:
            found = text if text == f"{channel}:{address}" else None
        case IdentifierKind.EXTERNAL | IdentifierKind.WHATSAPP_USER:
            found = text
        case IdentifierKind.DEVICE | IdentifierKind.UNKNOWN:
            found = None
    return Evidence(kind, storable(found), verified) if found else None


def phone(text: str, region: str) -> str | None:
    """A person's number in E.164."""
    digits = _CLUTTER.sub("+", text)
    found = _number(digits, region)
    if found is None and (bare := _SEPARATORS.sub("", digits)).startswith("00"):
        # Where 00 is not the country's own prefix (Indonesia) the library takes the zeros for digits.
        found = _number("+" + bare[2:], region)
    if found is None or phonenumbers.number_type(found) in _SHARED_NUMBERS:
        return None
    if len(set(str(found.national_number)[-7:])) == 1:
        return None
    return phonenumbers.format_number(found, PhoneNumberFormat.E164)


def _number(digits: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def email(text: str) -> str | None:
    """A mailbox, folded. Dots and `+` stay: what they mean is the host's own affair."""
    folded = text.casefold()
    if not _MAIL.fullmatch(folded):
        return None
    mailbox, _, domain = folded.partition("@")
    if mailbox in JUNK_MAILBOX or _EMPTY.fullmatch(mailbox) or JUNK_DOMAIN.search(domain):
        return None
    return folded
