"""This file performs sends: one HTTP client per inbox, each within its provider's limit, so that none holds up another."""

import asyncio
import logging
import ssl
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from libs.flow.flow import Performing
from libs.timesource import TimeSource
from libs.workspace import Inbox, Workspace
from services.delivery import metrics
from services.delivery.channels.channel import Channel, ProviderRequest, Unsendable
from services.delivery.channels.table import CHANNELS
from services.delivery.domain.answers import Accepted, Answer, Fault, PutOff, Refused, RetryLater, Unknown
from services.delivery.domain.rate import Limits
from services.delivery.effects import SendMessage

log = structlog.get_logger(__name__)

PATIENCE = 2.0
"""Longest wait inside the performer for a slot or a connection, in seconds; a longer one goes back to the line, so that one
slow inbox does not fill a lane's places."""
CONNECTIONS = 64
"""Requests under way per inbox and process."""
SLOTS_KEPT = 100_000
"""Messages that were put off and have a slot waiting for them."""

# These two log every request with its address at INFO, and Telegram's token stands in the address.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Sent:
    """How one effect ended, and when."""

    answer: Answer | PutOff
    at: datetime


class Gate:
    """One inbox: its HTTP client, its limit, and the slots of messages that were told to come back."""

    def __init__(self, inbox: Inbox, channel: Channel, client: httpx.AsyncClient) -> None:
        self.limits = Limits(inbox.provider.rate_per_second or channel.per_second, channel.per_address)
        self.places = asyncio.Semaphore(CONNECTIONS)
        self.client = client
        self._slots: OrderedDict[str, float] = OrderedDict()

    def slot(self, message: SendMessage, now: float) -> float:
        """When this message may go: the slot that it was given before, or the next one."""
        given = self._slots.pop(message.message_id, None)
        return given if given is not None else self.limits.take(message.address, now)

    def keep(self, message: SendMessage, slot: float) -> None:
        self._slots[message.message_id] = slot
        while len(self._slots) > SLOTS_KEPT:
            self._slots.popitem(last=False)


class Sender:
    """Performs SendMessage. It returns what came of it and never raises for anything that a provider does.

    The caller closes it. The limit is counted per process: with several processes set `rate_per_second` to a share.
    `transport` stands in for the network.
    """

    def __init__(
        self,
        workspace: Workspace,
        time: TimeSource,
        *,
        request_timeout: timedelta,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._workspace, self._time, self._transport = workspace, time, transport
        self._timeout = request_timeout.total_seconds()
        self._tls = ssl.create_default_context()
        self._gates: dict[str, Gate] = {}

    async def close(self) -> None:
        for gate in self._gates.values():
            with suppress(OSError, RuntimeError):
                await gate.client.aclose()
        self._gates.clear()

    async def __call__(self, performing: Performing) -> Sent:
        message: SendMessage = performing.effect
        answer = await self._perform(message, again=performing.again)
        metrics.ATTEMPTS.labels(message.channel, _outcome(answer)).inc()
        return Sent(answer, self._time.now())

    async def _perform(self, message: SendMessage, *, again: bool) -> Answer | PutOff:
        inbox, channel = self._workspace.inboxes.get(message.inbox_id), CHANNELS.get(message.channel)
        if inbox is None or channel is None or inbox.channel is not message.channel:
            return Refused(
                Fault("unknown_inbox", f"the workspace has no {message.channel} inbox {message.inbox_id}")
            )
        if again and not channel.repeatable:
            return Unknown(
                Fault("interrupted", "the process ended while the message may have been under way")
            )
        try:
            request = channel.request(message, inbox, self._time.now())
        except Unsendable as fault:
            return Refused(Fault(fault.code, str(fault)))
        gate = self._gate(inbox, channel)
        now = self._time.monotonic()
        slot = gate.slot(message, now)
        if slot - now > PATIENCE:
            gate.keep(message, slot)
            return PutOff(timedelta(seconds=slot - now))
        if slot > now:
            await self._time.sleep(slot - now)
        try:
            async with asyncio.timeout(PATIENCE):
                await gate.places.acquire()
        except TimeoutError:
            return PutOff(timedelta(seconds=PATIENCE))
        try:
            with metrics.ATTEMPT.labels(message.channel).time():
                answer = await self._post(gate.client, channel, request)
        finally:
            gate.places.release()
        if isinstance(answer, RetryLater) and answer.inbox_wide and answer.after is not None:
            gate.limits.hold(self._time.monotonic() + answer.after.total_seconds())
        return answer

    def _gate(self, inbox: Inbox, channel: Channel) -> Gate:
        if inbox.id not in self._gates:
            client = httpx.AsyncClient(
                verify=self._tls,
                timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 5.0)),
                limits=httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=30),
                transport=self._transport,
            )
            self._gates[inbox.id] = Gate(inbox, channel, client)
        return self._gates[inbox.id]

    async def _post(self, client: httpx.AsyncClient, channel: Channel, request: ProviderRequest) -> Answer:
        """The names of faults only: their texts may hold the address."""
        try:
            async with asyncio.timeout(self._timeout):
                reply = await client.post(request.url, content=request.body, headers=dict(request.headers))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as fault:
            return RetryLater(Fault("unreachable", type(fault).__name__))
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as fault:
            return Refused(Fault("bad_address", type(fault).__name__))
        except (httpx.HTTPError, TimeoutError) as fault:
            return Unknown(Fault("no_answer", type(fault).__name__))
        return channel.answer(reply.status_code, reply.headers, reply.content)


def _outcome(answer: Answer | PutOff) -> str:
    match answer:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case RetryLater():
            return "retry"
        case Unknown():
            return "unknown"
        case PutOff():
            return "put_off"
