"""This file keeps the latest answers of web chat visitors and hands new ones to those who are connected.

Every process follows the whole of `outbound`, so a visitor may be connected to any of them. What is kept is a cache of the
log's end, read again when the process starts: a visitor who was away for longer than it reaches sees the rest only as the
owner's page restores it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from libs.contracts.payloads.conversations import MessageRequested
from libs.contracts.vocabulary import Channel
from libs.flow.tail import Tailed

WAITING = 100
"""Answers that may wait for one slow socket; it is closed at the next, and the page comes back with the last one it saw."""

Visitor = tuple[str, str]
"""Inbox and address."""


@dataclass(eq=False)
class Subscription:
    """One open socket. `missed` is set when it was too slow and has to begin anew."""

    waiting: asyncio.Queue[MessageRequested] = field(default_factory=lambda: asyncio.Queue(WAITING))
    missed: asyncio.Event = field(default_factory=asyncio.Event)


class VisitorFeed:
    """The latest answers by visitor, each message once; the visitor heard of least recently is forgotten first."""

    def __init__(self, visitors: int, answers: int) -> None:
        self._most_visitors, self._most_answers = visitors, answers
        self._latest: OrderedDict[Visitor, deque[MessageRequested]] = OrderedDict()
        self._open: dict[Visitor, set[Subscription]] = {}

    def on_event(self, tailed: Tailed) -> None:
        """Give an answer to whoever waits for it, and keep it. Must not raise or wait."""
        message = tailed.event.data
        if not isinstance(message, MessageRequested) or message.channel is not Channel.WEBCHAT:
            return
        visitor = (message.inbox_id, message.address)
        latest = self._latest.setdefault(visitor, deque(maxlen=self._most_answers))
        self._latest.move_to_end(visitor)
        if any(known.message_id == message.message_id for known in latest):
            return
        latest.append(message)
        if len(self._latest) > self._most_visitors:
            self._latest.popitem(last=False)
        for subscription in self._open.get(visitor, ()):
            try:
                subscription.waiting.put_nowait(message)
            except asyncio.QueueFull:
                subscription.missed.set()

    def since(self, visitor: Visitor, last: str | None) -> tuple[list[MessageRequested], bool]:
        """What came after the message `last`, and whether that is all of it: not where `last` is no longer known."""
        latest = list(self._latest.get(visitor, ()))
        for place, message in enumerate(latest):
            if message.message_id == last:
                return latest[place + 1 :], True
        return latest, last is None

    @contextmanager
    def subscribe(self, visitor: Visitor) -> Iterator[Subscription]:
        """New answers from now on. Subscribe first, then ask `since`: nothing comes between the two, since neither waits."""
        subscription = Subscription()
        self._open.setdefault(visitor, set()).add(subscription)
        try:
            yield subscription
        finally:
            others = self._open[visitor]
            others.discard(subscription)
            if not others:
                del self._open[visitor]
