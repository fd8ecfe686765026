"""This file issues and checks bearer tokens: JWTs signed with one shared secret that say who calls, and in which role."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import jwt
from pydantic import AfterValidator, SecretStr
from starlette.requests import HTTPConnection

from libs.service.problems import Problem
from libs.service.settings import ServiceSettings
from libs.timesource import TimeSource

ALGORITHM = "HS256"
"""Pinned: a token that names any other algorithm, `none` among them, is refused."""
LEEWAY = timedelta(seconds=10)
"""How far two machines' clocks may be apart."""
SHORTEST_SECRET = 32
"""Bytes; HS256 with a shorter key than its hash can be guessed."""
LONGEST_TOKEN = 4096
LAST_MOMENT = 32_503_680_000
"""The year 3000, in seconds; sums with later moments could exceed what a datetime holds."""


class Role(StrEnum):
    """`service` is another program: it may read everything and acts as a bot."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as their token says. A connection must not outlive `expires_at`."""

    agent_id: str
    workspace: str
    role: Role
    expires_at: datetime

    def require(self, *roles: Role) -> None:
        """Raises Problem 403 where the caller has none of these roles."""
        if self.role not in roles:
            raise Problem(403, "role", "Not allowed", f"this needs the role {' or '.join(roles)}")


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < SHORTEST_SECRET:
        raise ValueError(f"expected at least {SHORTEST_SECRET} bytes")
    return secret


class BearerSettings(ServiceSettings):
    """Settings of a service whose callers show tokens."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_long_enough)]


class Bearer:
    """Checks tokens of one workspace. An instance is a FastAPI dependency: `Depends(verify_bearer)` gives the Principal.

    Raises Problem 401 where there is no good token, 403 where the token is good but for another workspace.
    """

    def __init__(self, secret: SecretStr, *, workspace: str, time: TimeSource) -> None:
        self._secret, self._workspace, self._time = secret.get_secret_value(), workspace, time

    def __call__(self, connection: HTTPConnection) -> Principal:
        return self.verify(token_of(connection))

    def verify(self, token: str | None) -> Principal:
        """The principal of a token. Nothing of a refused token is repeated in the problem."""
        if not token:
            raise _unauthorized("missing", "send the header Authorization: Bearer <token>")
        if len(token) > LONGEST_TOKEN:
            raise _unauthorized("invalid", "the token is too long")
        try:
            # Times are checked below, against our own time source.
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                options={
                    "require": ["exp", "sub", "workspace", "role"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise _unauthorized("invalid", "the token is malformed or its signature is wrong") from None
        principal = _principal(claims)
        now = self._time.now()
        if principal.expires_at + LEEWAY <= now:
            raise _unauthorized("expired", "the token has expired")
        if _moment(claims.get("nbf", 0)) - LEEWAY > now:
            raise _unauthorized("early", "the token is not valid yet")
        if principal.workspace != self._workspace:
            raise Problem(403, "workspace", "Not allowed", "the token is for another workspace")
        return principal


def issue(
    secret: SecretStr, *, agent_id: str, workspace: str, role: Role, now: datetime, lifetime: timedelta
) -> str:
    """A token that is good for `lifetime` from `now`."""
    claims = {
        "sub": agent_id,
        "workspace": workspace,
        "role": role.value,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    return jwt.encode(claims, secret.get_secret_value(), algorithm=ALGORITHM)


def token_of(connection: HTTPConnection) -> str | None:
    """The token of the Authorization header; None where there is none of the scheme Bearer."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _principal(claims: dict[str, Any]) -> Principal:
    agent_id, workspace = claims["sub"], claims["workspace"]
    if not (isinstance(agent_id, str) and agent_id and isinstance(workspace, str)):
        raise _unauthorized("invalid", "the claims sub and workspace are texts")
    try:
        role = Role(claims["role"])
    except ValueError:
        raise _unauthorized("invalid", f"the claim role is one of {', '.join(Role)}") from None
    return Principal(agent_id, workspace, role, _moment(claims["exp"]))


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_MOMENT:
        raise _unauthorized("invalid", "the claims exp and nbf are seconds since 1970")
    return datetime.fromtimestamp(value, UTC)


def _unauthorized(code: str, detail: str) -> Problem:
    # RFC 6750, 3.1: no error code where no token was sent.
    challenge = "Bearer" if code == "missing" else 'Bearer error="invalid_token"'
    return Problem(
        401, f"token_{code}", "A bearer token is needed", detail, headers={"www-authenticate": challenge}
    )
