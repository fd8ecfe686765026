"""This file holds what can be set from outside, as SAMBUNG_<NAME> in the environment."""

from typing import ClassVar

from libs.service.auth import BearerSettings


class Settings(BearerSettings):
    """Of the SLA service."""

    needs_secrets: ClassVar[bool] = False

    port: int = 8103
