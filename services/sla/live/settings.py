"""This file holds what can be set from outside, as SAMBUNG_<NAME> in the environment."""

from typing import ClassVar

from libs.service.settings import Postgres, ServiceSettings


class Settings(ServiceSettings):
    """Of the live service levels. All that they know is on the log."""

    needs_secrets: ClassVar[bool] = False

    postgres: Postgres = ""
    """Not used; an address that is set for all services does no harm."""
    port: int = 8107
