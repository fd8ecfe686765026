"""This file replays a recorded half minute of the demo, with a router that was killed in it, and spoils it in every way."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from libs.contracts.decided import Decided
from libs.contracts.envelope import decode
from libs.contracts.payloads.assignments import ReservationOffered
from libs.flow.recording import Recording, RecordingError, Writer, gather
from libs.flow.wire import Incoming
from libs.workspace import Workspace, load
from services.router.replay import rows
from services.router.replay.comparison import compare
from services.router.replay.recording import INPUTS, OUTPUTS, lanes, read
from services.router.replay.report import lines_of

DEMO = Path("tests/fixtures/recorded/demo")


@cache
def demo() -> Recording:
    return read(DEMO)


@cache
def workspace() -> Workspace:
    return load(DEMO / "workspace.yaml", secrets=False)


def pools(**changes: Any) -> Workspace:
    """The workspace with its pools changed, under the version that the recording names."""
    return replace(
        workspace(), pools={name: replace(pool, **changes) for name, pool in workspace().pools.items()}
    )


def all_records(*topics: str) -> Iterable[Incoming]:
    return (record for topic in topics for record in demo().all(topic))


def distinct(*topics: str) -> set[tuple[bytes, bytes]]:
    """Names of events. The killed router published some again."""
    headers = (dict(record.headers) for record in all_records(*topics))
    return {(found["ce_source"], found["ce_id"]) for found in headers}


def test_the_recording_holds_declines_lapses_wrap_ups_and_a_killed_router() -> None:
    kinds = {dict(record.headers)["ce_type"] for record in all_records(*OUTPUTS)}
    assert {b"reservation.declined.v1", b"reservation.expired.v1", b"work.wrapping.v1"} <= kinds
    opened = {Decided.parse(dict(r.headers)["ce_decided"].decode()).opened for r in all_records(*OUTPUTS)}
    assert len(opened) == 2


def test_every_recorded_decision_is_made_again_without_a_difference() -> None:
    found = compare(demo(), workspace())
    assert found.differences == []
    assert found.events == len(distinct(*OUTPUTS)) > 900
    assert (found.left, len(found.versions)) == (0, 1)


def test_a_workspace_that_says_the_same_under_another_version_makes_the_same_decisions() -> None:
    """As every setting that a newer build knows gives the file a new version."""
    found = compare(demo(), replace(workspace(), version="newer"))
    assert found.differences == []
    assert "newer" not in found.versions


def test_the_three_topics_that_are_needed_are_enough() -> None:
    without_agents = gather(all_records(*INPUTS, "assignments"))
    found = compare(without_agents, workspace())
    assert found.differences == []
    assert found.events == len(distinct("assignments"))


@pytest.mark.parametrize(
    "changed",
    [pools(auto_accept=True), pools(decline_memory=workspace().pools["layanan"].decline_memory / 20)],
)
def test_another_policy_does_not_give_the_recorded_decisions(changed: Workspace) -> None:
    found = compare(demo(), changed)
    assert len(found.differences) > 5
    first = lines_of(found.differences[0])
    assert first[0].startswith("lane ")
    assert any(line.startswith("  recorded: ") for line in first)


def test_one_recorded_decision_that_was_another_is_the_only_difference() -> None:
    records = list(all_records(*INPUTS, *OUTPUTS))
    place = next(
        n
        for n, r in enumerate(records)
        if isinstance(decode(r.key, r.value, r.headers).data, ReservationOffered)
    )
    offered = decode(records[place].key, records[place].value, records[place].headers).data
    other = offered.model_copy(update={"agent_id": "agen-99"}).model_dump_json().encode()
    records[place] = replace(records[place], value=other)
    (difference,) = compare(gather(records), workspace()).differences
    assert difference.again == offered
    assert lines_of(difference)[-1] == "  not equal: agent_id"


def without(records: Iterable[Incoming], header: str) -> Iterable[Incoming]:
    for record in records:
        yield replace(record, headers=[(n, v) for n, v in record.headers if n != header])


def test_events_that_do_not_say_when_they_were_decided_are_refused() -> None:
    old = gather([*all_records(*INPUTS), *without(all_records("assignments"), "ce_decided")])
    with pytest.raises(RecordingError, match="older than this"):
        compare(old, workspace())


def test_a_recording_that_begins_in_the_middle_is_refused() -> None:
    late = gather(
        [r for r in all_records("work") if r.offset > 10] + [*all_records("agent-commands", "assignments")]
    )
    with pytest.raises(RecordingError, match="begins at offset 11"):
        compare(late, workspace())


def test_inputs_that_were_read_but_not_recorded_are_named() -> None:
    cut = gather(
        [r for r in all_records("work") if r.offset < 100] + [*all_records("agent-commands", "assignments")]
    )
    with pytest.raises(RecordingError, match="is recorded only to 100"):
        compare(cut, workspace())


def test_records_that_come_twice_change_nothing() -> None:
    """As an outbox that is published again after a crash, and a desk that sends a command again."""
    again = []
    for topic in (*INPUTS, *OUTPUTS):
        for lane, records in demo().topics[topic].items():
            end = records[-1].offset + 1
            again += [replace(r, offset=end + n) for n, r in enumerate(records) if topic in OUTPUTS or lane]
    found = compare(gather([*all_records(*INPUTS, *OUTPUTS), *again]), workspace())
    assert found.differences == []


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    garbage = Incoming("work", 0, 0, 5, b"k", b"\xff no json", (("x", b"\xfe"),))
    with Writer(tmp_path, (*INPUTS, *OUTPUTS)) as writer:
        for record in [garbage, *all_records(*INPUTS, *OUTPUTS)]:
            writer.take(record)
    found = read(tmp_path)
    assert found.of("work", 0)[0] == garbage
    assert len(found) == len(demo()) + 1
    assert sum(writer.counts.values()) == len(found)
    assert lanes(read(tmp_path / "work.jsonl.gz")) == lanes(found)
    with pytest.raises(RecordingError, match="name another folder"), Writer(tmp_path, INPUTS):
        pytest.fail("two recordings in one folder")


def test_the_recording_that_clocks_are_made_of_again_holds_decisions_too() -> None:
    folder = Path("tests/fixtures/recorded/sla")
    found = compare(read(folder), load(folder / "workspace.yaml", secrets=False))
    assert found.decisions > 200


def test_rows_come_before_the_recording_that_begins_with_them(tmp_path: Path) -> None:
    with Writer(tmp_path, INPUTS):
        pass
    with pytest.raises(typer.BadParameter, match="rows come first"):
        rows.main(tmp_path, postgres="postgresql://nowhere")
    with pytest.raises(typer.BadParameter, match="SAMBUNG_POSTGRES"):
        rows.main(tmp_path / "new", postgres="")


def test_a_folder_that_is_no_recording_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is not there: name a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"has no work.jsonl.gz, .* OUT=FOLDER"):
        read(tmp_path)
    for topic in (*INPUTS, "assignments"):
        (tmp_path / f"{topic}.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(RecordingError, match="record again"):
        read(tmp_path)


def test_when_something_was_decided_reads_as_it_was_written() -> None:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    said = Decided(at, "3.1", 7, {"work": 12, "agent-commands": 40})
    assert str(said) == "2026-03-02T08:00:00+00:00 opened=3.1 timers=7 agent-commands=40 work=12"
    assert Decided.parse(str(said)) == said
    assert Decided.parse(str(Decided(at, "1.0", 0))) == Decided(at, "1.0", 0)
    with pytest.raises(ValueError, match="does not say"):
        Decided.parse("yesterday")
