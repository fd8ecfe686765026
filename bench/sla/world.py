"""This file says what the open clocks are measured with: one queue, a policy with a warning, a calendar that is always open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from libs.contracts.ids import ContactPointId, InboxId, contact_id, contact_point_id, conversation_id
from libs.contracts.payloads.base import Author
from libs.contracts.payloads.conversations import ConversationOpened, ConversationResolved
from libs.contracts.vocabulary import AuthorKind, Channel

FIRST_RESPONSE, RESOLUTION = timedelta(hours=4), timedelta(hours=8)
WARN_AT = 0.8
CLOCKS = 2
"""Of each conversation: first response and resolution; with a warning each, they have four timers."""
INBOX, QUEUE = InboxId("wa-bench"), "all"
AGENT = Author(kind=AuthorKind.AGENT, agent_id="ayu")

DOCUMENT = {
    "id": "bench",
    "inboxes": {INBOX: {"channel": "webchat", "queue": QUEUE, "credentials": {"signing_key": "env:UNUSED"}}},
    "pools": {"all": {}},
    "queues": {QUEUE: {"pool": "all", "sla": "standard"}},
    # Hours by definition rather than none, so that each deadline goes through the calendar's arithmetic.
    "calendars": {"always": {"zone": "WIB", "hours": {"mon-sun": "00:00-24:00"}}},
    "sla_policies": {
        "standard": {"first_response": "4h", "resolution": "8h", "warn_at": [WARN_AT], "calendar": "always"}
    },
}


def workspace_file(folder: Path) -> Path:
    path = folder / "workspace.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT), "utf-8")
    return path


@dataclass(frozen=True)
class Talk:
    """A customer's first conversation."""

    point: ContactPointId

    @classmethod
    def of(cls, customer: int) -> "Talk":
        return cls(contact_point_id(INBOX, f"62812{customer:08}"))

    @property
    def id(self) -> str:
        return conversation_id(self.point, 1)

    def opened(self, at: datetime) -> ConversationOpened:
        return ConversationOpened(
            conversation_id=conversation_id(self.point, 1), contact_point_id=self.point,
            contact_id=contact_id(self.point), inbox_id=INBOX, version=1, occurred_at=at,
            channel=Channel.WHATSAPP, queue=QUEUE, pool="all",
        )  # fmt: skip

    def resolved(self, at: datetime) -> ConversationResolved:
        return ConversationResolved(
            conversation_id=conversation_id(self.point, 1), contact_point_id=self.point,
            contact_id=contact_id(self.point), inbox_id=INBOX, version=2, occurred_at=at, by=AGENT,
        )  # fmt: skip
