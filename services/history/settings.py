"""This file holds what can be set from outside, as SAMBUNG_<NAME> in the environment."""

from typing import ClassVar

from pydantic import Field

from libs.service.auth import BearerSettings


class Settings(BearerSettings):
    """Of the history service."""

    needs_secrets: ClassVar[bool] = False

    port: int = 8106
    stream_limit: int = Field(default=1000, ge=0)
    """Timelines that one process streams at the same time; more are told to come back later."""
