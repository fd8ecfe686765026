"""This file takes out of a record what people said and how they are called, so that a recording holds none of it."""

import json
from dataclasses import replace
from typing import Any

from libs.flow.wire import Incoming

EMPTIED = ("text", "address")
"""Fields that must be there."""
REMOVED = ("customer_name", "name", "emoji")
"""Fields that need not."""


def without_words(record: Incoming) -> Incoming:
    """The same event: ids, authors' kinds, queues, tags and times stay as they are.

    Of a message's content only the kind is left. What is no JSON object is no event, and might be anything: it loses its value.
    """
    try:
        body = json.loads(record.value or b"")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return replace(record, value=b"")
    return replace(record, value=json.dumps(_silent(body)).encode())


def _silent(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if name not in REMOVED}
    found |= {name: "" for name in EMPTIED if name in body}
    for name in ("by", "author"):
        if isinstance(body.get(name), dict):
            found[name] = {key: value for key, value in body[name].items() if key not in REMOVED}
    if isinstance(body.get("content"), dict):
        found["content"] = {"kind": body["content"].get("kind", "")}
    return found
