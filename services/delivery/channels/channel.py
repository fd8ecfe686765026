"""This file says what a channel must offer to be sent to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from libs.workspace import Inbox
from services.delivery.domain.answers import Answer
from services.delivery.effects import SendMessage


class Unsendable(ValueError):
    """This channel can never carry this message. `code` is a stable word; the text is for the agent."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One POST. Address and headers may hold secrets, so they are left out when it is printed."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Channel(Protocol):
    """Pure: no network, no clock."""

    per_second: float
    """The provider's published limit of sends for one account; the workspace may set another."""
    per_address: float | None
    """Its limit for one recipient, where there is one that a conversation can reach."""
    repeatable: bool
    """A request that may have arrived is sent again without waiting for word of it."""

    def request(self, message: SendMessage, inbox: Inbox, at: datetime) -> ProviderRequest:
        """What to post. Raises Unsendable."""
        ...

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the provider's answer means. Header names are lower-case."""
        ...
