"""This file proves that the command line shows what a body would be published as."""

import json
from pathlib import Path

import pytest

from services.ingest.parse import main
from tests.unit.ingest.corpus import PAYLOADS, names


def test_it_prints_one_json_line_per_item(capsys: pytest.CaptureFixture[str]) -> None:
    name = PAYLOADS / "whatsapp/composed_three_messages_one_contact.json"
    assert main(["whatsapp", str(name)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == [
        "message.ingested.v1",
        "message.ingested.v1",
        "reaction.ingested.v1",
    ]
    assert {line["address"] for line in lines} == {"16505551234"}


def test_it_reads_many_files_and_names_those_it_cannot_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("halo")
    files = [str(PAYLOADS / name) for name in names("telegram")]
    assert main(["telegram", str(wrong), *files, str(tmp_path / "missing")]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(files)
    assert str(wrong) in printed.err
    assert "missing" in printed.err


@pytest.mark.parametrize("channel", ["custom", "webchat"])
def test_the_own_form_needs_no_workspace_either(
    channel: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"items": [{"id": "1", "from": {"address": "a"}, "text": "halo"}]}))
    assert main([channel, str(body)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["content"]["text"] == "halo"
