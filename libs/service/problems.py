"""This file answers faults over HTTP as problem documents (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from libs.flow.database import DatabaseAway
from libs.flow.publisher import PublishFailed
from libs.service.trace import current_request_id

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"
"""Seconds. Outages of broker and database end by themselves; this spreads the callers that come back."""
LOGGED = "sambung.logged"
"""Set in a request's scope when its exception was logged already."""


class Problem(Exception):
    """Raise in a handler to answer with a problem document.

    `code` is a stable word for programs, `title` the same for people, `detail` about this occurrence; further members
    come by name. None of them may hold a secret or what somebody wrote.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{status} {code}: {detail or title}")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.headers = dict(headers or {})
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """The members of RFC 9457, then our own."""
        said: dict[str, Any] = {
            "type": f"urn:sambung:problem:{self.code}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            said["detail"] = self.detail
        return said | {"code": self.code} | self.extra

    def body(self) -> bytes:
        return json.dumps(self.document(), ensure_ascii=False, default=str).encode("utf-8", "replace")

    def response(self) -> Response:
        return Response(self.body(), self.status, self.headers, MEDIA_TYPE)


def unavailable(code: str, title: str, detail: str = "") -> Problem:
    """503 with Retry-After: nothing was taken, the same request will do later."""
    return Problem(503, code, title, detail, headers={"retry-after": RETRY_AFTER})


def unexpected() -> Problem:
    """500, with the id under which the log has the rest."""
    return Problem(
        500,
        "unexpected",
        "Something went wrong here",
        "the log has more under this request id",
        request_id=current_request_id(),
    )


def install(app: FastAPI) -> None:
    """Answer everything that handlers raise, and everything that FastAPI refuses, with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(DatabaseAway, _database_away)
    app.add_exception_handler(PublishFailed, _broker_away)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Problem)
    return fault.response()


async def _invalid(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)
    # What was sent is not repeated: it may be a secret or somebody's words.
    errors = [{"field": ".".join(map(str, e["loc"])), "expected": e["msg"]} for e in fault.errors()]
    detail = "; ".join(f"{e['field']}: {e['expected']}" for e in errors[:10])
    return Problem(422, "invalid_request", "The request does not fit", detail, errors=errors[:100]).response()


async def _refused(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    phrase = HTTPStatus(fault.status_code).phrase
    detail = fault.detail if isinstance(fault.detail, str) and fault.detail != phrase else ""
    code = phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    return Problem(fault.status_code, code, phrase, detail, headers=fault.headers).response()


async def _database_away(_request: Request, fault: Exception) -> Response:
    log.warning("answered 503: the database is away", fault=str(fault)[:200])
    return unavailable("database_away", "The database is away").response()


async def _broker_away(_request: Request, fault: Exception) -> Response:
    log.warning("answered 503: the broker is away", fault=str(fault)[:200])
    return unavailable("broker_away", "The broker is away", "nothing is lost; send it again").response()


async def _gone(_request: Request, _fault: Exception) -> Response:
    return Problem(400, "incomplete", "The request ended before its body did").response()


async def _unexpected(request: Request, fault: Exception) -> Response:
    log.error("request failed", path=request.url.path, method=request.method, exc_info=fault)
    request.scope[LOGGED] = True
    return unexpected().response()
