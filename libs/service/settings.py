"""This file reads a service's settings from the environment and tells every wrong one at once."""

import difflib
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from libs.workspace.durations import parse_duration

PREFIX = "SAMBUNG_"
HIGHEST_PORT = 65_535
S = TypeVar("S", bound="ServiceSettings")

_EXPECTED = {
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_parsing": "expected true or false",
}
_CONFIDENTIAL = ("secret", "token", "password", "postgres", "key")
"""Settings whose name holds one of these are not shown; a database address may carry a password."""


class SettingsProblems(ValueError):
    """Settings that cannot be used; `problems` holds a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def _addresses(value: str) -> str:
    for address in value.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
            raise ValueError("expected host:port, or several with commas between")
    return value


def _database(value: str) -> str:
    # Empty only where a service without tables says so by its default.
    if value and not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected postgresql://user@host/database")
    return value


Kafka = Annotated[str, AfterValidator(_addresses)]
Postgres = Annotated[str, AfterValidator(_database)]


class ServiceSettings(BaseSettings):
    """What every service needs. A service adds its own fields, each SAMBUNG_<NAME> in the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    needs_secrets: ClassVar[bool] = True
    """False in a service that uses no inbox credentials: it then needs none of the variables they refer to."""
    needs_hook_secrets: ClassVar[bool] = False
    """True in the service that asks allocation hooks: it alone needs the variables that these refer to."""

    kafka: Kafka
    """Bootstrap servers."""
    postgres: Postgres
    """Address of the database; each service keeps to a schema of its own."""
    workspace: Path
    """The workspace file."""
    host: str = "127.0.0.1"
    port: int
    """Where HTTP is served; 0 takes a free port."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("port")
    @classmethod
    def _port(cls, value: int) -> int:
        # By name, so that it holds also where a service declares the field again with a default of its own.
        if not 0 <= value <= HIGHEST_PORT:
            raise ValueError(f"expected a port, 0 to {HIGHEST_PORT}")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _duration(cls, value: object, field: ValidationInfo) -> object:
        """Durations are written as in the workspace file."""
        wanted = cls.model_fields[field.field_name or ""].annotation
        return parse_duration(value) if wanted is timedelta and isinstance(value, str) else value


def read_settings(of: type[S]) -> S:
    """The settings of a service. Raises SettingsProblems naming each variable, what is there and what was expected."""
    try:
        return of()
    except ValidationError as fault:
        raise SettingsProblems([_sentence(of, error) for error in fault.errors()]) from None
    except SettingsError as fault:  # a list or mapping that is no JSON; pydantic stops at the first
        raise SettingsProblems([f"{fault}; expected JSON"]) from None


def variables(of: type[ServiceSettings]) -> dict[str, bool]:
    """Every environment variable that the settings read -> whether it must be set."""
    return {PREFIX + name.upper(): field.is_required() for name, field in of.model_fields.items()}


def _sentence(of: type[ServiceSettings], error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    variable = PREFIX + name.upper()
    where = ".".join([variable, *map(str, error["loc"][1:])])
    if error["type"] == "missing":
        others = [other for other in os.environ if other.startswith(PREFIX) and other not in variables(of)]
        close = difflib.get_close_matches(variable, others, n=1, cutoff=0.85)
        return f"{where}: is not set — expected {_about(of, name)}" + (
            f"; {close[0]} is set" if close else ""
        )
    shown = (
        "the value (not shown)" if _confidential(of, name) else repr(os.environ.get(variable, error["input"]))
    )
    return f"{where}: {shown} — {_expected(error)}"


def _about(of: type[ServiceSettings], name: str) -> str:
    return {
        "kafka": "host:port of the broker",
        "postgres": "the address of the database, postgresql://user@host/database",
        "workspace": "the path of the workspace file",
    }.get(name, (_confidential(of, name) and "a secret") or "a value")


def _confidential(of: type[ServiceSettings], name: str) -> bool:
    field = of.model_fields.get(name)
    return any(word in name for word in _CONFIDENTIAL) or (
        field is not None and field.annotation is SecretStr
    )


def _expected(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context.get("error", error["msg"]))
        case "literal_error":
            return f"expected {context['expected']}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return error["msg"].replace("Input should be", "expected a value")
        case "too_short" | "string_too_short":
            return f"expected at least {context['min_length']} characters"
        case kind:
            return _EXPECTED.get(kind, error["msg"].replace("Input should be", "expected"))
