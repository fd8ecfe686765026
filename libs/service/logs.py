"""This file sets up logs: one JSON object a line on stderr, secrets blacked out, other libraries' warnings among them."""

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from libs.service.trace import current_request_id, current_traceparent

HIDDEN = "[hidden]"
QUIET = 5.0
_SECRET_KEY = re.compile(
    r"token|secret|passw|authorization|cookie|signing|api_?key|credential|private_?key", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"(?P<before>://[^:/@\s]*:)[^@\s/]+(?=@)"  # password in an address
    r"|(?P<bot>/bot)\d+:[\w-]+"  # Telegram puts the token into the path
    r"|(?P<word>(?:access_token|token|secret|password|signature)[\"']?\s*[=:]\s*[\"']?(?:bearer\s+)?)[^\s&\"',}]+"
    r"|(?P<bearer>\bbearer\s+)[\w.~+/=-]+",
    re.IGNORECASE,
)


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """From here on every logger writes to `stream` (stderr): for people on a terminal, else as JSON lines."""
    out = stream or sys.stderr
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Stamp(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redact,
    ]
    if out.isatty():
        chain.append(structlog.dev.ConsoleRenderer())
    else:
        chain.append(structlog.processors.JSONRenderer(ensure_ascii=False))
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromLibraries()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Black out what must not be kept: values under telling names, and secrets inside texts. What happened comes first."""
    first = {key: event.pop(key) for key in ("at", "level", "event") if key in event}
    return {key: _clean(key, value) for key, value in {**first, **event}.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and value not in (None, ""):
        return HIDDEN
    match value:
        case str():
            return _SECRET_TEXT.sub(_keep_name, value)
        case bytes():
            return f"{len(value)} bytes"
        case Mapping():
            return {inner: _clean(str(inner), content) for inner, content in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(key, content) for content in value]
        case BaseException():
            return _clean(key, repr(value))
        case _:
            return value


def _keep_name(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()), "") + HIDDEN


class _Stamp:
    """Adds the service, the process, and which request is being handled."""

    def __init__(self, service: str) -> None:
        self._service, self._pid = service, os.getpid()

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"], event["pid"] = self._service, self._pid
        if request_id := current_request_id():
            event.setdefault("request_id", request_id)
            event.setdefault("trace_id", current_traceparent()[3:35])
        return event


class _FromLibraries(logging.Handler):
    """Brings what other libraries log to the same place. Of one message at most one in QUIET seconds: a Kafka client
    repeats itself many times a second while the broker is away."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            key = (record.name, str(record.msg)[:80])
            told_at, unsaid = self._told.get(key, (float("-inf"), 0))
            if record.created - told_at < QUIET:
                self._told[key] = (told_at, unsaid + 1)
                return
            if len(self._told) > 1000:
                self._told.clear()
            self._told[key] = (record.created, 0)
            structlog.get_logger().log(
                record.levelno,
                "a library said",
                library=record.name,
                text=record.getMessage(),
                repeated=unsaid,
                exc_info=record.exc_info or None,
            )
        except Exception:  # a log line must never take the process down
            self.handleError(record)
