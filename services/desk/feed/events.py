"""This file carries a feed over server-sent events: the same frames, each with its cursor as the event's id."""

import re
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from services.desk import metrics
from services.desk.feed.stream import Feed

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
RETRY = "retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""
_CURSOR = re.compile(r'\{"type":"[a-z]+","cursor":"([^"]*)"')


def response(feed: Feed) -> StreamingResponse:
    return StreamingResponse(_lines(feed), media_type="text/event-stream", headers=HEADERS)


async def _lines(feed: Feed) -> AsyncIterator[str]:
    metrics.CONNECTED.labels("sse").inc()
    try:
        yield RETRY
        async for frames in feed.batches():
            metrics.FRAMES.labels("sse").inc(len(frames))
            yield "".join(map(sse, frames))
    finally:
        metrics.CONNECTED.labels("sse").dec()


def sse(frame: str) -> str:
    """One frame as a server-sent event. JSON text holds no line break."""
    found = _CURSOR.match(frame)
    return f"id: {found[1]}\ndata: {frame}\n\n" if found else f"data: {frame}\n\n"
