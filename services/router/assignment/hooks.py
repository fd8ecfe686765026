"""This file asks allocation hooks over HTTP: signed, within the time that is left, and not while one keeps failing."""

import asyncio
import logging
import ssl
from contextlib import suppress

import httpx
import structlog

from libs.flow.flow import Performing
from libs.service.signing import HEADER, signature
from libs.timesource import TimeSource
from libs.workspace import AllocationHook, Workspace
from services.router.assignment import metrics
from services.router.assignment.answers import LARGEST_ANSWER, answer_of
from services.router.assignment.domain.asking import told
from services.router.assignment.domain.breaker import FAILURES, Breaker
from services.router.assignment.effects import AskHook, AskOutcome, Heard

log = structlog.get_logger(__name__)

PLACES = 32
"""Requests under way per hook and process, in turn: more at once would have the client manage connections instead of using
them, and nobody be answered in time."""
KEPT = 8
"""Connections kept between requests; the client looks at each of them for each request."""
IDLE = 2.0
"""Seconds for which a connection is kept: less than servers keep theirs, so that none is used that they just closed."""

REFUSED = Heard(AskOutcome.BREAKER, fault=f"not asked, since it failed {FAILURES} times in a row")
CROWDED = Heard(AskOutcome.CROWDED, fault="not asked in time, since many others were")

# These two log every request with its address, which may hold what only its owner should know.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Gate:
    """One hook: its client, its places, and whether it may be asked."""

    def __init__(
        self, hook: AllocationHook, tls: ssl.SSLContext, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self.hook, self.breaker, self.places = hook, Breaker(), asyncio.Semaphore(PLACES)
        self.least = hook.within.total_seconds() / 2
        """Seconds that must be left for a timeout to be the other side's fault."""
        self.client = httpx.AsyncClient(
            verify=tls,
            timeout=hook.within.total_seconds(),
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=PLACES, max_keepalive_connections=KEPT, keepalive_expiry=IDLE
            ),
            transport=transport,
        )


class Hooks:
    """Performs AskHook. It returns what came of it and never raises for anything that the other side does.

    The breakers are of this process: they spare customers a wait and decide nothing else. What is decided by is the
    answer, or why there was none, which is recorded.
    """

    def __init__(
        self, workspace: Workspace, time: TimeSource, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._workspace, self._time, self._transport = workspace, time, transport
        self._tls: ssl.SSLContext | None = None
        self._gates: dict[str, Gate] = {}

    async def close(self) -> None:
        for gate in self._gates.values():
            with suppress(OSError, RuntimeError):
                await gate.client.aclose()
        self._gates.clear()

    async def __call__(self, performing: Performing) -> Heard:
        asked: AskHook = performing.effect
        queue = self._workspace.queues.get(asked.queue)
        hook = self._workspace.allocation_hook(queue) if queue is not None else None
        if hook is None:
            return Heard(AskOutcome.UNCONFIGURED, fault="the workspace has it no more")
        left = min(asked.until - self._time.now(), hook.within).total_seconds()
        if left <= 0:
            # Found after a restart: the time was over before anybody could ask.
            return _too_late(hook)
        gate, begun = self._gate(hook), self._time.monotonic()
        if gate.breaker.refuses(begun):
            return REFUSED
        try:
            async with asyncio.timeout(left):
                await gate.places.acquire()
        except TimeoutError:
            return CROWDED
        try:
            return await self._in_turn(gate, asked, left - (self._time.monotonic() - begun))
        finally:
            gate.places.release()

    async def _in_turn(self, gate: Gate, asked: AskHook, left: float) -> Heard:
        if left <= 0:
            return CROWDED
        if not gate.breaker.may_try(self._time.monotonic()):
            return REFUSED
        heard: Heard | None = None
        place = gate.hook.place
        try:
            metrics.HOOK_ASKED.labels(place).inc()
            with metrics.HOOK_SECONDS.labels(place).time():
                heard = await self._ask(gate, asked, left)
        finally:
            # Who had to wait for a place and was then too late says nothing about the other side.
            hurried = heard is not None and heard.outcome is AskOutcome.TIMEOUT and left < gate.least
            self._tell(gate, None if hurried else heard)
        return heard

    async def _ask(self, gate: Gate, asked: AskHook, within: float) -> Heard:
        """The names of faults only: their texts may hold the address."""
        hook, body = gate.hook, asked.body.encode()
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            # What is sent compressed could grow past any limit.
            "accept-encoding": "identity",
            "user-agent": "sambung",
            "idempotency-key": asked.id,
            HEADER: signature(hook.secret.reveal(), int(self._time.now().timestamp()), body),
        }
        try:
            async with (
                asyncio.timeout(within),
                gate.client.stream("POST", hook.url, content=body, headers=headers) as reply,
            ):
                return await _read(reply)
        except (httpx.TimeoutException, TimeoutError):
            return _too_late(hook)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            return Heard(AskOutcome.UNREACHABLE, fault=f"not reached ({type(fault).__name__})")

    def _gate(self, hook: AllocationHook) -> Gate:
        if hook.place not in self._gates:
            self._tls = self._tls or ssl.create_default_context()
            self._gates[hook.place] = Gate(hook, self._tls, self._transport)
        return self._gates[hook.place]

    def _tell(self, gate: Gate, heard: Heard | None) -> None:
        """`heard` is None where what came of it is not to be held against the other side."""
        breaker, hook = gate.breaker, gate.hook
        was = breaker.open
        if heard is None:
            breaker.gave_up()
        elif heard.fault is None:
            breaker.succeeded()
        else:
            breaker.failed(self._time.monotonic())
        metrics.HOOK_BREAKER.labels(hook.place).set(breaker.open)
        if breaker.open and not was:
            log.warning("an allocation hook keeps failing and is not asked for a while", hook=hook.place)
        elif was and not breaker.open:
            log.info("an allocation hook answers again", hook=hook.place)


async def _read(reply: httpx.Response) -> Heard:
    """No more of the body than an answer may hold; none where the status says enough."""
    if reply.status_code != httpx.codes.OK:
        return answer_of(reply.status_code, b"")
    if "content-encoding" in reply.headers:
        return Heard(AskOutcome.INVALID, fault="answered what is compressed")
    found = bytearray()
    async for piece in reply.aiter_bytes():
        found += piece
        if len(found) > LARGEST_ANSWER:
            break
    return answer_of(reply.status_code, bytes(found))


def _too_late(hook: AllocationHook) -> Heard:
    return Heard(AskOutcome.TIMEOUT, fault=f"no answer within {told(hook.within)}")
