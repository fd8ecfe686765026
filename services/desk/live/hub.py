"""This file is where events come in once and go out to every connection that they concern."""

from collections.abc import Callable, Iterable

import structlog

from libs.contracts.payloads.levels import ServiceLevelMeasured
from libs.flow.tail import Tailed
from libs.timesource import TimeSource
from services.desk import metrics
from services.desk.live.answers import Answers
from services.desk.live.cursor import Vector
from services.desk.live.frames import (
    agent_fields,
    conversation_frame,
    conversation_json,
    dump,
    event_body,
    event_frame,
    notice_frame,
    service_level_frame,
    snapshot_frame,
)
from services.desk.live.ring import Entry, Ring
from services.desk.live.subscriber import Subscriber
from services.desk.live.view import Change, LiveView, Open

log = structlog.get_logger(__name__)

POOL_SNAPSHOT = 500
"""Conversations in the snapshot of a whole pool, latest first; GET /v1/conversations has the others."""


class Hub:
    """All synchronous: an event is applied, encoded once and queued for its receivers before the next one is looked at.

    `missing` is called for conversations that somebody is to see and that are not whole in memory.
    """

    def __init__(
        self,
        view: LiveView,
        start: Vector,
        *,
        answers: Answers,
        time: TimeSource,
        missing: Callable[[Open], None],
        ring: Ring | None = None,
    ) -> None:
        self.view, self.vector, self.answers = view, start, answers
        self.ring = ring or Ring(start)
        self._time, self._missing = time, missing
        self._of_agent: dict[str, set[Subscriber]] = {}
        self._of_pool: dict[str, set[Subscriber]] = {}
        self._levels: dict[tuple[str, str], ServiceLevelMeasured] = {}

    # Events in

    def take(self, tailed: Tailed) -> None:
        """One event off the log. Never raises: what follows on the log must not suffer."""
        try:
            change = self.view.apply(tailed.event)
            body = event_body(tailed.event)
        except Exception:
            metrics.FAULTS.inc()
            log.exception("an event could not be taken in", topic=tailed.topic, partition=tailed.partition, offset=tailed.offset)  # fmt: skip
            return
        slot = (tailed.topic, tailed.partition)
        self.vector.move(slot, tailed.offset + 1)
        self.ring.add(Entry(slot, tailed.offset, body, change.agents, change.pool, change.conversation_id))
        self._fan_out(change, body, tailed)
        self.answers.seen(tailed.event, body)

    def take_level(self, tailed: Tailed) -> None:
        """A queue's figures on a channel: for readers of its whole pool. Only the latest are kept; they are no part of
        the cursor, since whoever comes back is told all of them again."""
        level = tailed.event.data
        if not isinstance(level, ServiceLevelMeasured):
            return
        known = self._levels.get((level.queue, level.channel))
        if known is not None and known.as_of >= level.as_of:
            return
        self._levels[level.queue, level.channel] = level
        receivers = self._of_pool.get(self.view.pool_of_queue(level.queue) or "", ())
        frame = service_level_frame(str(self.vector), level) if receivers else ""
        for subscriber in receivers:
            subscriber.offer(frame)

    def levels(self, subscriber: Subscriber) -> list[str]:
        """The latest figures of every queue and channel of the subscriber's pool; none for an agent's own feed."""
        if subscriber.pool is None:
            return []
        cursor = str(self.vector)
        return [
            service_level_frame(cursor, level)
            for _, level in sorted(self._levels.items())
            if self.view.pool_of_queue(level.queue) == subscriber.pool
        ]

    def _fan_out(self, change: Change, body: bytes, tailed: Tailed) -> None:
        receivers = self._receivers(change)
        if not receivers:
            return
        cursor, text = str(self.vector), body.decode()
        plain = event_frame(cursor, text)
        with_conversation = ""
        for subscriber in receivers:
            frame = plain
            if change.granted == subscriber.agent_id and subscriber.pool is None:
                with_conversation = with_conversation or self._granted(cursor, text, change)
                frame = with_conversation
            subscriber.offer(frame)
        if tailed.event.envelope.recorded_at is not None:
            lag = (self._time.now() - tailed.event.envelope.recorded_at).total_seconds()
            metrics.PUSH_LAG.observe(max(0.0, lag))

    def _receivers(self, change: Change) -> set[Subscriber]:
        found: set[Subscriber] = set()
        for agent_id in change.agents:
            found |= self._of_agent.get(agent_id, set())
        if change.pool is not None:
            found |= self._of_pool.get(change.pool, set())
        return found

    def _granted(self, cursor: str, text: str, change: Change) -> str:
        known = self.view.open.get(change.conversation_id or "")
        if known is None:
            return event_frame(cursor, text)
        self.complete([known])
        return event_frame(cursor, text, conversation_json(known))

    def became_whole(self, known: Open) -> None:
        """A conversation was completed from the projection: show it to those who have seen a part of it."""
        cursor, frame = str(self.vector), ""
        for agent_id in known.agents:
            for subscriber in self._of_agent.get(agent_id, ()):
                if subscriber.pool is None:
                    frame = frame or conversation_frame(cursor, conversation_json(known))
                    subscriber.offer(frame)

    # Connections

    def attach(self, subscriber: Subscriber) -> None:
        self._of_agent.setdefault(subscriber.agent_id, set()).add(subscriber)
        if subscriber.pool is not None:
            self._of_pool.setdefault(subscriber.pool, set()).add(subscriber)

    def detach(self, subscriber: Subscriber) -> None:
        for index, name in ((self._of_agent, subscriber.agent_id), (self._of_pool, subscriber.pool)):
            if name is not None and name in index:
                index[name].discard(subscriber)
                if not index[name]:
                    del index[name]

    def connected(self) -> Iterable[str]:
        """The agents of whom a feed is connected."""
        return self._of_agent.keys()

    def incomplete(self, agent_id: str) -> list[Open]:
        """Conversations on the agent's screen that are not whole in memory."""
        return [known for known in self.view.seen_by(agent_id) if not known.whole]

    def complete(self, parts: Iterable[Open]) -> None:
        """Have these read from the projection; whoever sees them is sent them when they are whole."""
        for known in parts:
            if not known.whole:
                self._missing(known)

    def snapshot(self, subscriber: Subscriber) -> str:
        """All that the subscriber's screen shows now. What waits for it is part of this, and is forgotten."""
        subscriber.restart()
        mine = self.view.seen_by(subscriber.agent_id)
        offers = [
            (w, offer)
            for known in mine
            for w in known.work.values()
            if (offer := w.offer_to(subscriber.agent_id)) is not None and offer.expires_at
        ]
        agent = self.view.agents.get(subscriber.agent_id)
        if subscriber.pool is None:
            self.complete(mine)
            return snapshot_frame(str(self.vector), agent, map(conversation_json, mine), offers)
        everyone = [agent_fields(a) for a in self.view.agents.values() if a.pool == subscriber.pool]
        newest = sorted(self.view.in_pool(subscriber.pool), key=_opened, reverse=True)
        shown = (conversation_json(known, messages=False) for known in newest[:POOL_SNAPSHOT])
        more = {"agents": dump(everyone), "of": str(len(newest))}
        return snapshot_frame(str(self.vector), agent, shown, offers, **more)

    def resumed(self, subscriber: Subscriber, cursor: Vector) -> list[str]:
        """What the subscriber missed since the cursor: events, then the conversations on its screen as they are now.

        Each event's cursor is the client's own, moved past that event: a connection lost in the middle of this misses nothing either.
        """
        subscriber.restart()
        at = cursor.copy()
        frames = [notice_frame("resumed", str(at))]
        for entry in self.ring.after(cursor, agent_id=subscriber.agent_id, pool=subscriber.pool):
            at.move(entry.slot, entry.offset + 1)
            frames.append(event_frame(str(at), entry.body.decode()))
        now = str(self.vector)
        if subscriber.pool is None:
            # Another process may have read the topics in another order: a message may have come before its conversation was his.
            mine = self.view.seen_by(subscriber.agent_id)
            self.complete(mine)
            frames += [conversation_frame(now, conversation_json(known)) for known in mine]
        frames.append(notice_frame("ping", now))
        return frames


def _opened(known: Open) -> tuple[float, str]:
    conversation = known.conversation
    return (conversation.opened_at.timestamp() if conversation else 0.0, known.conversation_id)
