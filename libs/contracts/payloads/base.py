"""This file holds what all payload models share and the values that several of them carry."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from libs.contracts import registry
from libs.contracts.vocabulary import AuthorKind, ContentKind, IdentifierKind

Seconds = Annotated[timedelta, PlainSerializer(lambda value: value.total_seconds(), return_type=float)]
"""A duration, in seconds on the wire."""

Time = AwareDatetime
"""An aware time; writers use UTC."""


class Value(BaseModel):
    """A frozen value inside a payload. Unknown fields are ignored, so a newer writer does not break a reader."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float", allow_inf_nan=False)


class Payload(Value):
    """The body of one event or command. `type` names it on the wire and carries its version."""

    type: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            registry.register(cls)


class Identifier(Value):
    """Something that may tell who a person is. `verified`: the channel or the owner's signature vouches for it."""

    kind: IdentifierKind
    value: str
    verified: bool = False


class Media(Value):
    """A file the provider holds. One of `url` and `provider_id` is set; fetching it is not the adapter's work."""

    url: str | None = None
    provider_id: str | None = None
    mime_type: str | None = None
    filename: str | None = None
    sha256: str | None = None
    size: int | None = None


class Location(Value):
    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class Content(Value):
    """What was said. `text` is what a person can read of it, whatever the kind; `details` keeps what has no field."""

    kind: ContentKind
    text: str = ""
    media: tuple[Media, ...] = ()
    location: Location | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class Author(Value):
    kind: AuthorKind
    agent_id: str | None = None
    name: str | None = None


class ProviderError(Value):
    """A provider's own words for a failure. `retryable` follows the provider's published list of codes."""

    code: str
    text: str = ""
    retryable: bool = False
