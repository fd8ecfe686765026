"""This file resolves references to secrets; the secrets themselves never stand in a workspace file."""

import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from libs.contracts.vocabulary import Channel

REQUIRED: Mapping[Channel, tuple[str, ...]] = {
    Channel.WHATSAPP: ("app_secret", "verify_token", "access_token", "phone_number_id"),
    Channel.TELEGRAM: ("secret_token", "bot_token"),
    Channel.WEBCHAT: ("signing_key",),
    Channel.CUSTOM: ("signing_key",),
}
OPTIONAL: Mapping[Channel, tuple[str, ...]] = {Channel.CUSTOM: ("outbound_url", "outbound_key")}

_REFERENCE = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<path>\S.*)", re.ASCII)
_LARGEST_FILE = 64 * 1024
"""A key or token is shorter; a larger file is a wrong path."""


class Secret:
    """A value that is shown only to those who ask for it by name. Printing, logging and comparing give nothing away."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str | None, reference: str = "") -> None:
        self._value = value
        self.reference = reference
        """Where it came from, e.g. env:WHATSAPP_APP_SECRET; may be shown."""

    def reveal(self) -> str:
        """The value. Raises LookupError where this process loaded its workspace without secrets."""
        if self._value is None:
            raise LookupError(f"{self.reference} was not resolved: this process asked for no secrets")
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.reference or '…'})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret) or self._value is None or other._value is None:
            return self is other
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


def is_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text) is not None


def resolve(reference: str, folder: Path, environ: Mapping[str, str]) -> Secret:
    """The secret behind env:NAME or file:PATH (relative to `folder`).

    Raises ValueError saying what was expected, without repeating the text given: it may be the secret itself.
    """
    found = _parts(reference)
    value = _from_environment(found["name"], environ) if found["name"] else _from_file(folder / found["path"])
    return Secret(value, reference)


def unresolved(reference: str) -> Secret:
    """A secret that cannot be revealed, for a process that has no use for it. Raises ValueError like `resolve`."""
    _parts(reference)
    return Secret(None, reference)


def _parts(reference: str) -> re.Match[str]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError("expected a reference env:NAME or file:PATH, never the secret itself")
    return found


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        raise ValueError(f"expected the environment variable {name} to be set")
    if not value.strip():
        raise ValueError(f"expected the environment variable {name} not to be empty")
    return value


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
        value = raw.decode().strip()
    except OSError as fault:
        raise ValueError(f"expected a readable file at {path}: {fault.strerror or fault}") from None
    except ValueError:  # not UTF-8, or a path with a NUL
        raise ValueError("expected a path to a text file in UTF-8") from None
    if len(raw) > _LARGEST_FILE:
        raise ValueError(f"expected a secret in {path}, not a large file")
    if not value:
        raise ValueError(f"expected a secret in {path}, not an empty file")
    return value
