"""Who is let in by a bearer token, and who is not."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from pydantic import SecretStr, ValidationError
from starlette.requests import HTTPConnection

from libs.service.auth import Bearer, BearerSettings, Principal, Role, issue, token_of
from libs.service.problems import Problem
from libs.timesource import ManualTime
from tests.unit.desk.story import START

SECRET = SecretStr("a secret of at least thirty-two bytes")
HOUR = timedelta(hours=1)


def bearer(time: ManualTime | None = None) -> Bearer:
    return Bearer(SECRET, workspace="toko", time=time or ManualTime(START))


def token(role: Role = Role.AGENT, workspace: str = "toko") -> str:
    return issue(SECRET, agent_id="ayu", workspace=workspace, role=role, now=START, lifetime=HOUR)


def signed(**changes: Any) -> str:
    claims = {"sub": "ayu", "workspace": "toko", "role": "agent", "exp": (START + HOUR).timestamp()} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, SECRET.get_secret_value(), algorithm="HS256")


def refused(text: str | None, time: ManualTime | None = None) -> Problem:
    with pytest.raises(Problem) as raised:
        bearer(time).verify(text)
    return raised.value


@pytest.mark.parametrize("role", list(Role))
def test_a_token_says_who_calls_in_which_role_and_until_when(role: Role) -> None:
    assert bearer().verify(token(role)) == Principal("ayu", "toko", role, START + HOUR)


async def test_a_token_is_good_to_its_end_and_for_the_leeway_and_not_longer() -> None:
    time = ManualTime(START)
    await time.advance(HOUR + timedelta(seconds=9))
    assert bearer(time).verify(token()).agent_id == "ayu"
    await time.advance(timedelta(seconds=1))
    problem = refused(token(), time)
    assert (problem.status, problem.code) == (401, "token_expired")
    assert problem.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_that_begins_later_is_refused_until_then() -> None:
    early = signed(nbf=(START + timedelta(seconds=11)).timestamp())
    assert refused(early).code == "token_early"
    assert bearer().verify(signed(nbf=(START + timedelta(seconds=9)).timestamp())).agent_id == "ayu"


def test_no_token_is_asked_for_without_an_error_code() -> None:
    problem = refused(None)
    assert (problem.status, problem.code) == (401, "token_missing")
    assert problem.headers["www-authenticate"] == "Bearer"


def test_a_token_for_another_workspace_is_no_token_here() -> None:
    assert refused(token(workspace="lain")).status == 403


def unsigned() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": "ayu", "workspace": "toko", "role": "supervisor", "exp": 32_000_000_000}
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def other_algorithm() -> str:
    claims = {"sub": "ayu", "workspace": "toko", "role": "agent", "exp": 32_000_000_000}
    return jwt.encode(claims, "k" * 64, algorithm="HS512")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "a.b.c",
        unsigned(),
        other_algorithm(),
        jwt.encode({"sub": "ayu", "workspace": "toko", "role": "agent", "exp": 32_000_000_000}, "k" * 32),
        token()[:-2],
        "x" * 5000,
        signed(exp=None),
        signed(sub=None),
        signed(workspace=None),
        signed(role=None),
        signed(role="owner"),
        signed(workspace=["toko"]),
        signed(exp=10**18),
        signed(exp=-1),
        signed(nbf="soon"),
    ],
)
def test_a_token_that_does_not_hold_is_refused_without_being_repeated(text: str) -> None:
    problem = refused(text)
    assert (problem.status, problem.code) == (401, "token_invalid")
    assert text not in json.dumps(problem.document())


@pytest.mark.parametrize(
    ("header", "found"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("", None), ("Bearer", "")],
)
def test_the_token_is_read_from_the_header(header: str, found: str | None) -> None:
    scope = {"type": "http", "headers": [(b"authorization", header.encode())]}
    assert token_of(HTTPConnection(scope)) == found


def test_a_role_that_is_not_asked_for_is_refused() -> None:
    principal = bearer().verify(token())
    principal.require(Role.AGENT, Role.SUPERVISOR)
    with pytest.raises(Problem) as raised:
        principal.require(Role.SUPERVISOR)
    assert raised.value.status == 403


def test_a_secret_that_can_be_guessed_is_a_wrong_setting() -> None:
    with pytest.raises(ValidationError, match="at least 32 bytes"):
        BearerSettings(kafka="h:1", postgres="postgresql://h", workspace="w", port=1, jwt_secret="short")
