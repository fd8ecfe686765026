"""This file takes a command from its arrival to its answer: publish it, wait for the event it leads to, tell what came of it."""

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from libs.flow.database import DatabaseAway
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.service.auth import Principal
from libs.service.problems import Problem, unavailable
from libs.service.trace import current_traceparent
from libs.timesource import TimeSource, random_token
from services.desk import metrics
from services.desk.commands.orders import Order, Orders
from services.desk.commands.requests import BODIES, ID, TARGETS, Body
from services.desk.fold import COMMANDS_OF_THE_DESK
from services.desk.live.answers import Answer
from services.desk.live.frames import dump

ANSWER_WITHIN = 3.0
"""Seconds; a command that is answered later was still taken."""
FINGERPRINTS = 10_000
"""Commands of this process whose content is remembered, to tell a repeat from another command under the same key."""
_KEY = re.compile(r"[A-Za-z0-9._:~/+=-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Told:
    """What the caller is told; `body` is a JSON text, a problem document where `status` is 400 or more."""

    status: int
    body: str


class Commands:
    """One for the process. `carry_out` raises Problem, DatabaseAway or PublishFailed for what was not done."""

    def __init__(
        self, orders: Orders, publisher: Publisher, time: TimeSource, *, answer_within: float = ANSWER_WITHIN
    ) -> None:
        self._orders, self._publisher, self._time, self._within = orders, publisher, time, answer_within
        self._fingerprints: OrderedDict[str, bytes] = OrderedDict()

    async def from_frame(self, principal: Principal, said: Mapping[str, Any]) -> Told:
        """A command out of a WebSocket frame; whatever goes wrong is told as a problem document."""
        try:
            command, target, body = read(said)
            key = said.get("id")
            return await self.carry_out(
                principal, command, target, body, key if isinstance(key, str) else None
            )
        except Problem as problem:
            return _told(problem)
        except DatabaseAway:
            return _told(unavailable("database_away", "The database is away"))
        except PublishFailed:
            return _told(unavailable("broker_away", "The broker is away", "nothing is lost; send it again"))

    async def carry_out(
        self, principal: Principal, command: str, target: str, body: Body, key: str | None
    ) -> Told:
        """Publish the command under its idempotency key and wait for what comes of it; a repeat is told the same."""
        if key is not None and not _KEY.fullmatch(key):
            raise Problem(422, "invalid_key", "The idempotency key does not fit", f"expected {_KEY.pattern}")
        if command in TARGETS and not ID.fullmatch(target):
            raise Problem(404, "unknown_id", "No such thing", f"no {TARGETS[command]} looks like this")
        started = self._time.monotonic()
        key = key or random_token(16)
        source = f"{COMMANDS_OF_THE_DESK}{principal.agent_id}"
        name = f"{source}#{key}"
        outcome = "unavailable"
        try:
            answers = self._orders.live.answers
            self._recognise(name, command, target, body)
            answer = answers.known(name)
            if answer is not None:
                outcome = "repeated"
                return _answered(key, answer, repeated=True)
            order = await self._orders.order(principal, target, body, name)
            if order.done is not None:
                outcome = "repeated"
                return _answered(
                    key, Answer(order.done.refused, order.done.text, done=order.done), repeated=True
                )
            answer = await self._ask(order, source, key, principal.workspace, name)
            outcome = "accepted" if answer is None else "refused" if answer.refused else "done"
            return _answered(key, answer)
        except Problem as problem:
            outcome = "refused" if problem.status < 500 else "unavailable"
            raise
        finally:
            metrics.COMMAND.labels(command, outcome).observe(self._time.monotonic() - started)

    async def _ask(self, order: Order, source: str, key: str, workspace: str, name: str) -> Answer | None:
        record = first_hand(
            order.payload,
            key=order.key,
            source=source,
            id=key,
            at=self._time.now(),
            correlation=order.conversation_id,
            workspace=workspace,
            traceparent=current_traceparent(),
        )
        # Expected before it is published: the answer may be seen before the broker's acknowledgement is.
        future = self._orders.live.answers.expect(name)
        try:
            await self._publisher.publish([record])
            async with asyncio.timeout(self._within):
                return await asyncio.shield(future)
        except TimeoutError:
            return None
        finally:
            future.cancel()

    def _recognise(self, name: str, command: str, target: str, body: Body) -> None:
        """Raises Problem 422 where the key was used for another command: its answer would be taken for this one's."""
        said = f"{command}\0{target}\0{body.model_dump_json()}"
        fingerprint = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        if self._fingerprints.setdefault(name, fingerprint) != fingerprint:
            raise Problem(422, "key_reused", "The idempotency key was used for another command")
        if len(self._fingerprints) > FINGERPRINTS:
            self._fingerprints.popitem(last=False)


def read(said: Mapping[str, Any]) -> tuple[str, str, Body]:
    """(command, target, body) of a frame. Raises Problem 422 naming what does not fit."""
    command = said.get("command")
    if not isinstance(command, str) or command not in BODIES:
        raise Problem(422, "unknown_command", "No such command", f"command is one of {', '.join(BODIES)}")
    named = TARGETS.get(command, "")
    target = said.get(named, "") if named else ""
    if named and not (isinstance(target, str) and target):
        raise Problem(422, "invalid_request", "The request does not fit", f"{named}: a text is expected")
    fields = {k: v for k, v in said.items() if k not in ("type", "id", "command", named)}
    return command, target, body_of(command, json.dumps(fields))


def body_of(command: str, raw: str | bytes) -> Body:
    """The body of a command. Raises Problem 422 naming each field that does not fit."""
    try:
        return BODIES[command].model_validate_json(raw or b"{}")
    except ValidationError as fault:
        # What was sent is not repeated: it is somebody's words.
        errors = [{"field": ".".join(map(str, e["loc"])), "expected": e["msg"]} for e in fault.errors()]
        detail = "; ".join(f"{e['field'] or 'body'}: {e['expected']}" for e in errors[:10])
        raise Problem(
            422, "invalid_request", "The request does not fit", detail, errors=errors[:100]
        ) from None


def _answered(key: str, answer: Answer | None, *, repeated: bool = False) -> Told:
    if answer is None:
        return Told(202, dump({"command_id": key, "status": "accepted"}))
    if answer.refused is not None:
        raise Problem(409, answer.refused, "The command was refused", answer.text, command_id=key)
    head: dict[str, Any] = {"command_id": key, "status": "done"}
    if repeated:
        head["repeated"] = True
    if answer.event:
        return Told(200, f'{dump(head)[:-1]},"event":{answer.event.decode()}}}')
    if answer.done is not None:
        head["event"] = {"type": answer.done.type, "version": answer.done.version}
    return Told(200, dump(head))


def _told(problem: Problem) -> Told:
    return Told(problem.status, problem.body().decode())
