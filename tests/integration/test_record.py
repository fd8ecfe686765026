"""This file records topics of a real broker."""

import asyncio
import gzip
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.local.ports import free_port
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.topics import topic_map
from libs.flow import record
from libs.flow.copying import copy
from libs.flow.publisher import Publisher, first_hand
from libs.flow.record import TOPICS
from libs.flow.recording import Writer, read
from libs.flow.wire import Incoming
from libs.timesource import SystemTime, random_token
from services.router.replay.recording import lanes
from services.router.replay.recording import read as decisions
from services.sla.dryrun.traffic import from_log, recorded
from tests.integration.kernel import send
from tests.unit.sla.story import Talk

pytestmark = pytest.mark.kafka


def of_run(records: list[Incoming], run: str) -> list[str]:
    headers = (dict(r.headers) for r in records)
    return [h["ce_id"].decode() for h in headers if h.get("ce_source") == f"/test/{run}".encode()]


async def test_every_record_of_a_log_is_taken_once_and_in_order_also_those_that_come_meanwhile(
    kafka: str,
) -> None:
    run, publisher, found = random_token(4), Publisher(kafka, "test"), list[Incoming]()
    for number in range(20):
        await send(publisher, run, "before", number)

    def ending() -> bool:
        return "later-1" in of_run(found, run)

    copying = asyncio.create_task(copy(kafka, ["agent-commands"], found.append, ending=ending))
    await send(publisher, run, "later", 0)
    await send(publisher, run, "later", 1)
    await copying
    await publisher.stop()
    mine = of_run(found, run)
    assert [name for name in mine if name.startswith("before")] == [f"before-{n}" for n in range(20)]
    assert [name for name in mine if name.startswith("later")] == ["later-0", "later-1"]
    for partition in range(topic_map().partitions):
        offsets = [r.offset for r in found if r.partition == partition]
        assert all(later == offset + 1 for offset, later in pairwise(offsets))


def run_command(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(record.main)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_recording_is_a_folder_that_replay_and_dry_run_read(kafka: str, tmp_path: Path) -> None:
    workspace = Path("workspace.example.yaml")
    code, said = run_command(
        "--out", str(tmp_path / "r"), "--kafka", kafka, "--workspace", str(workspace), "--for", "0s"
    )
    assert code == 0, said
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        *(f"{topic}.jsonl.gz" for topic in TOPICS),
        "workspace.yaml",
    }
    found = read(tmp_path / "r", TOPICS, needed=TOPICS)
    assert f"{sum(1 for _ in found.all('agent-commands'))} of agent-commands" in said
    assert lanes(decisions(tmp_path / "r")) == lanes(found)
    code, said = run_command("--out", str(tmp_path / "r"), "--kafka", kafka, "--workspace", str(workspace))
    assert (code, "name another folder" in said) == (2, True)


async def talk(kafka: str, run: str) -> list[ConversationEvent]:
    """One conversation on the log."""
    publisher, story = Publisher(kafka, "test"), Talk(run)
    now = SystemTime().now()
    events = [story.opened(now), story.asked(now), story.answered(now), story.resolved(now)]
    for number, event in enumerate(events):
        record = first_hand(event, key=story.point, source=f"/test/{run}", id=str(number), at=now)
        await publisher.publish([record])
    await publisher.stop()
    return events


async def test_a_dry_run_hears_the_same_from_a_recording_and_from_the_running_log(
    kafka: str, tmp_path: Path
) -> None:
    run = random_token(4)
    told = await talk(kafka, run)
    with Writer(tmp_path / "r", TOPICS) as writer:
        await record.record(kafka, writer, 0.0)
    log = await from_log(kafka, timedelta(minutes=10))
    for traffic in (recorded(tmp_path / "r"), log):
        heard = [e.data for e in traffic.heard if e.envelope.source == f"/test/{run}"]
        assert [(e.type, e.version) for e in heard] == [(e.type, e.version) for e in told]
    assert b"Halo" not in gzip.decompress((tmp_path / "r" / "conversations.jsonl.gz").read_bytes())


def test_the_recorder_says_what_is_missing_and_where_no_broker_answers(tmp_path: Path) -> None:
    workspace = ["--workspace", "workspace.example.yaml"]
    code, said = run_command("--out", str(tmp_path), "--kafka", "", *workspace)
    assert (code, "SAMBUNG_KAFKA" in said) == (2, True)
    code, said = run_command("--out", str(tmp_path), "--kafka", "127.0.0.1:1", "--workspace", "nowhere.yaml")
    assert (code, "SAMBUNG_WORKSPACE" in said) == (2, True)
    nobody = f"127.0.0.1:{free_port()}"
    code, said = run_command("--out", str(tmp_path), "--kafka", nobody, *workspace)
    assert (code, "Is the broker up" in said) == (1, True)
