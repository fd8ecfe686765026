"""An allocation hook over HTTP: what it is sent, what its answers mean, how long it is waited for, when it is not asked."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from libs.contracts.vocabulary import Channel, WorkState
from libs.flow.flow import Performing
from libs.service.signing import signature
from libs.timesource import ManualTime
from libs.workspace import AllocationHook, Pool, Queue, Secret, Workspace
from services.router.assignment.answers import LARGEST_ANSWER, MOST_NAMED, answer_of
from services.router.assignment.domain.breaker import FAILURES, PAUSE, Breaker
from services.router.assignment.domain.decisions import Ask, Contender
from services.router.assignment.domain.work import WorkItem
from services.router.assignment.effects import AskHook, AskOutcome, Heard, ask_of
from services.router.assignment.hooks import PLACES, Hooks

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOOK = AllocationHook(
    "https://crm.example/allocate?tenant=7",
    Secret("k3y", "env:HOOK"),
    timedelta(milliseconds=200),
    "pools.main",
)
WORKSPACE = Workspace(
    "test",
    queues={"billing": Queue("billing", "main"), "sales": Queue("sales", "bare")},
    pools={"main": Pool("main", allocation_hook=HOOK), "bare": Pool("bare")},
)
ITEM = WorkItem(
    work_item_id="wki_1",
    lane=0,
    pool="main",
    conversation_id="cnv_1",
    contact_point_id="cpt_1",
    queue="billing",
    channel=Channel.WHATSAPP,
    skills={"refund": 2},
    units=1,
    priority=3,
    due_at=START + timedelta(minutes=5),
    last_agent_id="budi",
    only_agent_id=None,
    excluded_agent_ids=("dimas",),
    waiting_since=START - timedelta(minutes=1),
    state=WorkState.QUEUED,
    version=1,
    changed_at=START,
    hook_until=START + HOOK.within,
    hook_asks=1,
)
ASK = ask_of(Ask(ITEM, (Contender("ayu", {"refund": 3}, 1, 4, START),)), "v7")

Reply = Callable[[httpx.Request], Any]


def performing(ask: AskHook = ASK) -> Performing:
    return Performing(f"hook/{ask.id}", ask.work_item_id, ask, again=False)


class Other:
    """The other side: answers with what the test laid down, and remembers what it was sent."""

    def __init__(self, reply: Reply) -> None:
        self.reply, self.requests = reply, list[httpx.Request]()
        self.time = ManualTime(START)
        self.hooks = Hooks(WORKSPACE, self.time, transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        found = self.reply(request)
        return found if isinstance(found, httpx.Response) else await found

    async def ask(self, ask: AskHook = ASK) -> Heard:
        return await self.hooks(performing(ask))


def ok(body: Any) -> Reply:
    return lambda _: httpx.Response(200, json=body)


async def test_it_is_told_all_that_is_known_of_the_work_and_of_who_could_take_it() -> None:
    other = Other(ok({"agent_id": "ayu", "reason": "vip"}))
    assert await other.ask() == Heard(AskOutcome.ANSWERED, ("ayu",), "vip")
    [request] = other.requests
    assert (request.method, str(request.url)) == ("POST", HOOK.url)
    assert json.loads(request.content) == {
        "work_item_id": "wki_1",
        "ask": 1,
        "conversation_id": "cnv_1",
        "contact_point_id": "cpt_1",
        "pool": "main",
        "queue": "billing",
        "channel": "whatsapp",
        "priority": 3,
        "vip": False,
        "units": 1,
        "skills": {"refund": 2},
        "preferred_skills": {},
        "waiting_since": "2026-03-02T07:59:00Z",
        "due_at": "2026-03-02T08:05:00Z",
        "last_agent_id": "budi",
        "excluded_agent_ids": ["dimas"],
        "answer_by": "2026-03-02T08:00:00.200000Z",
        "agents": [
            {
                "agent_id": "ayu",
                "skills": {"refund": 3},
                "load": 1,
                "capacity": 4,
                "idle_since": "2026-03-02T08:00:00Z",
            }
        ],
        "policy_version": "v7",
    }


async def test_a_request_is_signed_over_its_time_and_body_and_names_the_ask() -> None:
    other = Other(ok({"agent_id": None}))
    await other.ask()
    [request] = other.requests
    assert request.headers["idempotency-key"] == "wki_1/1"
    signed = dict(part.split("=") for part in request.headers["x-sambung-signature"].split(","))
    assert int(signed["t"]) == int(START.timestamp())
    expected = hmac.new(b"k3y", signed["t"].encode() + b"." + request.content, hashlib.sha256).hexdigest()
    assert signed["v1"] == expected


def test_the_pages_own_check_takes_the_pages_own_example_and_ours_and_nothing_else() -> None:
    page = Path("docs/allocation-hook.md").read_text()
    found: dict[str, Any] = {}
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, found)
    at, body = 1772438400, b'{"ask":1}'
    header = signature("contoh", at, body)
    assert f"`{header}`" in page
    found["time"] = SimpleNamespace(time=lambda: at + 200)
    assert found["is_ours"]("contoh", header, body)
    assert not found["is_ours"]("contoh", header, body + b" ")
    assert not found["is_ours"]("other", header, body)
    found["time"] = SimpleNamespace(time=lambda: at + 301)
    assert not found["is_ours"]("contoh", header, body)


@pytest.mark.parametrize(
    ("body", "heard"),
    [
        ({"agent_id": "ayu"}, Heard(AskOutcome.ANSWERED, ("ayu",))),
        ({"agent_ids": ["ayu", "budi"], "other": 1}, Heard(AskOutcome.ANSWERED, ("ayu", "budi"))),
        ({"agent_id": None, "reason": "new"}, Heard(AskOutcome.NO_OPINION, (), "new")),
        ({"agent_ids": []}, Heard(AskOutcome.NO_OPINION)),
        ({"agent_id": "a\x00\ud800 b\n", "reason": "x\x07" * 400}, Heard(AskOutcome.ANSWERED, ("a b",), "x " * 99 + "x ")),
        ({"agent_ids": [f"a{n}" for n in range(99)]}, Heard(AskOutcome.ANSWERED, tuple(f"a{n}" for n in range(MOST_NAMED)))),
    ],
)  # fmt: skip
def test_what_an_answer_means(body: dict[str, Any], heard: Heard) -> None:
    assert answer_of(200, json.dumps(body).encode()) == heard


@pytest.mark.parametrize(
    ("status", "body", "outcome", "fault"),
    [
        (503, b"", AskOutcome.STATUS, "answered 503"),
        (302, b'{"agent_id": "ayu"}', AskOutcome.STATUS, "answered 302"),
        (201, b'{"agent_id": "ayu"}', AskOutcome.STATUS, "answered 201"),
        (200, b"<html>", AskOutcome.INVALID, "answered what is no JSON"),
        (200, b"[" * 60_000, AskOutcome.INVALID, "answered what is no JSON"),
        (200, b"\xff\xfe", AskOutcome.INVALID, "answered what is no JSON"),
        (200, b'["ayu"]', AskOutcome.INVALID, "answered JSON that is no object"),
        (200, b"{}", AskOutcome.INVALID, "answered with neither, or both, of agent_id and agent_ids"),
        (
            200,
            b'{"agent_id": "a", "agent_ids": []}',
            AskOutcome.INVALID,
            "answered with neither, or both, of agent_id and agent_ids",
        ),
        (200, b'{"agent_id": 7}', AskOutcome.INVALID, "answered with an agent that is no text"),
        (200, b'{"agent_id": ""}', AskOutcome.INVALID, "answered with an agent that is no text"),
        (200, b'{"agent_ids": "ayu"}', AskOutcome.INVALID, "answered with an agent that is no text"),
        (
            200,
            b'{"agent_id": "a", "reason": {}}',
            AskOutcome.INVALID,
            "answered with a reason that is no text",
        ),
        (200, b" " * (LARGEST_ANSWER + 1), AskOutcome.INVALID, "answered more than 64 KiB"),
    ],
)
def test_what_is_no_answer_says_why(status: int, body: bytes, outcome: AskOutcome, fault: str) -> None:
    assert answer_of(status, body) == Heard(outcome, fault=fault)


async def test_an_empty_204_is_no_opinion() -> None:
    assert await Other(lambda _: httpx.Response(204)).ask() == Heard(AskOutcome.NO_OPINION)


async def test_redirects_are_not_followed() -> None:
    other = Other(lambda _: httpx.Response(307, headers={"location": "https://elsewhere.example/"}))
    assert (await other.ask()).fault == "answered 307"
    assert len(other.requests) == 1


async def test_no_more_is_read_than_an_answer_may_hold() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 4096

    other = Other(lambda _: httpx.Response(200, content=endless()))
    assert (await other.ask()).fault == "answered more than 64 KiB"
    assert sent == LARGEST_ANSWER // 4096 + 1


async def test_what_is_compressed_is_not_unpacked() -> None:
    headers = {"content-encoding": "gzip"}
    other = Other(lambda _: httpx.Response(200, headers=headers, content=_pieces(b"\x1f\x8b")))
    assert await other.ask() == Heard(AskOutcome.INVALID, fault="answered what is compressed")


async def _pieces(*found: bytes) -> AsyncIterator[bytes]:
    for piece in found:
        yield piece


async def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    assert await Other(never).ask() == Heard(AskOutcome.TIMEOUT, fault="no answer within 200 ms")


async def test_nobody_is_asked_when_the_time_was_over_before() -> None:
    other = Other(ok({"agent_id": "ayu"}))
    await other.time.advance(HOOK.within)
    assert (await other.ask()).outcome is AskOutcome.TIMEOUT
    assert other.requests == []


async def test_a_hook_that_is_not_reached_says_so_without_its_address() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to crm.example", request=request)

    assert await Other(away).ask() == Heard(AskOutcome.UNREACHABLE, fault="not reached (ConnectError)")


@pytest.mark.parametrize("queue", ["sales", "gone"])
async def test_where_the_workspace_has_no_hook_any_more_nobody_is_asked(queue: str) -> None:
    other = Other(ok({"agent_id": "ayu"}))
    heard = await other.ask(ASK.model_copy(update={"queue": queue}))
    assert (heard.outcome, other.requests) == (AskOutcome.UNCONFIGURED, [])


def shown(figure: str) -> float | None:
    return REGISTRY.get_sample_value(figure, {"hook": "pools.main"})


async def test_after_failures_in_a_row_it_is_not_asked_for_a_while_and_then_tried_once() -> None:
    other = Other(lambda _: httpx.Response(500))
    later = ASK.model_copy(update={"until": START + timedelta(hours=1)})
    for _ in range(FAILURES):
        assert (await other.ask(later)).outcome is AskOutcome.STATUS
    assert shown("sambung_router_hook_breaker_open") == 1
    refused = await other.ask(later)
    assert refused == Heard(AskOutcome.BREAKER, fault="not asked, since it failed 5 times in a row")
    assert len(other.requests) == FAILURES
    await other.time.advance(timedelta(seconds=PAUSE))
    assert (await other.ask(later)).outcome is AskOutcome.STATUS
    assert (await other.ask(later)).outcome is AskOutcome.BREAKER
    await other.time.advance(timedelta(seconds=PAUSE))
    other.reply = ok({"agent_id": "ayu"})
    assert (await other.ask(later)).outcome is AskOutcome.ANSWERED
    assert (await other.ask(later)).outcome is AskOutcome.ANSWERED
    assert shown("sambung_router_hook_breaker_open") == 0


async def test_a_timeout_with_little_time_left_is_not_held_against_the_hook() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    other = Other(never)
    hurried = ASK.model_copy(update={"until": START + HOOK.within / 10})
    for _ in range(FAILURES + 1):
        assert (await other.ask(hurried)).outcome is AskOutcome.TIMEOUT
    assert len(other.requests) == FAILURES + 1


async def test_of_a_crowd_the_first_are_answered_and_the_others_do_not_count_against_the_hook() -> None:
    free, under_way = asyncio.Event(), 0

    async def slowly(_: httpx.Request) -> httpx.Response:
        nonlocal under_way
        under_way += 1
        assert under_way <= PLACES
        if under_way == PLACES:
            crowd_out()
        await free.wait()
        return httpx.Response(204)

    def crowd_out() -> None:
        """Once all places are taken, those who wait for one have until their time is over."""
        asyncio.get_running_loop().call_later(0.3, free.set)

    other = Other(slowly)
    slow = replace(HOOK, within=timedelta(seconds=5))
    other.hooks = Hooks(
        replace(WORKSPACE, pools={"main": Pool("main", allocation_hook=slow)}),
        other.time,
        transport=httpx.MockTransport(slowly),
    )
    first = ASK.model_copy(update={"until": START + timedelta(seconds=5)})
    later = ASK.model_copy(update={"until": START + timedelta(milliseconds=100)})
    heard = await asyncio.gather(
        *(other.ask(first) for _ in range(PLACES)), *(other.ask(later) for _ in range(9))
    )
    assert [h.outcome for h in heard] == [AskOutcome.NO_OPINION] * PLACES + [AskOutcome.CROWDED] * 9
    under_way = 0
    assert (await other.ask(first)).outcome is AskOutcome.NO_OPINION


def test_while_one_tries_again_nobody_else_does() -> None:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.may_try(0)
        breaker.failed(0)
    assert [breaker.may_try(at) for at in (1, PAUSE - 1, PAUSE, PAUSE, PAUSE + 9)] == [
        False, False, True, False, False,
    ]  # fmt: skip
    breaker.gave_up()
    assert breaker.may_try(PAUSE + 10)
    breaker.succeeded()
    assert breaker.may_try(PAUSE + 10)
    assert breaker.may_try(PAUSE + 10)


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    breaker = Breaker()
    for _ in range(3 * FAILURES):
        breaker.failed(0)
        breaker.succeeded()
    assert not breaker.open


def test_a_secret_is_in_nothing_that_is_kept_or_shown() -> None:
    assert "k3y" not in f"{HOOK!r} {WORKSPACE!r} {ASK!r} {ASK.model_dump_json()}"
