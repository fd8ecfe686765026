"""This file reads what an allocation hook answered. Whatever that is, it becomes a value; nothing here raises."""

import json
from typing import Any

from services.router.assignment.effects import AskOutcome, Heard

MOST_NAMED = 20
"""Agents of an answer that are looked at; further ones are left out."""
LONGEST_NAME, LONGEST_REASON = 64, 200
LARGEST_ANSWER = 64 * 1024
"""Bytes. Twenty ids and a sentence take one kilobyte; more is somebody's error page, or an attack."""


def answer_of(status: int, body: bytes) -> Heard:
    """The meaning of a response. Of a body that is longer than LARGEST_ANSWER the beginning is enough."""
    if status == 204:
        return Heard(AskOutcome.NO_OPINION)
    if status != 200:
        return Heard(AskOutcome.STATUS, fault=f"answered {status}")
    if len(body) > LARGEST_ANSWER:
        return _invalid(f"answered more than {LARGEST_ANSWER // 1024} KiB")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return _invalid("answered what is no JSON")
    return _meant(said) if isinstance(said, dict) else _invalid("answered JSON that is no object")


def _meant(said: dict[str, Any]) -> Heard:
    if ("agent_id" in said) == ("agent_ids" in said):
        return _invalid("answered with neither, or both, of agent_id and agent_ids")
    reason = said.get("reason")
    if reason is not None and not isinstance(reason, str):
        return _invalid("answered with a reason that is no text")
    named = said["agent_ids"] if "agent_ids" in said else [said["agent_id"]]
    if named == [None]:
        named = []
    if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
        return _invalid("answered with an agent that is no text")
    agents = tuple(_shown(name, LONGEST_NAME) for name in named[:MOST_NAMED])
    told = _shown(reason, LONGEST_REASON) if reason else None
    return Heard(AskOutcome.ANSWERED if agents else AskOutcome.NO_OPINION, agents, told or None)


def _shown(text: str, longest: int) -> str:
    """Text that can be kept and shown: on one line, without what no database or screen takes."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())[:longest]


def _invalid(fault: str) -> Heard:
    return Heard(AskOutcome.INVALID, fault=fault)
