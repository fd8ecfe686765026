"""This file matches commands with the events that answer them, and remembers answers, so that a repeat gets the same one."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import AgentChanged
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import CommandRefused, ConversationEvent, ConversationReopened
from services.desk.domain.conversation import Done
from services.desk.fold import COMMANDS_OF_THE_DESK

KEPT = 10_000
"""Answers remembered. Their bodies are shared with the ring while it has them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command led to. `event` is its event as JSON; empty where only the fact is still known."""

    refused: str | None = None
    text: str = ""
    event: bytes = b""
    done: Done | None = None


def answer_of(event: Event[Payload], body: bytes) -> Answer | None:
    """What an event says to the command that caused it; None where it is no answer."""
    match event.data:
        case CommandRefused() as data:
            return Answer(data.code, data.text, body)
        case ConversationReopened():
            return None  # a command that reopens does it on the way to something else
        case ConversationEvent():
            return Answer(event=body)
        case AgentChanged(answer=said) if said is not None:
            return Answer(None if said.code == "ok" else said.code, said.text, body)
    return None


class Answers:
    """Commands of this process that wait, and the latest answers to commands of every desk process."""

    def __init__(self, keep: int = KEPT) -> None:
        self._keep = keep
        self._known: OrderedDict[str, Answer] = OrderedDict()
        self._waiting: dict[str, list[asyncio.Future[Answer]]] = {}

    def known(self, name: str) -> Answer | None:
        return self._known.get(name)

    def expect(self, name: str) -> "asyncio.Future[Answer]":
        """A future answer; cancel it to stop waiting."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(future)
        future.add_done_callback(lambda ended: self._no_more(name, ended))
        return future

    def seen(self, event: Event[Payload], body: bytes) -> None:
        """Take note of an event. The first answer to a command stays its answer."""
        name = event.envelope.causation_id
        if not name.startswith(COMMANDS_OF_THE_DESK) or name in self._known:
            return
        answer = answer_of(event, body)
        if answer is None:
            return
        self._known[name] = answer
        if len(self._known) > self._keep:
            self._known.popitem(last=False)
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(answer)

    def _no_more(self, name: str, ended: "asyncio.Future[Answer]") -> None:
        others = [f for f in self._waiting.get(name, ()) if f is not ended]
        if others:
            self._waiting[name] = others
        else:
            self._waiting.pop(name, None)
