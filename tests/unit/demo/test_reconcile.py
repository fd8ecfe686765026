"""This file proves that the reconciliation finds what it is there to find: each broken promise, and none where all is kept."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.ledger import Incoming, Ledger, Outgoing, Reply, percentile
from deploy.demo.organisation import TELEGRAM, WHATSAPP, found
from deploy.demo.reconcile import Story, judge
from libs.contracts.vocabulary import Channel
from libs.workspace import Workspace

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ANSWER = "Pesanan sudah dikirim (tiket 1)"
PROMISE = {
    "messages": "every message answered 2xx is exactly once in the timeline",
    "receipts": "every receipt answered 2xx is in the timeline, none twice",
    "assigned": "every conversation was assigned, or its waiting is explained",
    "replies": "every reply is delivered exactly once",
    "capacity": "no agent ever held more than the capacity",
    "dead": "no record was dead-lettered",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder: Path = tmp_path_factory.mktemp("demo")
    return found(folder, "http://127.0.0.1:9", agents=1, capacity=2).workspace


class Case:
    """One customer, one conversation, one answer with its receipts: all promises kept until a test breaks one."""

    def __init__(self, inbox: str = WHATSAPP, channel: Channel = Channel.WHATSAPP) -> None:
        self.ledger, self.story = Ledger(), Story(decisions=defaultdict(list))
        self.message = Incoming(inbox, "628", "wamid.1", "wamid.1", "Halo", 0.0, acknowledged_at=1.0, posts=1)
        self.ledger.said(self.message)
        self.ledger.replies[ANSWER] = Reply(
            "cnv_1", self.message.contact_point_id, "agen-01", ANSWER, "done", "msg_1"
        )
        key = f"628/{ANSWER}" if channel is Channel.TELEGRAM else "msg_1"
        receipts = [] if channel is Channel.TELEGRAM else ["sent", "delivered"]
        self.sent = Outgoing(channel, key, "628", ANSWER, "wamid.2", receipts=receipts)
        self.ledger.outgoing[channel, key] = self.sent
        self.entry("conversation.opened.v1")
        self.entry("message.received.v1", message_id=self.message.message_id)
        self.entry("message.queued.v1", message_id="msg_1", text=ANSWER)
        for status in receipts:
            self.entry("message.status_changed.v1", message_id="msg_1", status=status)
        self.decide("work.queued.v1", 0, explained=True)
        self.decide("work.assigned.v1", 1, agent_id="agen-01")
        self.decide("work.completed.v1", 2, agent_id="agen-01")

    def entry(self, event_type: str, **fields: Any) -> None:
        point = self.message.contact_point_id
        base = dict.fromkeys(("message_id", "text", "author", "status"))
        known = {"conversation_id": "cnv_1", "contact_point_id": point, "contact_id": "con_1"}
        self.story.entries.append({"event_type": event_type, **base, **known, **fields})

    def decide(
        self, kind: str, second: float, *, conversation: str = "cnv_1", item: str = "wki_1", **fields: Any
    ) -> None:
        decisions = self.story.decisions[conversation]
        base = {"agent_id": None, "forced_by": None, "explained": False}
        at = AT + timedelta(seconds=second)
        version = len([one for one in decisions if one["work_item_id"] == item]) + 1
        decisions.append({**base, "type": kind, "at": at, "work_item_id": item, "version": version, **fields})

    def broken(self, workspace: Workspace) -> set[str]:
        findings = judge(self.ledger, self.story, workspace)
        return {
            name
            for name, said in PROMISE.items()
            for one in findings
            if one.promise == said and one.offenders
        }

    def without(self, event_type: str) -> None:
        self.story.entries = [entry for entry in self.story.entries if entry["event_type"] != event_type]


@pytest.mark.parametrize(("inbox", "channel"), [(WHATSAPP, Channel.WHATSAPP), (TELEGRAM, Channel.TELEGRAM)])
def test_where_all_is_well_nothing_is_found(workspace: Workspace, inbox: str, channel: Channel) -> None:
    case = Case(inbox, channel)
    assert case.broken(workspace) == set()
    checked = {one.promise: one.checked for one in judge(case.ledger, case.story, workspace)}
    assert all(checked[said] for name, said in PROMISE.items() if name != "receipts")


def lost(case: Case) -> None:
    case.without("message.received.v1")


def doubled(case: Case) -> None:
    case.entry("message.received.v1", message_id=case.message.message_id)


def invented(case: Case) -> None:
    case.entry("message.received.v1", message_id="msg_nobody")


def receipt_lost(case: Case) -> None:
    case.without("message.status_changed.v1")


def receipt_doubled(case: Case) -> None:
    case.entry("message.status_changed.v1", message_id="msg_1", status="sent")


def never_routed(case: Case) -> None:
    case.story.decisions.clear()


def unexplained(case: Case) -> None:
    case.story.decisions.clear()
    case.decide("work.queued.v1", 0)


def reply_lost_before_the_provider(case: Case) -> None:
    case.ledger.outgoing.clear()


def reply_doubled(case: Case) -> None:
    case.sent.copies = 2


def reply_lost_after_the_desk(case: Case) -> None:
    case.without("message.queued.v1")


def reply_that_nobody_wrote(case: Case) -> None:
    case.ledger.outgoing[Channel.WHATSAPP, "msg_9"] = Outgoing(
        Channel.WHATSAPP, "msg_9", "628", "?", "wamid.9"
    )


def reply_sent_under_two_names(case: Case) -> None:
    case.ledger.outgoing[Channel.WHATSAPP, "msg_9"] = Outgoing(
        Channel.WHATSAPP, "msg_9", "628", ANSWER, "wamid.9"
    )


def over_capacity(case: Case) -> None:
    for number in (2, 3):
        case.decide(
            "work.assigned.v1", 1.5, item=f"wki_{number}", conversation=f"cnv_{number}", agent_id="agen-01"
        )


def dead(case: Case) -> None:
    case.story.dead["router"] = 1


@pytest.mark.parametrize(
    ("harm", "promises"),
    [
        (lost, {"messages"}),
        (doubled, {"messages"}),
        (invented, {"messages"}),
        (receipt_lost, {"receipts"}),
        (receipt_doubled, {"receipts"}),
        (never_routed, {"assigned"}),
        (unexplained, {"assigned"}),
        (reply_lost_before_the_provider, {"replies"}),
        (reply_doubled, {"replies"}),
        (reply_lost_after_the_desk, {"replies"}),
        (reply_that_nobody_wrote, {"replies"}),
        (reply_sent_under_two_names, {"replies"}),
        (over_capacity, {"capacity"}),
        (dead, {"dead"}),
    ],
)
def test_each_harm_breaks_the_promise_that_it_breaks(
    workspace: Workspace, harm: Callable[[Case], None], promises: set[str]
) -> None:
    case = Case()
    harm(case)
    assert case.broken(workspace) == promises


def test_a_message_that_was_never_acknowledged_may_be_missing_but_not_doubled(workspace: Workspace) -> None:
    case = Case()
    case.message.acknowledged_at = None
    lost(case)
    assert case.broken(workspace) == set()
    doubled(case)
    doubled(case)
    assert case.broken(workspace) == {"messages"}


def test_a_receipt_that_was_overtaken_by_a_higher_one_is_not_missed(workspace: Workspace) -> None:
    case = Case()
    receipt_lost(case)
    case.entry("message.status_changed.v1", message_id="msg_1", status="read")
    assert case.broken(workspace) == set()


def test_a_forced_assignment_is_nobodys_fault(workspace: Workspace) -> None:
    case = Case()
    over_capacity(case)
    case.story.decisions["cnv_3"][0] = {**case.story.decisions["cnv_3"][0], "forced_by": "sri"}
    assert case.broken(workspace) == set()


def test_capacity_that_returns_at_the_moment_it_is_taken_is_not_exceeded(workspace: Workspace) -> None:
    case = Case()
    case.decide("work.assigned.v1", 1, item="wki_2", conversation="cnv_2", agent_id="agen-01")
    case.decide("work.assigned.v1", 2, item="wki_3", conversation="cnv_3", agent_id="agen-01")
    assert case.broken(workspace) == set()


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
    assert (percentile([7.0], 0.5), percentile([], 0.5)) == (7.0, None)
