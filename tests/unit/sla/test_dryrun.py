"""This file proves that policies are tried on recorded traffic with the rules of the service."""

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest

from libs.contracts.payloads.base import Payload
from libs.contracts.vocabulary import Channel
from libs.workspace import Escalation, Inbox, Pool, Queue, SlaPolicy, Workspace
from services.sla.dryrun import Tally, Unreadable, main, recorded, tried
from tests.unit.sla.story import Talk
from tests.unit.sla.test_conversation import NINE, minute

POLICY = SlaPolicy(
    "gold",
    first_response=timedelta(minutes=15),
    time_to_assignment=timedelta(minutes=5),
    warn_at=(0.8,),
    escalate=(Escalation("breach", notify=("pengawas",), metrics=("first_response",)),),
)
WORKSPACE = Workspace(
    id="shop",
    version="v1",
    inboxes={"wa-main": Inbox("wa-main", Channel.WHATSAPP, "general")},
    pools={"support": Pool("support")},
    queues={"general": Queue("general", "support", sla="gold")},
    sla_policies={"gold": POLICY},
)


def line(payload: Payload, number: int) -> str:
    data = payload.model_dump(mode="json")
    envelope = {"id": str(number), "source": "/x/1", "type": payload.type, "time": data["occurred_at"]}
    return json.dumps({"envelope": envelope, "data": data}) + "\n"


def traffic() -> list[Payload]:
    ana, budi, citra = Talk("ana"), Talk("budi"), Talk("citra")
    return [
        *(ana.opened(NINE), ana.assigned(minute(1)), ana.answered(minute(15))),
        *(budi.opened(NINE), budi.assigned(minute(6)), budi.answered(minute(20))),
        *(citra.opened(minute(50)), citra.asked(minute(60))),
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "conversations.jsonl.gz"
    lines = [line(payload, number) for number, payload in enumerate(traffic())]
    path.write_bytes(gzip.compress("".join([*lines, *lines[:3]]).encode()))
    return path


def test_clocks_are_judged_as_the_service_would_have_judged_them_each_event_once(recording: Path) -> None:
    found = tried(recorded(recording), WORKSPACE)
    first, assigned = found["first_response", "gold"], found["time_to_assignment", "gold"]
    assert (first.clocks, first.in_time, first.late, first.overdue, first.open) == (3, 1, 1, 0, 1)
    assert (first.warned, dict(first.steps)) == (2, {0: 1})
    assert assigned == Tally(clocks=3, in_time=1, late=1, overdue=1, warned=2)


def test_a_line_that_is_no_event_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line(traffic()[0], 1) + "{}\n")
    with pytest.raises(Unreadable, match=r"bad.jsonl:2: expected one event"):
        list(recorded(path))


def test_events_of_unknown_types_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    path.write_text(json.dumps({"envelope": {"type": "conversation.sung.v1"}, "data": {}}) + "\n")
    assert list(recorded(path)) == []


def test_the_command_prints_a_table(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        "id: toko\ninboxes:\n  wa-main: {channel: webchat, queue: general, credentials: {signing_key: env:KEY}}\n"
        "queues:\n  general: {pool: support, sla: gold}\npools: {support: {}}\n"
        "sla_policies: {gold: {first_response: 1h}}\n"
    )
    main(workspace, [recording])
    assert "first_response" in capsys.readouterr().out
