"""This file is an agent's desktop that follows docs/feed.md to the letter, to show that the letter is enough."""

import json
from typing import Any

from pydantic import TypeAdapter

from libs.contracts import registry
from libs.contracts.payloads.assignments import AgentChanged, WorkEvent
from libs.contracts.payloads.conversations import ContactResolved, ConversationEvent
from libs.contracts.payloads.sla import ClockEvent
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock, superseded
from services.desk.domain.conversation import Conversation, Message
from services.desk.domain.work import Work
from services.desk.fold import agent_after, clock_after, conversation_after, work_after
from services.desk.live.frames import agent_fields, conversation_text, dump
from tests.unit.desk.story import POOLS, WHY

_CONVERSATION, _MESSAGE = TypeAdapter(Conversation), TypeAdapter(Message)
_WORK, _CLOCK, _AGENT = TypeAdapter(Work), TypeAdapter(Clock), TypeAdapter(Agent)

ABSENT = {"note": False, "author_id": None, "author_name": None}
"""What is null or false is left out of what the feed says."""


class Shown:
    """One conversation on the screen."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.id: str = said["conversation_id"]
        self.partial: bool = said.get("partial", False)
        self.conversation = _CONVERSATION.validate_python(said) if said["version"] else None
        self.latest = tuple(
            _MESSAGE.validate_python(
                ABSENT | {"conversation_id": self.id} | m | {"content": dump(m["content"])}
            )
            for m in said["messages"]
        )
        self.work = {w["work_item_id"]: _WORK.validate_python(w) for w in said["work"]}
        self.clocks = {c["clock_id"]: _CLOCK.validate_python(c) for c in said["clocks"]}

    def text(self) -> str:
        return conversation_text(
            self.id,
            self.conversation,
            self.latest,
            self.work.values(),
            self.clocks.values(),
            partial=self.partial,
        )


class Screen:
    """`cursor` is that of the last frame read: where to go on after a lost connection."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.cursor: str | None = None
        self.agent: Agent | None = None
        self.conversations: dict[str, Shown] = {}
        self.events: list[str] = []
        self.versions: list[tuple[str, int]] = []
        """(entity, version) of each event, in the order in which they came."""
        self.snapshots = 0

    def read(self, frame: str) -> None:
        said = json.loads(frame)
        self.cursor = said["cursor"]
        match said["type"]:
            case "snapshot":
                self.snapshots += 1
                self.agent = (
                    _AGENT.validate_python({"reason": None} | said["agent"]) if said["agent"] else None
                )
                self.conversations = {c["conversation_id"]: Shown(c) for c in said["conversations"]}
            case "conversation":
                self._show(said["conversation"])
            case "event":
                self._event(said["event"])
                if "conversation" in said:
                    self._show(said["conversation"])
        self._tidy()

    def _show(self, said: dict[str, Any]) -> None:
        self.conversations[said["conversation_id"]] = Shown(said)

    def _event(self, said: dict[str, Any]) -> None:
        self.events.append(said["id"])
        model = registry.model_of(said["type"])
        assert model is not None
        needs_reason = "explanation" in model.model_fields
        data = model.model_validate(said["data"] | ({"explanation": WHY} if needs_reason else {}))
        entity = next(
            (
                str(getattr(data, k))
                for k in ("clock_id", "work_item_id", "conversation_id", "agent_id")
                if hasattr(data, k)
            ),
            "",
        )
        if (version := getattr(data, "version", None)) is not None:
            self.versions.append((entity, version))
        if isinstance(data, AgentChanged):
            if data.agent_id == self.agent_id:
                self.agent = agent_after(self.agent, data, cause="")
            return
        shown = self.conversations.get(said.get("conversation_id", ""))
        if shown is None:
            return  # its conversation frame follows
        match data:
            case ConversationEvent():
                shown.conversation, shown.latest = conversation_after(
                    shown.conversation, shown.latest, data, cause="", pools=POOLS
                )
            case WorkEvent():
                _put(shown.work, data.work_item_id, work_after(shown.work.get(data.work_item_id), data))
            case ClockEvent():
                now = clock_after(shown.clocks.get(data.clock_id), data)
                for old in superseded(tuple(shown.clocks.values()), now) if now else ():
                    del shown.clocks[old.clock_id]
                _put(shown.clocks, data.clock_id, now)
            case ContactResolved():
                pass

    def _tidy(self) -> None:
        """A conversation is on the screen while some work item of it is the agent's, or is offered to them."""
        for shown in list(self.conversations.values()):
            if all(self.agent_id not in w.agents for w in shown.work.values()):
                del self.conversations[shown.id]

    def state(self) -> dict[str, Any]:
        """What the screen shows, to be compared."""
        return {
            "agent": agent_fields(self.agent) if self.agent else None,
            "conversations": {c: json.loads(shown.text()) for c, shown in self.conversations.items()},
        }


def _put(into: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        into.pop(name, None)
    else:
        into[name] = value
