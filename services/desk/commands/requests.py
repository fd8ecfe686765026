"""This file holds what may be asked: one body for each command, the same over HTTP and over a WebSocket."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from libs.contracts.payloads.base import Content
from libs.contracts.vocabulary import ContentKind

LONGEST_TEXT = 16_000
"""Characters; every channel's own limit is lower, and a note should stay readable."""
LARGEST = 256 * 1024
"""Bytes of a whole command. It must fit a Kafka record with room to spare: one that does not costs everybody the producer."""
ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)
"""Every id that was ever given out looks like this."""
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Short = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Tag = Annotated[str, Field(min_length=1, max_length=64)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, said: Any) -> Any:
        if _holds_nul(said):
            raise ValueError("no NUL character is expected: no database keeps it")
        return said


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(map(_holds_nul, value))
        case dict():
            return any(_holds_nul(k) or _holds_nul(v) for k, v in value.items())
    return False


class Reply(Body):
    """`text`, or `content` for anything else than text; exactly one of them."""

    text: Text | None = None
    content: Content | None = None
    reply_to: Name | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.text is None) == (self.content is None):
            raise ValueError("exactly one of text and content is expected")
        if self.content is not None and self.content.kind is ContentKind.UNKNOWN:
            raise ValueError("the kind of the content is not known")
        return self

    def said(self) -> Content:
        return self.content or Content(kind=ContentKind.TEXT, text=self.text or "")


class Note(Body):
    text: Text


class Resolve(Body):
    reason: Short | None = None


class Snooze(Body):
    until: AwareDatetime


class Transfer(Body):
    """To a queue, to one agent, or to whoever has a skill; `warm`: an agent or a skill is asked, and who holds the
    conversation keeps it until somebody accepts."""

    queue: Name | None = None
    agent_id: Name | None = None
    skill: Name | None = None
    level: Annotated[int, Field(ge=1, le=5)] = 1
    warm: bool = False

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(named is not None for named in (self.queue, self.agent_id, self.skill)) != 1:
            raise ValueError("exactly one of queue, agent_id and skill is expected")
        if self.warm and self.queue is not None:
            raise ValueError("a warm transfer goes to an agent or a skill")
        return self


class Tags(Body):
    add: Annotated[tuple[Tag, ...], Field(max_length=50)] = ()
    remove: Annotated[tuple[Tag, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError("at least one tag to add or to remove is expected")
        return self


class Priority(Body):
    """Raised to this where it is lower."""

    priority: Annotated[int, Field(ge=0, le=1_000)]


class Presence(Body):
    presence: Literal["available", "busy", "break", "offline"]
    reason: Short | None = None


class Accept(Body):
    """`version`: of the work item, as it was seen; it is refused as `stale` where that has changed."""

    version: Annotated[int, Field(ge=1)] | None = None


class Decline(Body):
    reason: Short | None = None


class Complete(Body):
    """Nothing to say."""


class Next(Body):
    """Asks for the first waiting item of a pull queue; nothing to say."""


class Take(Body):
    """Takes a waiting item of a manual queue; nothing to say."""


class ForceAssign(Body):
    agent_id: Name


BODIES: dict[str, type[Body]] = {
    "reply": Reply,
    "note": Note,
    "resolve": Resolve,
    "snooze": Snooze,
    "transfer": Transfer,
    "tags": Tags,
    "priority": Priority,
    "presence": Presence,
    "accept": Accept,
    "decline": Decline,
    "complete": Complete,
    "next": Next,
    "take": Take,
    "force-assign": ForceAssign,
}
"""Command name -> its body."""

TARGETS: dict[str, str] = {
    "reply": "conversation_id",
    "note": "conversation_id",
    "resolve": "conversation_id",
    "snooze": "conversation_id",
    "transfer": "conversation_id",
    "tags": "conversation_id",
    "priority": "conversation_id",
    "accept": "reservation_id",
    "decline": "reservation_id",
    "complete": "work_item_id",
    "take": "work_item_id",
    "force-assign": "work_item_id",
}
"""Command name -> what names the thing that it is about; a presence is the agent's own, and the next item is nobody's yet."""
