"""This file says what a channel adapter is: pure functions from one call of a provider to normalised items.

What a call is answered, and why (`A` acknowledged by the broker; every 503 has a Retry-After):

| case                             | WhatsApp | Telegram | web chat | custom | because |
|----------------------------------|----------|----------|----------|--------|---------|
| items, A                         | 200      | 200      | 200      | 200    | |
| broker away                      | 503      | 503      | 503      | 503    | the sender's retry is the buffer |
| signature wrong or missing       | 401      | 401      | 401      | 401    | |
| handshake token wrong            | 403      | -        | -        | -      | |
| body that is no JSON, or no JSON | 200, A,  | 200, A,  | 400      | 400    | WhatsApp repeats up to 7 days and Telegram holds |
| of this channel                  | kept     | kept     |          |        | back that chat's next updates for 24 h: the same |
|                                  |          |          |          |        | bytes would come again and again. They are kept as |
|                                  |          |          |          |        | one unsupported item. The other two are told. |
| one item wrong among others      | 200, A   | 200, A   | 200, A   | 200, A | the wrong one is kept as unsupported |
| body too large                   | 413      | 413      | 413      | 413    | no provider sends one |
| inbox unknown                    | 404      | 404      | 404      | 404    | |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from libs.contracts.payloads.inbound import Item
from libs.workspace import Inbox


class Refused(Exception):
    """Base of the reasons for not taking a call. `reason` is a stable word for metrics.

    Refused
    |-- BadSignature      the caller did not prove who it is; nothing of the body may be believed
    |-- HandshakeRefused  a subscription check that is not for us
    `-- Unparsable        proved, but the body as a whole cannot be read
    """

    reason = "refused"


class BadSignature(Refused):
    reason = "bad_signature"


class HandshakeRefused(Refused):
    reason = "bad_handshake"


class Unparsable(Refused):
    reason = "unparsable"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One call, untouched. Header names are lower case."""

    body: bytes
    received_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What this provider takes for success."""

    body: bytes = b""
    media_type: str = "text/plain"


class Adapter(Protocol):
    """One channel. All methods are pure: no I/O, no clock but `received_at`; the same call gives the same items."""

    @property
    def keeps_unparsable(self) -> bool:
        """An unreadable body is kept as one unsupported item and answered with success (table above)."""
        ...

    def verify(self, request: RawRequest, inbox: Inbox) -> None:
        """Return if the call is from whom it says, judged on the raw bytes in constant time. Raises BadSignature."""
        ...

    def parse(self, request: RawRequest, inbox: Inbox) -> list[Item]:
        """Every item of the body, in its order, each read on its own. Raises Unparsable, and nothing else."""
        ...

    def answer(self, items: Sequence[Item], /) -> Answer:
        """What to say when all of them are on the log."""
        ...


class Handshake(Protocol):
    """A channel whose provider first checks the address with a GET."""

    def handshake(self, request: RawRequest, inbox: Inbox) -> Answer:
        """The answer that proves this address to be ours. Raises HandshakeRefused."""
        ...


def empty(_items: Sequence[Item], /) -> Answer:
    """For providers that look at the status only."""
    return Answer()
