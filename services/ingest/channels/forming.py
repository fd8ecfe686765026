"""This file makes items: what all have in common, and how one that cannot be read is kept beside those that can."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import phonenumbers
import structlog

from libs.contracts.ids import InboxId, contact_point_id, digest
from libs.contracts.payloads.base import Identifier
from libs.contracts.payloads.inbound import Item, UnsupportedIngested
from libs.contracts.vocabulary import IdentifierKind
from libs.workspace import Inbox
from services.ingest.channels.adapter import Unparsable
from services.ingest.channels.reading import MAX_WORD, Unreadable, kind_of, storable

log = structlog.get_logger(__name__)

MAX_ITEMS = 5_000
"""Per body. WhatsApp sends 1,000 at most; a body with more is not what it pretends to be."""
KEPT_CHARACTERS = 100_000
"""How much is kept of what is too large for a record: even if each becomes six bytes of JSON it fits."""


@dataclass(frozen=True, slots=True)
class Party:
    """The customer that an item is about. An empty address: the item is about the account, or does not say."""

    address: str = ""
    name: str | None = None
    identifiers: tuple[Identifier, ...] = ()


NOBODY = Party()


@dataclass(frozen=True, slots=True)
class Head:
    """What an item says about itself before anybody looks at its content."""

    item_id: str
    at: datetime
    party: Party = NOBODY
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass
class Forming:
    """The items of one body. Whatever goes wrong with one of them, the others go through."""

    inbox: Inbox
    received_at: datetime
    items: list[Item] = field(default_factory=list)

    def take(
        self,
        raw: object,
        head: Callable[[dict[str, Any]], Head],
        item: Callable[[Head], Item],
    ) -> None:
        """Read one item: first its head, then the rest. What cannot be read is kept as unsupported, with its head if there is one."""
        if len(self.items) >= MAX_ITEMS:
            raise Unparsable(f"more than {MAX_ITEMS} items")
        known: Head | None = None
        try:
            if not isinstance(raw, dict):
                raise Unreadable(f"expected an object, found {kind_of(raw)}")
            known = head(raw)
            self.items.append(item(known))
        except Unreadable as fault:
            self.keep(raw, str(fault), known)
        except Exception as fault:  # a mistake of this adapter may cost its item, never the body
            log.exception("an adapter failed", inbox=self.inbox.id, fault=type(fault).__name__)
            self.keep(raw, f"the adapter failed: {type(fault).__name__}", known)

    def keep(self, raw: object, reason: str, head: Head | None = None) -> None:
        """Keep something whole as unsupported."""
        if len(self.items) >= MAX_ITEMS:
            raise Unparsable(f"more than {MAX_ITEMS} items")
        whole = raw if isinstance(raw, dict) else {"value": raw}
        head = head or Head(key_of("unread", fingerprint(whole)), self.received_at, raw=whole)
        self.items.append(UnsupportedIngested(**self.common(head), reason=reason[:500]))

    def common(self, head: Head) -> dict[str, Any]:
        """The fields that every item has."""
        party = head.party
        return {
            "item_id": head.item_id,
            "inbox_id": self.inbox.id,
            "channel": self.inbox.channel,
            "address": party.address,
            "contact_point_id": contact_point_id(InboxId(self.inbox.id), party.address),
            "occurred_at": head.at,
            "profile_name": party.name,
            "identifiers": party.identifiers,
            "raw": head.raw,
        }


def kept_body(body: bytes, reason: str, inbox: Inbox, received_at: datetime) -> list[Item]:
    """An unreadable body as one unsupported item; the same bytes give the same item id."""
    text = body[: 4 * KEPT_CHARACTERS].decode("utf-8", "replace")[:KEPT_CHARACTERS]
    sha256 = hashlib.sha256(body).hexdigest()
    forming = Forming(inbox, received_at)
    raw = {"body": storable(text), "bytes": len(body), "sha256": sha256}
    forming.keep(raw, reason, Head(key_of("body", sha256), received_at, raw=raw))
    return forming.items


def key_of(*parts: str) -> str:
    """An item id of several parts; too long a one becomes its digest."""
    key = "/".join(parts)
    return key if len(key) <= MAX_WORD else "digest/" + digest(key)


def fingerprint(value: object) -> str:
    """Names a JSON value by its content, for items to which the provider gave no id."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


@lru_cache(maxsize=20_000)
def phone_identifier(written: str, region: str | None = None, *, verified: bool = True) -> Identifier | None:
    """A phone in E.164; None where no such number can exist. Without a region it must be written with + and country code."""
    # 00 is an international prefix in most countries, but not in the numbering plan of every region.
    international = "+" + written[2:] if written.startswith("00") else written
    try:
        number = phonenumbers.parse(international, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Identifier(kind=IdentifierKind.PHONE, value=e164, verified=verified)
