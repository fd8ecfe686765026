"""This file holds what can be set from outside, as SAMBUNG_<NAME> in the environment."""

from datetime import timedelta

from pydantic import Field

from libs.service.settings import ServiceSettings


class Settings(ServiceSettings):
    """Of the delivery service."""

    port: int = 8105
    request_timeout: timedelta = Field(default=timedelta(seconds=10), gt=timedelta(0))
    """For one request to a provider; then it is in doubt."""
    give_up_after: timedelta = Field(default=timedelta(hours=24), gt=timedelta(0))
    """A message that could not be handed over in this time fails."""
    doubt_wait: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(0))
    """On a channel without an idempotency key: how long to wait for a receipt before an attempt in doubt is repeated."""
