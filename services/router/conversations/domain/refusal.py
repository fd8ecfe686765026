"""This file holds the answer to a command that cannot be carried out."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable words for programs; the text beside them is for people."""

    NOT_FOUND = "not_found"
    RESOLVED = "resolved"
    NOT_YOURS = "not_yours"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_QUEUE = "unknown_queue"
    UNKNOWN_MESSAGE = "unknown_message"
    NO_QUEUE = "no_queue"
    NO_SKILL = "no_skill"
    ALREADY_THEIRS = "already_theirs"
    WINDOW_CLOSED = "window_closed"
    UNTIL_PAST = "until_past"
    UNTIL_FAR = "until_far"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_MANY_TAGS = "too_many_tags"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Refusal:
    code: Code
    text: str
