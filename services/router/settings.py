"""This file holds what can be set from outside, as SAMBUNG_<NAME> in the environment."""

from typing import ClassVar

from libs.service.auth import BearerSettings


class Settings(BearerSettings):
    """Of the router."""

    needs_secrets: ClassVar[bool] = False
    needs_hook_secrets: ClassVar[bool] = True

    port: int = 8102
