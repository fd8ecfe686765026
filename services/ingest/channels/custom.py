"""This file reads the custom channel: HMAC-signed JSON in the project's own form, for anything else (docs/channels-custom.md)."""

import hmac
import re
from datetime import timedelta
from typing import Any

from libs.contracts.payloads.inbound import Item
from libs.service.signing import sign
from libs.workspace import Inbox
from services.ingest.channels.adapter import BadSignature, RawRequest, Unparsable
from services.ingest.channels.forming import Forming, Head, Party, fingerprint, key_of
from services.ingest.channels.own_form import identifier_of, item_of, items_list, report
from services.ingest.channels.reading import (
    json_of,
    list_of,
    name_of,
    object_of,
    word_of,
    written_time,
)

FRESH = timedelta(minutes=5)
"""A signature older (or newer) than this is refused, so that an overheard call cannot be repeated at will."""
MOST_SIGNATURES = 5
"""More than one only while a key is exchanged."""

_SIGNED_AT = re.compile(r"\d{1,12}", re.ASCII)


class Custom:
    """The adapter; see the table in adapter.py for what it answers."""

    keeps_unparsable = False
    answer = staticmethod(report)

    def verify(self, request: RawRequest, inbox: Inbox) -> None:
        """`X-Sambung-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256(signing key, "<t>." + raw body)>`."""
        pairs = [
            part.strip().partition("=") for part in request.headers.get("x-sambung-signature", "").split(",")
        ]
        signed_at = next((value for name, _, value in pairs if name == "t"), "")
        given = [value for name, _, value in pairs if name == "v1"][:MOST_SIGNATURES]
        if not _SIGNED_AT.fullmatch(signed_at) or not given:
            raise BadSignature("X-Sambung-Signature is missing or not of the form t=…,v1=…")
        if abs(int(signed_at) - request.received_at.timestamp()) > FRESH.total_seconds():
            raise BadSignature("X-Sambung-Signature is not of the last five minutes")
        expected = sign(inbox.credentials["signing_key"].reveal(), signed_at, request.body).encode()
        if not any([hmac.compare_digest(expected, value.encode("utf-8", "replace")) for value in given]):  # noqa: C419  all of them, always
            raise BadSignature("X-Sambung-Signature does not match the body")

    def parse(self, request: RawRequest, inbox: Inbox) -> list[Item]:
        raws = items_list(json_of(request.body))
        if raws is None:
            raise Unparsable("expected an object with a list 'items'")
        forming = Forming(inbox, request.received_at)
        for raw in raws:
            forming.take(raw, lambda found: _head(found, forming), lambda head: item_of(forming, head))
        return forming.items


def _head(raw: dict[str, Any], forming: Forming) -> Head:
    name = word_of(raw.get("id"))
    return Head(
        key_of(name) if name else key_of("unread", fingerprint(raw)),
        written_time(raw.get("at"), forming.received_at),
        _party(object_of(raw.get("from")), forming.inbox.region),
        raw,
    )


def _party(sender: dict[str, Any], region: str) -> Party:
    """The sender as the owner's system names it: what it says is verified is, since the owner signed it."""
    address = word_of(sender.get("address")) or ""
    found = [identifier_of(raw, region) for raw in list_of(sender.get("identifiers"))]
    return Party(address, name_of(sender.get("name")), tuple(dict.fromkeys(i for i in found if i)))
