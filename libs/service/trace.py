"""This file carries W3C trace context: accepted from a caller, else begun here, and given on with what a request causes.

traceparent: 00-<32 hex trace id>-<16 hex span id>-<2 hex flags>
"""

import re
from contextvars import ContextVar

from libs.timesource import random_token

_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

_current: ContextVar[str] = ContextVar("traceparent", default="")
_request: ContextVar[str] = ContextVar("request_id", default="")


def current_traceparent() -> str:
    """The span of the request being handled, to be put into what it causes; "" outside a request."""
    return _current.get()


def current_request_id() -> str:
    """What the caller named this request, or its span id; "" outside a request."""
    return _request.get()


def child(traceparent: str) -> str:
    """A new span of the same trace. Without a valid parent, the first span of a new trace."""
    found = _SHAPE.fullmatch(traceparent)
    # Version ff is forbidden, version 00 has no more fields; ids of zeros mean "none" (W3C Trace Context, 3.2).
    if (
        found is None
        or found[1] == "ff"
        or (found[1] == "00" and found[5])
        or not int(found[2], 16)
        or not int(found[3], 16)
    ):
        ids = random_token(24)
        return f"00-{ids[:32]}-{ids[32:]}-01"
    return f"00-{found[2]}-{random_token(8)}-{found[4]}"


def enter(traceparent: str, request_id: str) -> str:
    """Begin a request in this context: a span under the caller's, named as the caller named it. Returns the request id.

    The contexts of tasks are their own: nothing has to be undone at the end.
    """
    span = child(traceparent)
    _current.set(span)
    name = request_id if _REQUEST_ID.fullmatch(request_id) else span[36:52]
    _request.set(name)
    return name
