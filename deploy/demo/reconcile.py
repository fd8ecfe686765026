"""This file asks the demo's last question: does what the system holds agree with what the providers know?

The providers' side is the Ledger. The system's side is the timeline, the routing decisions and the dead letters in the
database, and for a few contacts the timeline as its API tells it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from deploy.demo.ledger import Incoming, Ledger, Reply
from libs.flow.database import Database, queries
from libs.workspace import Workspace

POINTS_AT_ONCE = 500
LATTICE = ("sent", "delivered", "read")


@dataclass
class Finding:
    """One promise: how many things were looked at, and which of them break it."""

    promise: str
    checked: int = 0
    offenders: list[str] = field(default_factory=list)

    def expect(self, holds: bool, offender: str) -> None:
        self.checked += 1
        if not holds:
            self.offenders.append(offender)


@dataclass
class Story:
    """What the stores hold of the contact points in question."""

    entries: list[Mapping[str, Any]] = field(default_factory=list)
    decisions: dict[str, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Conversation -> its routing decisions."""
    dead: Counter[str] = field(default_factory=Counter)
    """Schema -> dead letters and parked records."""

    def of_type(self, event_type: str) -> Iterable[Mapping[str, Any]]:
        return (entry for entry in self.entries if entry["event_type"] == event_type)


async def read_story(postgres: str, contact_points: Sequence[str]) -> Story:
    """Everything about these contact points, some hundreds of them at a time. Raises DatabaseAway."""
    database, sql, story = (
        Database(postgres, "public", application="demo", size=2),
        queries("deploy.demo"),
        Story(),
    )
    await database.start()
    try:
        for first in range(0, len(contact_points), POINTS_AT_ONCE):
            part = list(contact_points[first : first + POINTS_AT_ONCE])
            entries = await database.fetch(sql["entries"], part)
            story.entries += entries
            conversations = list({entry["conversation_id"] for entry in entries if entry["conversation_id"]})
            for decision in await database.fetch(sql["decisions"], conversations):
                story.decisions[decision["conversation_id"]].append(decision)
        for (schema,) in await database.fetch(sql["schemas"]):
            count = await database.fetchval(f'select count(*) from "{schema}".dead_letter')
            if count:
                story.dead[schema] = count
    finally:
        await database.stop()
    return story


def judge(ledger: Ledger, story: Story, workspace: Workspace) -> list[Finding]:
    """All promises, in the order in which they are shown."""
    return [
        messages_once(ledger, story),
        receipts_once(ledger, story),
        assigned_or_explained(story),
        replies_once(ledger, story),
        never_over_capacity(story, workspace),
        nothing_dead(story),
    ]


def messages_once(ledger: Ledger, story: Story) -> Finding:
    """A message whose webhook was answered 2xx is in the timeline once; one that was not, at most once; nothing else is."""
    finding = Finding("every message answered 2xx is exactly once in the timeline")
    copies = Counter(entry["message_id"] for entry in story.of_type("message.received.v1"))
    for message in ledger.incoming.values():
        found, taken = copies.pop(message.message_id, 0), message.acknowledged_at is not None
        finding.expect(found == 1 or (found == 0 and not taken), f"{_named(message)} is there {found} times")
    for message_id, count in copies.items():
        finding.expect(False, f"{message_id} is there {count} times and no provider knows it")
    return finding


def receipts_once(ledger: Ledger, story: Story) -> Finding:
    """Each status of a reply at most once, and the highest of those answered 2xx is there. Lower ones may have been overtaken."""
    finding = Finding("every receipt answered 2xx is in the timeline, none twice")
    seen = Counter(
        (entry["message_id"], entry["status"]) for entry in story.of_type("message.status_changed.v1")
    )
    for (message_id, status), count in seen.items():
        finding.expect(count == 1, f"{status} of {message_id} is there {count} times")
    for sent in ledger.outgoing.values():
        acknowledged = [status for status in LATTICE if status in sent.receipts]
        if acknowledged:
            highest = LATTICE[LATTICE.index(acknowledged[-1]) :]
            there = any(seen[sent.key, status] for status in highest)
            finding.expect(there, f"{acknowledged[-1]} of {sent.key} on {sent.channel} is missing")
    return finding


def assigned_or_explained(story: Story) -> Finding:
    finding = Finding("every conversation was assigned, or its waiting is explained")
    for entry in story.of_type("conversation.opened.v1"):
        name = entry["conversation_id"]
        decisions = story.decisions.get(name, [])
        assigned = any(decision["type"].startswith("work.assigned") for decision in decisions)
        explained = bool(decisions) and any(decision["explained"] for decision in decisions)
        finding.expect(assigned or explained, f"{name} has {len(decisions)} decisions and none explains it")
    return finding


def replies_once(ledger: Ledger, story: Story) -> Finding:
    """A reply that the desk took is one message, and its provider got it once. No two replies have one text."""
    finding = Finding("every reply is delivered exactly once")
    queued, copies = Counter(entry["text"] for entry in story.of_type("message.queued.v1")), Counter[str]()
    for sent in ledger.outgoing.values():
        copies[sent.text] += sent.copies
        if sent.text not in ledger.replies:
            finding.offenders.append(f"{sent.channel} got {sent.text[:60]!r}, which nobody wrote")
    ours = ledger.contact_points()
    for text, reply in ledger.replies.items():
        if reply.contact_point_id not in ours:
            continue  # to a customer of an earlier run, who is not there any more
        taken = reply.outcome in ("done", "accepted")
        found = f"{_quoted(reply)}: {queued[text]} messages, {copies[text]} at the provider"
        finding.expect(
            queued[text] == copies[text] == 1 or (not taken and queued[text] == copies[text] == 0), found
        )
    return finding


def never_over_capacity(story: Story, workspace: Workspace) -> Finding:
    """Units held at once, from the decisions' own times; a forced assignment is nobody's fault. Every channel costs one unit here."""
    finding = Finding("no agent ever held more than the capacity")
    steps: dict[str, list[tuple[Any, int]]] = defaultdict(list)
    for decisions in story.decisions.values():
        holder: dict[str, str] = {}
        for decision in sorted(decisions, key=lambda one: (one["work_item_id"], one["version"])):
            item, kind = decision["work_item_id"], decision["type"].rpartition(".")[0]
            if (
                kind in ("work.assigned", "work.completed", "work.cancelled", "work.queued")
                and item in holder
            ):
                steps[holder.pop(item)].append((decision["at"], -1))
            if kind == "work.assigned" and not decision["forced_by"]:
                holder[item] = decision["agent_id"]
                steps[decision["agent_id"]].append((decision["at"], 1))
    for agent_id, changes in steps.items():
        held = most = 0
        for _, change in sorted(changes):  # at one moment, what is given back comes first
            held += change
            most = max(most, held)
        capacity = workspace.agents[agent_id].capacity
        finding.expect(most <= capacity, f"{agent_id} held {most} of {capacity}")
    return finding


def nothing_dead(story: Story) -> Finding:
    finding = Finding("no record was dead-lettered")
    finding.expect(not story.dead, ", ".join(f"{count} in {schema}" for schema, count in story.dead.items()))
    return finding


async def api_agrees(history: str, token: str, ledger: Ledger, story: Story, *, sample: int = 20) -> Finding:
    """For some contacts the timeline over HTTP, page by page, holds the same messages."""
    finding = Finding("the timeline's API shows the same, page by page")
    wanted: dict[str, set[str]] = defaultdict(set)
    for entry in story.of_type("message.received.v1"):
        if entry["contact_id"] in wanted or len(wanted) < sample:
            wanted[entry["contact_id"]].add(entry["message_id"])
    known = {message.message_id for message in ledger.incoming.values()}
    async with httpx.AsyncClient(
        base_url=history, headers={"authorization": f"Bearer {token}"}, timeout=5, trust_env=False
    ) as client:
        pages = await asyncio.gather(*(_timeline(client, contact) for contact in wanted))
    for contact, shown in zip(wanted, pages, strict=True):
        mine = Counter(message_id for message_id in shown if message_id in known)
        finding.expect(
            mine == Counter(wanted[contact]),
            f"{contact}: {sum(mine.values())} messages instead of {len(wanted[contact])}",
        )
    return finding


async def _timeline(client: httpx.AsyncClient, contact: str) -> list[str]:
    """Ids of the customer's messages, from all pages."""
    found: list[str] = []
    address = f"/v1/contacts/{contact}/timeline"
    cursor: str | None = None
    while True:
        answer = await client.get(address, params={"limit": 50, **({"before": cursor} if cursor else {})})
        answer.raise_for_status()
        page = answer.json()
        found += [e["message_id"] for e in page["entries"] if e["event_type"] == "message.received.v1"]
        cursor = page["older"]
        if not cursor:
            return found


def _named(message: Incoming) -> str:
    return f"{message.inbox} {message.item_id} of {message.address} ({message.posts} posts)"


def _quoted(reply: Reply) -> str:
    return f"reply {reply.text[-24:]!r} of {reply.agent_id} in {reply.conversation_id}"
