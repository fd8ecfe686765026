"""This file is the supervisor's screen: it follows the whole pool and counts for the live table."""

import time
from dataclasses import dataclass, field
from typing import Any

SCREEN_DELAY = 1.0
"""Seconds between joining a queue and being offered; with free agents it is milliseconds, so beyond this it was waiting."""


@dataclass
class Watch:
    """Sets rather than counters: a snapshot after a lost connection shows things again."""

    conversations: set[str] = field(default_factory=set)
    resolved: set[str] = field(default_factory=set)
    work: dict[str, str] = field(default_factory=dict)
    """Work item -> its state, while it lives."""
    assigned: set[str] = field(default_factory=set)
    """Conversations that had an agent at any time."""
    answered: set[str] = field(default_factory=set)
    """Agents' messages."""
    warned: set[tuple[str, float]] = field(default_factory=set)
    breached: set[str] = field(default_factory=set)
    over: list[str] = field(default_factory=list)
    """Agents who held more than their capacity without having been forced."""
    offers: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("offered", "accepted", "declined", "expired"), 0)
    )
    _queued_at: dict[str, float] = field(default_factory=dict)
    _forced: set[str] = field(default_factory=set)

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "snapshot":
            for conversation in frame["conversations"]:
                self.conversations.add(conversation["conversation_id"])
                for work in conversation.get("work", ()):
                    self.work[work["work_item_id"]] = work["state"]
        elif frame["type"] == "event":
            self._event(frame["event"]["type"].rpartition(".")[0], frame["event"]["data"])

    def waited(self, conversation_id: str) -> bool:
        """Whether a conversation that is now being shown to an agent had to wait for one."""
        queued = self._queued_at.get(conversation_id)
        return queued is not None and time.monotonic() - queued > SCREEN_DELAY

    @property
    def waiting(self) -> int:
        return sum(state in ("queued", "offered") for state in self.work.values())

    @property
    def held(self) -> int:
        return sum(state in ("assigned", "wrapping") for state in self.work.values())

    @property
    def open(self) -> int:
        return len(self.conversations - self.resolved)

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "conversation.opened" | "conversation.reopened":
                self.conversations.add(data["conversation_id"])
                self.resolved.discard(data["conversation_id"])
            case "conversation.resolved":
                self.resolved.add(data["conversation_id"])
            case "message.queued" if data["author"]["kind"] == "agent":
                self.answered.add(data["message_id"])
            case "clock.warned":
                self.warned.add((data["clock_id"], data["fraction"]))
            case "clock.breached":
                self.breached.add(data["clock_id"])
            case "clock.met" if data.get("corrects_breach"):
                self.breached.discard(data["clock_id"])
            case "agent.changed" if data["load"] > data["capacity"] and not self._forced & set(
                data["work_item_ids"]
            ):
                self.over.append(f"{data['agent_id']}: {data['load']} of {data['capacity']}")
            case _ if kind.startswith(("work.", "reservation.")):
                self._work(kind, data)

    def _work(self, kind: str, data: dict[str, Any]) -> None:
        item = data["work_item_id"]
        match kind:
            case "work.queued":
                self.work[item] = "queued"
                self._queued_at[data["conversation_id"]] = time.monotonic()
            case "work.assigned":
                self.work[item] = "assigned"
                self.assigned.add(data["conversation_id"])
                if data.get("forced_by"):
                    self._forced.add(item)
            case "work.wrapping":
                self.work[item] = "wrapping"
            case "work.completed" | "work.cancelled":
                self.work.pop(item, None)
            case "reservation.offered":
                self.work[item] = "offered"
                self.offers["offered"] += 1
            case "reservation.accepted":
                self.offers["accepted"] += 1
            case "reservation.declined" | "reservation.expired" | "reservation.rescinded":
                self.work[item] = "queued"
                word = kind.partition(".")[2]
                self.offers[word] = self.offers.get(word, 0) + 1
