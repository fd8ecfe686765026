"""This file writes what goes out on the feed as JSON text; docs/feed.md describes it."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from libs.contracts.envelope import Event
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.levels import ServiceLevelMeasured
from services.desk.domain.agent import Agent
from services.desk.domain.clock import Clock
from services.desk.domain.conversation import Conversation, Message
from services.desk.domain.work import HELD, Offer, Work
from services.desk.fold import COMMANDS_OF_THE_DESK
from services.desk.live.view import Open

NOT_FOR_SCREENS = {"explanation"}
"""Why a decision came out as it did is long, and asked for rarely: the router's API tells it."""


def event_body(event: Event[Payload]) -> bytes:
    """An event as every receiver gets it. `id` is its name over all sources, `cause` the desk's command that led to it."""
    envelope, data = event.envelope, event.data
    head: dict[str, Any] = {"id": envelope.name, "type": envelope.type}
    if conversation_id := getattr(data, "conversation_id", None):
        head["conversation_id"] = conversation_id
    if (version := getattr(data, "version", None)) is not None:
        head["version"] = version
    head["at"] = envelope.time.astimezone(UTC)
    if envelope.causation_id.startswith(COMMANDS_OF_THE_DESK):
        head["cause"] = envelope.causation_id
    body = data.__pydantic_serializer__.to_json(data, exclude_none=True, exclude=NOT_FOR_SCREENS)
    return b'%s,"data":%s}' % (to_json(head)[:-1], body)


def event_frame(cursor: str, body: str, conversation: str | None = None) -> str:
    """One event; with the whole conversation where it is news to the receiver."""
    if conversation is None:
        return f'{{"type":"event","cursor":"{cursor}","event":{body}}}'
    return f'{{"type":"event","cursor":"{cursor}","event":{body},"conversation":{conversation}}}'


def conversation_frame(cursor: str, conversation: str) -> str:
    return f'{{"type":"conversation","cursor":"{cursor}","conversation":{conversation}}}'


def snapshot_frame(
    cursor: str,
    agent: Agent | None,
    conversations: Iterable[str],
    reservations: Sequence[tuple[Work, Offer]],
    **more: str,
) -> str:
    """All that a screen starts from. `more` is added as it stands, each a JSON text."""
    parts = {
        "type": '"snapshot"',
        "cursor": f'"{cursor}"',
        "agent": dump(agent_fields(agent)) if agent else "null",
        "reservations": dump([_reservation(work, offer) for work, offer in reservations]),
        **more,
        "conversations": f"[{','.join(conversations)}]",
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}"


def service_level_frame(cursor: str, level: ServiceLevelMeasured) -> str:
    """How a queue does on a channel; the newest by `as_of` replaces what was said of the two before."""
    body = level.__pydantic_serializer__.to_json(level, exclude_none=True).decode()
    return f'{{"type":"service_level","cursor":"{cursor}","service_level":{body}}}'


def notice_frame(type: str, cursor: str, **said: str) -> str:
    """A word about the connection itself: resumed, resync, ping, bye."""
    return dump({"type": type, "cursor": cursor, **said})


def conversation_json(known: Open, *, messages: bool = True) -> str:
    """A conversation with its work, clocks and latest messages; `partial` where there is more that is not in memory."""
    conversation = known.conversation
    return conversation_text(
        known.conversation_id,
        conversation,
        known.latest if messages else (),
        known.work.values(),
        known.clocks.values(),
        partial=not (known.whole and messages),
    )


def conversation_text(
    conversation_id: str,
    conversation: Conversation | None,
    latest: Sequence[Message],
    work: Iterable[Work],
    clocks: Iterable[Clock],
    *,
    partial: bool,
) -> str:
    head: dict[str, Any] = {"version": 0}
    if conversation is not None:
        head = _plain(conversation, "complete", "commands")
    head["conversation_id"] = conversation_id
    if partial:
        head["partial"] = True
    head["work"] = [_work(w) for w in work]
    head["clocks"] = [_plain(c) for c in clocks]
    return f'{dump(head)[:-1]},"messages":[{",".join(map(message_json, latest))}]}}'


def message_json(message: Message) -> str:
    # The content is JSON text already.
    head = _plain(message, "conversation_id", "content")
    return f'{dump(head)[:-1]},"content":{message.content}}}'


def _work(work: Work) -> dict[str, Any]:
    return _plain(work) | {"offers": [_plain(offer) for offer in work.offers]}


def _reservation(work: Work, offer: Offer) -> dict[str, Any]:
    """An offer to the receiver, with the work that is offered; `held_by` where its holder asks him to take it over."""
    held = {"held_by": work.agent_id} if work.state in HELD else {}
    return _plain(work, "offers") | held | _plain(offer)


def agent_fields(agent: Agent) -> dict[str, Any]:
    return _plain(agent, "commands")


def dump(value: Any) -> str:
    """JSON text. Times are in UTC, as in the payloads."""
    return to_json(value).decode()


def _plain(row: Any, *without: str) -> dict[str, Any]:
    """A row's fields that say something, ready for JSON."""
    found = {}
    for f in fields(row):
        value = getattr(row, f.name)
        if value is None or value is False or f.name in without:
            continue
        found[f.name] = value.astimezone(UTC) if isinstance(value, datetime) else value
    return found
