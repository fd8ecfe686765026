"""This file proves that logs are JSON lines with the ids of the request, and hold no secret."""

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from libs.service.logs import HIDDEN, configure, redact
from libs.service.trace import current_request_id, enter


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("sla", "INFO", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    structlog.configure(**before)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_log_line_is_json_with_service_and_process(out: io.StringIO) -> None:
    structlog.get_logger().info("lane taken", lane=3)
    structlog.get_logger().debug("not at this level")
    [line] = lines(out)
    assert (line["event"], line["lane"], line["service"], line["level"]) == ("lane taken", 3, "sla", "info")
    assert line["pid"] > 0
    assert line["at"].endswith("Z")
    assert "request_id" not in line


async def test_log_line_of_a_request_names_it_and_its_trace(out: io.StringIO) -> None:
    async def request() -> None:
        enter("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "from-the-caller")
        with structlog.contextvars.bound_contextvars(conversation_id="cnv_x"):
            structlog.get_logger().info("reply taken")

    await asyncio.create_task(request())
    [line] = lines(out)
    assert (line["request_id"], line["trace_id"]) == ("from-the-caller", "a" * 32)
    assert line["conversation_id"] == "cnv_x"
    assert current_request_id() == ""


def test_exception_is_kept_in_the_line(out: io.StringIO) -> None:
    try:
        raise OSError("postgresql://sambung:hunter2@db/x is away")
    except OSError:
        structlog.get_logger().exception("request failed")
    [line] = lines(out)
    assert "OSError" in line["exception"]
    assert "hunter2" not in out.getvalue()


@pytest.mark.parametrize(
    "key", ["token", "app_secret", "Authorization", "password", "signing_key", "access_token", "cookie"]
)
def test_value_under_a_telling_name_is_hidden(key: str) -> None:
    assert redact(None, "info", {"event": "x", key: "hunter2"})[key] == HIDDEN
    assert "hunter2" not in str(redact(None, "info", {"event": "x", "headers": {key: ["hunter2"]}}))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgresql://sambung:hunter2@db/x", "postgresql://sambung:[hidden]@db/x"),
        ("POST https://api.telegram.org/bot123456:hunter2-x_y/sendMessage", "/bot[hidden]/sendMessage"),
        ("GET /v1/feed?access_token=hunter2&scope=pool", "access_token=[hidden]&scope=pool"),
        ("Authorization: Bearer hunter2.x.y failed", "Bearer [hidden] failed"),
        ('{"secret": "hunter2", "a": 1}', '{"secret": "[hidden]", "a": 1}'),
    ],
)
def test_secret_inside_a_text_is_hidden(text: str, kept: str) -> None:
    said = redact(None, "warning", {"event": "x", "text": text, "deeper": [{"url": text}]})
    assert kept in said["text"]
    assert "hunter2" not in str(said)


@pytest.mark.parametrize(
    "text", ["the broker is away", "conversation cnv_abc", "http://127.0.0.1:8101/v1/feed", "12:30"]
)
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(None, "info", {"event": text, "n": 5, "none": None}) == {
        "event": text,
        "n": 5,
        "none": None,
    }


def test_warnings_of_libraries_come_the_same_way_and_do_not_flood(out: io.StringIO) -> None:
    kafka = logging.getLogger("aiokafka.conn")
    kafka.info("connected")
    for node in range(50):
        kafka.warning("Unable connect to node with id %s", node)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old call", UserWarning, stacklevel=1)
    said = lines(out)
    assert [(line["event"], line["library"], line["level"]) for line in said] == [
        ("a library said", "aiokafka.conn", "warning"),
        ("a library said", "py.warnings", "warning"),
    ]
    assert said[0]["text"] == "Unable connect to node with id 0"


def test_library_message_is_told_again_later_with_how_often_it_was_not(out: io.StringIO) -> None:
    logger = logging.getLogger("aiokafka.conn")
    for at in (100.0, 101.0, 102.0, 106.0):
        record = logger.makeRecord("aiokafka.conn", logging.ERROR, "f", 1, "away", (), None)
        record.created = at
        logger.handle(record)
    assert [line["repeated"] for line in lines(out)] == [0, 2]


def test_people_at_a_terminal_get_no_json(monkeypatch: pytest.MonkeyPatch, out: io.StringIO) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    configure("sla", "INFO", terminal)
    structlog.get_logger().info("serving", token="hunter2")
    assert "serving" in terminal.getvalue()
    assert "{" not in terminal.getvalue()
    assert "hunter2" not in terminal.getvalue()
    assert out.getvalue() == ""
