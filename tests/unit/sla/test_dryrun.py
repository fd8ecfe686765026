"""This file proves that policies are tried on recorded traffic with the rules of the service."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from libs.contracts.envelope import Envelope, encode_headers, encode_value
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.payloads.sla import ClockBreached, ClockCancelled, ClockEvent, ClockStarted, ClockWarned
from libs.contracts.vocabulary import Channel, Metric
from libs.flow.recording import RecordingError, Writer
from libs.flow.wire import Incoming
from libs.workspace import Escalation, Inbox, Pool, Queue, SlaPolicy, Workspace, load
from services.sla.dryrun.__main__ import main
from services.sla.dryrun.comparison import compare
from services.sla.dryrun.courses import told
from services.sla.dryrun.traffic import HEARD, TOLD, Traffic, recorded
from services.sla.dryrun.trying import Tally, tallied, tried
from tests.unit.sla.story import Talk
from tests.unit.sla.test_conversation import NINE, minute

DEMO = Path("tests/fixtures/recorded/sla")
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


def record_of(payload: Payload, number: int, at: datetime) -> Incoming:
    topic = "conversations" if isinstance(payload, ConversationEvent) else "assignments"
    envelope = Envelope(id=str(number), source="/x/1", type=payload.type, time=at, subject="s")
    body = encode_value(payload)
    return Incoming(topic, 0, number, round(at.timestamp() * 1000), b"k", body, encode_headers(envelope))


def write(folder: Path, payloads: list[Payload]) -> Path:
    with Writer(folder, (*HEARD, TOLD)) as writer:
        for number, payload in enumerate(payloads):
            writer.take(record_of(payload, number, payload.occurred_at))  # type: ignore[attr-defined]
        for number, payload in enumerate(payloads[:3]):  # published again
            again = record_of(payload, number, payload.occurred_at)  # type: ignore[attr-defined]
            writer.take(replace(again, offset=1000 + number))
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    ana, budi, citra = Talk("ana"), Talk("budi"), Talk("citra")
    return write(
        tmp_path / "recording",
        [
            *(ana.opened(NINE), ana.assigned(minute(1)), ana.answered(minute(15))),
            *(budi.opened(NINE), budi.assigned(minute(6)), budi.answered(minute(20))),
            *(citra.opened(minute(50)), citra.asked(minute(60))),
        ],
    )


def test_clocks_are_judged_as_the_service_would_have_judged_them_each_event_once(recording: Path) -> None:
    found = tallied(tried(recorded(recording), WORKSPACE).values())
    first, assigned = found["first_response", "gold"], found["time_to_assignment", "gold"]
    assert (first.clocks, first.in_time, first.late, first.overdue, first.open) == (3, 1, 1, 0, 1)
    assert (first.warned, dict(first.steps)) == (2, {0: 1})
    assert assigned == Tally(clocks=3, in_time=1, late=1, overdue=1, warned=2)
    assert (assigned.breached, assigned.kept) == (2, 1 / 3)


# -- what was told ----------------------------------------------------------------------------------------------------


def event(kind: type[ClockEvent], at: datetime, version: int, **values: object) -> ClockEvent:
    return kind.model_validate(
        {
            "clock_id": "clk_1",
            "conversation_id": "cnv_1",
            "contact_point_id": "cpt_1",
            "metric": Metric.FIRST_RESPONSE,
            "policy": "gold",
            "queue": "general",
            "started_at": NINE,
            "due_at": minute(15),
            "occurred_at": at,
            "version": version,
            **values,
        }
    )


def test_a_breach_that_was_corrected_and_a_warning_after_the_end_are_not_part_of_a_clocks_course() -> None:
    events = [
        event(ClockStarted, NINE, 1, target_seconds=900.0),
        event(ClockWarned, minute(12), 2, fraction=0.8),
        event(ClockBreached, minute(15), 3),
        event(ClockCancelled, minute(11), 4, reason="resolved", corrects_breach=True),
    ]
    (course,) = told(reversed(events)).values()
    assert (course.breached_at, course.warned) == (None, frozenset())
    assert course.end == ("cancelled", minute(11), "resolved")
    assert told([*events, event(ClockCancelled, NINE, 5, reason="superseded")]) == {}


# -- a recorded half minute of the demo -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> Traffic:
    return recorded(DEMO)


@pytest.fixture(scope="module")
def demos_workspace() -> Workspace:
    return load(DEMO / "workspace.yaml", secrets=False)


def test_the_same_policies_give_exactly_the_clocks_that_the_service_told(
    demo: Traffic, demos_workspace: Workspace
) -> None:
    found = compare(demo, demos_workspace)
    assert found.differences == []
    assert (found.edge, found.begun_before) == (0, 0)
    assert found.clocks == len(told(demo.told)) > 150
    assert len(found.versions) == 1
    assert sum(course.breached_at is not None for course in told(demo.told).values()) > 10


def test_a_clock_that_was_told_otherwise_is_the_only_difference(
    demo: Traffic, demos_workspace: Workspace
) -> None:
    place = next(number for number, one in enumerate(demo.told) if isinstance(one, ClockBreached))
    spoilt = list(demo.told)
    del spoilt[place]
    (difference,) = compare(replace(demo, told=tuple(spoilt)), demos_workspace).differences
    assert (difference.clock_id, difference.unlike) == (demo.told[place].clock_id, ("breached_at",))


def test_other_policies_give_other_clocks(demo: Traffic, demos_workspace: Workspace) -> None:
    policies = {
        name: replace(policy, first_response=timedelta(seconds=0.5))
        for name, policy in demos_workspace.sla_policies.items()
    }
    assert len(compare(demo, replace(demos_workspace, sla_policies=policies)).differences) > 50


def test_conversations_that_were_opened_before_the_recording_are_counted_apart(
    demo: Traffic, demos_workspace: Workspace
) -> None:
    gone = next(iter(sorted(demo.opened)))
    heard = tuple(
        one
        for one in demo.heard
        if one.data.conversation_id != gone or one.data.type != "conversation.opened.v1"
    )
    found = compare(replace(demo, heard=heard), demos_workspace)
    assert found.begun_before == sum(one.conversation_id == gone for one in told(demo.told).values()) > 0
    assert found.differences == []


def test_what_happened_just_before_the_end_may_not_have_been_told_yet(
    demo: Traffic, demos_workspace: Workspace
) -> None:
    ends = [one.occurred_at for one in demo.told if isinstance(one, ClockBreached)]
    cut = max(ends) + timedelta(seconds=1)
    early = replace(demo, end=cut, told=tuple(one for one in demo.told if one.occurred_at < max(ends)))
    heard = tuple(one for one in demo.heard if one.envelope.time < cut)
    found = compare(replace(early, heard=heard), demos_workspace)
    assert found.differences == []
    assert found.edge > 0


# -- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def other_policy(folder: Path) -> Path:
    document = yaml.safe_load((DEMO / "workspace.yaml").read_text())
    for policy in document["sla_policies"].values():
        policy["first_response"] = "1s"
    path = folder / "other.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_command_says_zero_differences_and_ends_well() -> None:
    code, said = run(str(DEMO))
    assert (code, "0 differences" in said) == (0, True), said


def test_the_command_ends_badly_where_the_workspace_is_another(tmp_path: Path) -> None:
    code, said = run(str(DEMO), "--recorded", str(other_policy(tmp_path)))
    assert code == 1
    assert "name the workspace file of that time" in said
    assert "not equal: " in said


@pytest.mark.parametrize("form", ["png", "svg", "none"])
def test_another_policy_gives_a_table_and_a_plot(tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    code, said = run(str(DEMO), "--policy", str(other_policy(tmp_path)), "--out", str(out), "--plot", form)
    assert code == 0, said
    assert "before → after" in said
    found = json.loads((out / "what-if.json").read_text())
    breached = {
        run: sum(tally["breached"] for key, tally in found[run].items() if key.startswith("first_response/"))
        for run in ("before", "after")
    }
    clocks = {
        run: sum(tally["clocks"] for key, tally in found[run].items() if key.startswith("first_response/"))
        for run in ("before", "after")
    }
    assert clocks["before"] == clocks["after"] > 50
    assert breached["before"] < breached["after"]
    pictures = [path.name for path in out.iterdir() if path.suffix != ".json"]
    assert pictures == ([] if form == "none" else [f"what-if.{form}"])


def test_the_command_says_what_to_do_about_a_folder_that_is_no_recording(tmp_path: Path) -> None:
    assert run(str(tmp_path))[0] == 2
    assert "make record OUT=FOLDER" in run(str(tmp_path))[1]
    assert "expected a folder" in run()[1]
    with Writer(tmp_path / "empty", HEARD):
        pass
    with pytest.raises(RecordingError, match="while there is traffic"):
        recorded(tmp_path / "empty")
