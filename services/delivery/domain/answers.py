"""This file names everything a provider's answer can mean."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message was not taken: the provider's code (or ours, a lower-case word) and its own words."""

    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the message. None where it gives messages no id."""

    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider will never take this message."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The provider did not take it this time, for certain.

    `after` is the provider's own wish. `inbox_wide`: its limit is on the whole inbox, so every message should wait.
    """

    fault: Fault
    after: timedelta | None = None
    inbox_wide: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may or may not have arrived."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class PutOff:
    """Not asked at all: our own limit towards this inbox is used up for so long."""

    wait: timedelta


Answer = Accepted | Refused | RetryLater | Unknown
"""What a provider can say."""
