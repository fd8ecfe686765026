"""This file cuts what was said to a bounded size, as JSON text."""

import json
from typing import Any

from libs.contracts.payloads.base import Content

TEXT_BYTES = 4096
"""Longer texts are cut in what is kept here; events carry them whole."""
CONTENT_BYTES = 8192
"""Content that is larger as JSON is kept without its details, media and location."""
LARGEST_CHARACTER = 4
"""Bytes of UTF-8."""
EMPTY = '{"kind":"text","text":""}'


def compact_content(content: Content) -> str:
    """Content as JSON text; `cut` is true in it where something was left out for its size."""
    whole = content.model_dump_json(exclude_defaults=True, exclude_none=True)
    if len(whole) <= TEXT_BYTES // LARGEST_CHARACTER:
        return whole
    return _compact(content.model_dump(mode="json", exclude_defaults=True, exclude_none=True))


def compact_text(text: str) -> str:
    """The same for a text alone."""
    return _compact({"kind": "text", "text": text})


def _compact(content: dict[str, Any]) -> str:
    text = str(content.get("text", ""))
    if len(text.encode()) > TEXT_BYTES:
        content = {**content, "text": text.encode()[:TEXT_BYTES].decode("utf-8", "ignore"), "cut": True}
    whole = _json(content)
    if len(whole) <= CONTENT_BYTES:
        return whole
    return _json({"kind": content["kind"], "text": content.get("text", ""), "cut": True})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
