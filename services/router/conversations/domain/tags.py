"""This file says what becomes of a conversation's tags."""

from collections.abc import Iterable

from services.router.conversations.domain.refusal import Code, Refusal
from services.router.conversations.domain.text import storable

MOST_TAGS = 50
LONGEST_TAG = 100


def change_tags(
    tags: tuple[str, ...], add: Iterable[str], remove: Iterable[str]
) -> tuple[str, ...] | Refusal:
    """All tags after the change, in the order in which they were put on. A tag both added and removed is removed."""
    gone = set(map(_clean, remove))
    wanted = dict.fromkeys([*tags, *filter(None, map(_clean, add))])
    left = tuple(tag for tag in wanted if tag not in gone)
    if any(len(tag) > LONGEST_TAG for tag in left):
        return Refusal(Code.TOO_LONG, f"a tag has at most {LONGEST_TAG} characters")
    if len(left) > MOST_TAGS:
        return Refusal(Code.TOO_MANY_TAGS, f"a conversation has at most {MOST_TAGS} tags")
    return left


def _clean(tag: str) -> str:
    return " ".join(storable(tag).split())
