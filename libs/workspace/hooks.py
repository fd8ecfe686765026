"""This file reads `allocation_hook`: where somebody's own system is asked, how that is signed, how long it may take."""

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from libs.workspace.credentials import Secret, is_reference
from libs.workspace.durations import parse_duration
from libs.workspace.model import AllocationHook
from libs.workspace.reading import Field, Place, Read, Reading, Unusable, hidden, record
from libs.workspace.scalars import parsed, text, web_address

SHORTEST, LONGEST = timedelta(milliseconds=50), timedelta(seconds=10)
"""Less is no more than the way there and back; more is a wait that every customer would notice."""

_MILLISECONDS = re.compile(r"(\d{1,6})ms", re.ASCII)

Resolve = Callable[[str], Secret]


def allocation_hook(path: str, resolve: Resolve) -> Read[AllocationHook]:
    """The hook of the pool or queue at `path`, e.g. pools.layanan. In `{secret:abc}`, where a space is missing, the secret is
    part of a key: so nothing that stands there is shown."""
    fields = record(
        lambda **values: AllocationHook(place=path, **values),
        {
            "url": Field(parsed(hook_address), required=True),
            "secret": Field(secret(resolve), required=True),
            "within": Field(parsed(_within), required=True),
        },
    )
    return hidden(fields)


def secret(resolve: Resolve) -> Read[Secret]:
    """A reference to a secret. A reference may be shown and helps; anything else in its place may be the secret."""

    def read(reading: Reading, place: Place) -> Secret:
        value = text(reading, place)
        try:
            return resolve(value)
        except ValueError as fault:
            reading.report(place, str(fault), value=value if is_reference(value) else None)
            raise Unusable from None

    return read


def hook_address(value: str) -> str:
    """An address to post to. Raises ValueError; also for addresses of the link, where clouds keep their machines' credentials."""
    parts = urlsplit(web_address(value))
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected an address without a user or password: requests are signed instead")
    if _of_the_link(parts.hostname or ""):
        raise ValueError("expected an address that is not link-local (169.254.0.0/16, fe80::/10)")
    return value


def _of_the_link(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_link_local


def _within(value: str) -> timedelta:
    milliseconds = _MILLISECONDS.fullmatch(value)
    try:
        found = timedelta(milliseconds=int(milliseconds[1])) if milliseconds else parse_duration(value)
    except ValueError:
        found = timedelta(0)
    if not SHORTEST <= found <= LONGEST:
        raise ValueError("expected a duration from 50ms to 10s, such as 500ms or 2s")
    return found
