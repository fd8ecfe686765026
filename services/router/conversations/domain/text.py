"""This file makes foreign text fit to be kept: Postgres takes no NUL, and an index takes no long value."""

LONGEST_VALUE = 512
"""Characters. An index entry of Postgres holds about 2,700 bytes; no real identifier, id or tag comes near."""


def storable(text: str) -> str:
    """The same text without NUL."""
    return text.replace("\0", "�") if "\0" in text else text


def named(text: str | None) -> str | None:
    """A name for people: trimmed, cut, None where nothing is left."""
    cut = storable(text).strip()[:LONGEST_VALUE] if text else ""
    return cut or None
