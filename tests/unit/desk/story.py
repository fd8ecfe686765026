"""This file makes the events that the desk reads, as if they came off the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Author, Content, Payload
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.contracts.vocabulary import AuthorKind, Channel, ContentKind, MessageStatus, Metric, Presence
from libs.flow.tail import Tailed
from libs.workspace import Agent, Inbox, Pool, Queue, Workspace

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POOLS = {"general": "support", "billing": "support", "loans": "finance"}
CUSTOMER = Author(kind=AuthorKind.CUSTOMER, name="Sari")
WHY = a.Explanation(policy="default", policy_version="1", strategy="longest_idle")

WORKSPACE = Workspace(
    id="toko",
    inboxes={"wa-main": Inbox("wa-main", Channel.WHATSAPP, "general")},
    queues={name: Queue(name, pool) for name, pool in POOLS.items()},
    pools={"support": Pool("support"), "finance": Pool("finance")},
    agents={
        "ayu": Agent("ayu", "Ayu", "support", queues=("general", "billing"), capacity=5),
        "budi": Agent("budi", "Budi", "support", queues=("general",), capacity=5),
        "rina": Agent("rina", "Rina", "support", role="supervisor"),
        "dewi": Agent("dewi", "Dewi", "finance", queues=("loans",)),
    },
)


def text(said: str) -> Content:
    return Content(kind=ContentKind.TEXT, text=said)


def agent(agent_id: str) -> Author:
    return Author(kind=AuthorKind.AGENT, agent_id=agent_id, name=agent_id.title())


class Talk:
    """One conversation's payloads; versions of the conversation, its work items and its clocks count by themselves."""

    def __init__(self, name: str = "1", *, inbox: str = "wa-main", contact: str = "con_1") -> None:
        self.conversation_id, self.contact_point_id = f"cnv_{name}", f"cpt_{name}"
        self.inbox, self.contact = inbox, contact
        self.version, self.minute, self.messages = 0, 0, 0
        self.versions: dict[str, int] = {}

    def _common(self) -> dict[str, Any]:
        self.version += 1
        self.minute += 1
        return {
            "conversation_id": self.conversation_id,
            "contact_point_id": self.contact_point_id,
            "contact_id": self.contact,
            "inbox_id": self.inbox,
            "version": self.version,
            "occurred_at": START + timedelta(minutes=self.minute),
        }

    def opened(self, queue: str = "general") -> c.ConversationOpened:
        return c.ConversationOpened(
            **self._common(), channel=Channel.WHATSAPP, queue=queue, pool=POOLS[queue], customer_name="Sari"
        )

    def reopened(self, queue: str = "general") -> c.ConversationReopened:
        return c.ConversationReopened(**self._common(), queue=queue, pool=POOLS[queue])

    def resolved(self, by: str = "ayu") -> c.ConversationResolved:
        return c.ConversationResolved(**self._common(), by=agent(by))

    def snoozed(self, by: str = "ayu") -> c.ConversationSnoozed:
        return c.ConversationSnoozed(**self._common(), until=START + timedelta(days=1), by=agent(by))

    def transferred(self, queue: str) -> c.ConversationTransferred:
        return c.ConversationTransferred(**self._common(), by=agent("ayu"), queue=queue)

    def tagged(self, *tags: str) -> c.ConversationTagged:
        return c.ConversationTagged(**self._common(), by=agent("ayu"), tags=tags)

    def received(self, said: str = "halo", message_id: str = "") -> c.MessageReceived:
        self.messages += 1
        name = message_id or f"msg_{self.conversation_id}_{self.messages}"
        return c.MessageReceived(
            **self._common(),
            message_id=name,
            provider_message_id=f"p-{name}",
            author=CUSTOMER,
            content=text(said),
        )

    def answered(self, said: str = "baik", by: str = "ayu") -> c.MessageQueued:
        self.messages += 1
        name = f"msg_{self.conversation_id}_{self.messages}"
        return c.MessageQueued(**self._common(), message_id=name, author=agent(by), content=text(said))

    def status(self, message_id: str, status: MessageStatus) -> c.MessageStatusChanged:
        return c.MessageStatusChanged(**self._common(), message_id=message_id, status=status)

    def edited(self, message_id: str, said: str | None) -> c.MessageEdited:
        content = None if said is None else text(said)
        return c.MessageEdited(**self._common(), message_id=message_id, content=content)

    def reacted(self, message_id: str, emoji: str | None) -> c.MessageReacted:
        return c.MessageReacted(**self._common(), message_id=message_id, emoji=emoji)

    def noted(self, said: str, by: str = "ayu") -> c.NoteAdded:
        return c.NoteAdded(**self._common(), author=agent(by), text=said)

    def refused(self, command_id: str, code: str = "resolved") -> c.CommandRefused:
        return c.CommandRefused(
            conversation_id=self.conversation_id, contact_point_id=self.contact_point_id, command_id=command_id,
            code=code, text="no", occurred_at=START,
        )  # fmt: skip

    def work(
        self, kind: type[a.WorkEvent], item: str = "1", queue: str = "general", **more: Any
    ) -> a.WorkEvent:
        name = f"wki_{self.conversation_id}_{item}"
        self.versions[name] = self.versions.get(name, 0) + 1
        at = START + timedelta(minutes=self.minute, seconds=self.versions[name])
        needed: dict[type[Any], dict[str, Any]] = {
            a.WorkQueued: {"waiting_since": START, "reason": "new", "explanation": WHY},
            a.ReservationOffered: {
                "expires_at": at + timedelta(seconds=30), "waiting_since": START, "explanation": WHY,
            },
            a.ReservationRescinded: {"reason": "gone"},
            a.WorkAssigned: {"waited_seconds": 1.5},
            a.WorkWrapping: {"until": at + timedelta(seconds=60)},
            a.WorkCompleted: {"reason": "done"},
            a.WorkIdled: {"since": START},
            a.WorkCancelled: {"reason": "gone"},
        }  # fmt: skip
        if issubclass(kind, a.ReservationEvent):
            more.setdefault("reservation_id", f"rsv_{name}")
        return kind(
            work_item_id=name, conversation_id=self.conversation_id, contact_point_id=self.contact_point_id,
            pool=more.pop("pool", POOLS[queue]), queue=queue, version=self.versions[name], occurred_at=at,
            **needed.get(kind, {}), **more,
        )  # fmt: skip

    def clock(
        self, kind: type[s.ClockEvent], metric: Metric = Metric.FIRST_RESPONSE, item: str = "1", **more: Any
    ) -> s.ClockEvent:
        name = f"clk_{self.conversation_id}_{metric}_{item}"
        self.versions[name] = self.versions.get(name, 0) + 1
        needed: dict[type[Any], dict[str, Any]] = {
            s.ClockStarted: {"target_seconds": 600.0},
            s.ClockPaused: {"reason": "snoozed"},
            s.ClockWarned: {"fraction": 0.8},
            s.ClockCancelled: {"reason": "resolved"},
        }
        return kind(
            clock_id=name, conversation_id=self.conversation_id, contact_point_id=self.contact_point_id, metric=metric,
            policy="standard", queue="general", started_at=START, due_at=START + timedelta(minutes=10),
            occurred_at=START, version=self.versions[name], **needed.get(kind, {}), **more,
        )  # fmt: skip


def agent_changed(
    agent_id: str, version: int = 1, answer: a.CommandAnswer | None = None, **more: Any
) -> a.AgentChanged:
    fields: dict[str, Any] = {
        "pool": WORKSPACE.agents[agent_id].pool, "presence": Presence.AVAILABLE, "load": 0, "capacity": 5,
    } | more  # fmt: skip
    return a.AgentChanged(agent_id=agent_id, version=version, answer=answer, occurred_at=START, **fields)


class Log:
    """Gives payloads their place on the log: topic, partition, offset, name."""

    def __init__(self) -> None:
        self._offsets: dict[tuple[str, int], int] = {}

    def add(self, payload: Payload, *, cause: str = "", recorded_at: datetime | None = None) -> Tailed:
        topic = topic_of_type()[payload.type].name
        key = str(getattr(payload, "contact_point_id", "") or getattr(payload, "agent_id", ""))
        partition = partition_of(key.encode(), topic_map().partitions)
        offset = self._offsets.get((topic, partition), 0)
        self._offsets[(topic, partition)] = offset + 1
        envelope = Envelope(
            id=str(offset + 1), source=f"/{topic}/{partition}.x", type=payload.type, time=START, subject=key,
            causation_id=cause, recorded_at=recorded_at, sequence=offset + 1, previous=offset,
        )  # fmt: skip
        return Tailed(topic, partition, offset, Event(envelope, payload, key))
