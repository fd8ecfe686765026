"""Payload models by topic. Importing this package registers every type."""

from libs.contracts.payloads import (
    assignments,
    commands,
    conversations,
    identity,
    inbound,
    lending,
    levels,
    sla,
    timeline,
)

__all__ = [
    "assignments",
    "commands",
    "conversations",
    "identity",
    "inbound",
    "lending",
    "levels",
    "sla",
    "timeline",
]
