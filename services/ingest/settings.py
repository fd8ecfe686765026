"""This file holds what ingest reads from the environment."""

from datetime import timedelta

from pydantic import Field

from libs.service.settings import Postgres, ServiceSettings


class Settings(ServiceSettings):
    """Of the other services' settings ingest needs all but the database: nothing of it stands on a webhook's path."""

    postgres: Postgres = ""
    """Not used; an address that is set for all services does no harm."""
    ack_within: timedelta = Field(default=timedelta(seconds=3), gt=timedelta(0), le=timedelta(seconds=15))
    """How long a call waits for the broker before it is answered 503. The strictest provider gives up after 2 to 5 s."""
    largest_body: int = Field(default=3_670_016, ge=1_024)
    """Bytes. WhatsApp sends up to 3 MB."""
    visitors_remembered: int = Field(default=5_000, ge=1)
    """Web chat visitors whose latest answers are kept in memory, for when they come back."""
    answers_remembered: int = Field(default=20, ge=1)
    """Latest answers kept for each of them."""
    answers_kept: timedelta = Field(default=timedelta(minutes=15), ge=timedelta(0), le=timedelta(days=1))
    """How far back the answers are read again when the process starts."""
