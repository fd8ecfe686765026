"""This file reads a request's body up to a limit."""

from starlette.requests import Request

from libs.service.problems import Problem


async def read_body(request: Request, limit: int) -> bytes:
    """The raw body, at most `limit` bytes. Raises Problem 413 as soon as it is known to be longer; nothing more is read."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(limit: int) -> Problem:
    # The rest of the body is still on its way: the connection cannot be used again.
    return Problem(
        413, "too_large", "The body is too large", f"at most {limit} bytes", headers={"connection": "close"}
    )
