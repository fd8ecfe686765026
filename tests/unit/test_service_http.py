"""This file proves how a service answers over HTTP: problem documents, trace context, health, metrics, the gate and the drain."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import pytest
import websockets
from fastapi import APIRouter, Body, Request
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from libs.flow.database import DatabaseAway
from libs.flow.publisher import PublishFailed
from libs.service.body import read_body
from libs.service.edge import Edge
from libs.service.health import Health, Phase
from libs.service.http import HttpServer, application, listen
from libs.service.problems import Problem
from libs.service.trace import child, current_request_id, current_traceparent

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Reply(BaseModel):
    text: str
    tags: list[int] = []


def routes() -> APIRouter:
    api = APIRouter()

    @api.post("/reply")
    async def reply(_: Reply) -> dict[str, bool]:
        return {"ok": True}

    @api.get("/raise/{what}")
    async def raise_it(what: str) -> None:
        raise {
            "problem": Problem(409, "resolved", "Refused", "it is resolved", headers={"x-a": "b"}, version=3),
            "database": DatabaseAway("postgresql://secret"),
            "broker": PublishFailed("no leader"),
            "bug": ZeroDivisionError("somebody's words"),
            "deep": RecursionError(),
        }[what]

    @api.get("/trace")
    async def trace() -> list[str]:
        return [current_traceparent(), current_request_id()]

    @api.post("/body")
    async def body(request: Request) -> int:
        return len(await read_body(request, 100))

    @api.post("/any")
    async def any_json(value: Annotated[Any, Body()]) -> str:
        return type(value).__name__

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def entries() -> AsyncIterator[str]:
            yield "data: first\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(entries(), media_type="text/event-stream")

    @api.get("/half")
    async def half() -> StreamingResponse:
        async def entries() -> AsyncIterator[str]:
            yield "x"
            raise ZeroDivisionError

        return StreamingResponse(entries())

    @api.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        if await websocket.receive_text() == "bug":
            raise ZeroDivisionError
        await websocket.send_text(current_traceparent())
        await websocket.receive_text()

    async def plain(_: Request) -> PlainTextResponse:
        return PlainTextResponse("plain")

    api.routes.append(Route("/plain", plain))
    api.routes.append(Mount("/mounted", routes=[Route("/inner", plain)]))
    return api


@dataclass
class Lanes:
    ready: bool = True
    alive: bool = True
    details: dict[str, Any] = field(default_factory=lambda: {"lanes": 3})


@pytest.fixture
def health() -> Health:
    return Health("demo", phase=Phase.SERVING)


@pytest.fixture
def edge(health: Health) -> Edge:
    return Edge(application("demo", routes()), health)


@pytest.fixture
async def client(edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    # What escapes the edge would reach the server's log, so the transport is told to raise it.
    transport = httpx.ASGITransport(edge, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://demo") as made:
        yield made


@asynccontextmanager
async def served(edge: Edge) -> AsyncIterator[HttpServer]:
    deaths: list[str] = []
    server = HttpServer(edge, listen("127.0.0.1", 0), lambda name, _: deaths.append(name))
    await server.start()
    yield server
    edge.drain()
    await server.stop()
    assert deaths == []


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["status"] == answer.status_code
    assert said["type"] == f"urn:sambung:problem:{said['code']}"
    return said


async def test_problem_becomes_a_document_with_its_members(client: httpx.AsyncClient) -> None:
    answer = await client.get("/raise/problem")
    assert answer.status_code == 409
    assert answer.headers["x-a"] == "b"
    assert problem(answer) == {
        "type": "urn:sambung:problem:resolved",
        "title": "Refused",
        "status": 409,
        "detail": "it is resolved",
        "code": "resolved",
        "version": 3,
    }


async def test_request_that_does_not_fit_is_answered_with_its_fields_and_not_its_content(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/reply", json={"text": ["rahasia"], "tags": ["rahasia"]})
    said = problem(answer)
    assert said["status"] == 422
    assert [error["field"] for error in said["errors"]] == ["body.text", "body.tags.0"]
    assert "valid string" in said["detail"]
    assert "rahasia" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"\xff", b"", b'{"text": NaN', b"[" * 3_000_000])
async def test_body_that_is_no_json_is_the_callers_fault(body: bytes, client: httpx.AsyncClient) -> None:
    for path in ("/reply", "/any"):
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert problem(answer)["status"] in (400, 422)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/reply", 405, "method_not_allowed")],
)
async def test_unknown_address_or_method_is_a_problem(
    method: str, path: str, status: int, code: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path)
    assert problem(answer)["code"] == code
    assert answer.status_code == status
    assert status != 405 or answer.headers["allow"] == "POST"


@pytest.mark.parametrize(("what", "code"), [("database", "database_away"), ("broker", "broker_away")])
async def test_outage_is_503_with_retry_after(what: str, code: str, client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        answer = await client.get(f"/raise/{what}")
    assert problem(answer)["code"] == code
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text
    assert [line["log_level"] for line in logs] == ["warning"]


@pytest.mark.parametrize("what", ["bug", "deep"])
async def test_bug_is_500_with_the_id_under_which_it_was_logged_once(
    what: str, client: httpx.AsyncClient
) -> None:
    with capture_logs() as logs:
        answer = await client.get(f"/raise/{what}", headers={"x-request-id": "req-1"})
    said = problem(answer)
    assert (said["status"], said["request_id"]) == (500, "req-1")
    assert "words" not in answer.text
    [line] = logs
    assert (line["event"], line["log_level"], line["path"]) == ("request failed", "error", f"/raise/{what}")


async def test_trace_of_the_caller_is_continued_and_the_request_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/trace", headers={"traceparent": PARENT, "x-request-id": "req-7"})
    span, name = answer.json()
    assert re.fullmatch(r"00-a{32}-[0-9a-f]{16}-01", span)
    assert span != PARENT
    assert name == answer.headers["x-request-id"] == "req-7"


@pytest.mark.parametrize("headers", [{}, {"traceparent": "junk", "x-request-id": 'a"\nb'.replace("\n", " ")}])
async def test_without_a_usable_trace_a_new_one_begins(
    headers: dict[str, str], client: httpx.AsyncClient
) -> None:
    first, second = [(await client.get("/trace", headers=headers)).json() for _ in range(2)]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", first[0])
    assert first[0][3:35] != second[0][3:35]
    assert first[1] == first[0][36:52]


@pytest.mark.parametrize(
    ("parent", "kept"),
    [
        (PARENT, True),
        (PARENT[:-2] + "00", True),
        ("01" + PARENT[2:] + "-more", True),
        ("ff" + PARENT[2:], False),
        (PARENT + "-more", False),
        ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", False),
        ("00-" + "a" * 32 + "-" + "0" * 16 + "-01", False),
        (PARENT.upper(), False),
        ("", False),
    ],
)
def test_child_keeps_the_trace_of_a_valid_parent_only(parent: str, kept: bool) -> None:
    span = child(parent)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", span)
    assert (span[3:35] == "a" * 32) is kept
    assert not kept or span.endswith(parent[53:55])


async def test_body_within_the_limit_is_read_and_a_longer_one_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/body", content=b"x" * 100)).json() == 100
    assert problem(await client.post("/body", content=b"x" * 101))["code"] == "too_large"


async def test_longer_body_without_declared_length_is_refused_before_its_end(edge: Edge) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 60

    async with served(edge) as server, httpx.AsyncClient() as client:
        with_error: httpx.Response | Exception
        try:
            with_error = await client.post(f"{server.address}/body", content=endless())
        except httpx.TransportError as fault:  # the server may close before the client has looked
            with_error = fault
    assert isinstance(with_error, httpx.TransportError) or problem(with_error)["status"] == 413


async def test_plain_routes_and_mounted_applications_are_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/plain")).text == "plain"
    assert (await client.get("/mounted/inner")).text == "plain"


async def test_before_the_start_is_complete_only_health_and_metrics_are_answered(
    client: httpx.AsyncClient, health: Health
) -> None:
    health.phase, health.waiting_for = Phase.STARTING, "the broker"
    answer = await client.get("/trace")
    assert (answer.status_code, problem(answer)["detail"]) == (503, "the broker")
    assert int(answer.headers["retry-after"]) > 0
    assert (await client.get("/healthz")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["waiting_for"]) == (503, "the broker")
    assert (await client.get("/metrics")).status_code == 200


async def test_readiness_follows_flows_broker_and_phase(client: httpx.AsyncClient, health: Health) -> None:
    async def ready() -> int:
        return (await client.get("/readyz")).status_code

    assert await ready() == 200
    lanes = Lanes()
    health.flows = lambda: lanes
    assert (await client.get("/readyz")).json()["flows"] == {"lanes": 3}
    lanes.ready = False
    assert await ready() == 503
    lanes.ready, health.broker = True, False
    assert await ready() == 503
    health.broker = True
    assert await ready() == 200
    health.phase = Phase.DRAINING
    assert await ready() == 503


async def test_liveness_is_not_readiness(client: httpx.AsyncClient, health: Health) -> None:
    lanes = Lanes(ready=False)
    health.flows = lambda: lanes
    assert (await client.get("/healthz")).status_code == 200
    lanes.alive = False
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["flows"]) == (503, {"lanes": 3})


async def test_metrics_count_answers_by_status(client: httpx.AsyncClient) -> None:
    def count(text: str) -> float:
        found = re.search(r'^sambung_http_responses_total\{status="409"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = count((await client.get("/metrics")).text)
    await client.get("/raise/problem")
    answer = await client.get("/metrics", headers={"accept": "text/plain"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert count(answer.text) == before + 1
    assert "process_resident_memory_bytes" in answer.text


async def test_socket_carries_the_trace_and_its_bug_is_logged(edge: Edge) -> None:
    async with served(edge) as server:
        address = server.address.replace("http", "ws") + "/socket"
        async with websockets.connect(address, additional_headers={"traceparent": PARENT}) as socket:
            await socket.send("hello")
            assert str(await socket.recv())[3:35] == "a" * 32
        with capture_logs() as logs:
            async with websockets.connect(address) as socket:
                await socket.send("bug")
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        assert [line["event"] for line in logs] == ["socket failed"]


async def test_socket_is_refused_before_the_start_is_complete(edge: Edge, health: Health) -> None:
    health.phase = Phase.STARTING
    async with served(edge) as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(server.address.replace("http", "ws") + "/socket")
        assert refused.value.response.status_code == 503


async def test_drain_ends_streams_cleanly_and_closes_sockets(edge: Edge) -> None:
    async with served(edge) as server, httpx.AsyncClient() as client:
        address = server.address
        async with (
            client.stream("GET", f"{address}/stream") as stream,
            websockets.connect(address.replace("http", "ws") + "/socket") as socket,
        ):
            text = stream.aiter_text()
            assert await anext(text) == "data: first\n\n"
            edge.drain()
            async with asyncio.timeout(3):
                await server.stop()
                # The stream ends as streams do, not as a broken connection.
                assert [chunk async for chunk in text] == []
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{address}/plain")


async def test_stream_that_breaks_is_logged_once_and_cut(edge: Edge) -> None:
    async with served(edge) as server, httpx.AsyncClient() as client:
        with capture_logs() as logs, pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{server.address}/half")
        assert [line["event"] for line in logs] == ["request failed"]


async def test_client_that_leaves_in_the_middle_of_its_body_is_no_error(edge: Edge) -> None:
    async with served(edge) as server:
        host, port = server.address.removeprefix("http://").split(":")
        with capture_logs() as logs:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nhalf")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            edge.drain()
            await server.stop()
        assert logs == []


def test_port_in_use_is_an_os_error() -> None:
    first = listen("127.0.0.1", 0)
    with first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])
