"""This file shows the command `python -m bench.routing`: what it runs, writes and refuses."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench import results
from bench.routing import __main__ as command


def test_a_comparison_is_printed_and_written_by_world_policy_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    arguments = "--seeds 101-102 --worlds S1@.80 --policies slack --baseline lia --processes 1"
    result = CliRunner().invoke(command.app, arguments.split())
    assert result.exit_code == 0, result.output
    assert "S1@0.80, 2 seeds" in result.output
    (path,) = tmp_path.iterdir()
    found = json.loads(path.read_text())["S1@0.80"]
    assert list(found) == ["lia", "slack"]
    breaches = {policy: [found[policy]["by_seed"][s]["breach"] for s in ("101", "102")] for policy in found}
    difference = found["slack"]["against"]["lia"]["breach"]["difference"]["mean"]
    assert difference == pytest.approx((sum(breaches["slack"]) - sum(breaches["lia"])) / 2)
    assert found["lia"]["against"] == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--policies slck", "slck"),
        ("--baseline slck", "slck"),
        ("--worlds S9", "S9"),
        ("--seeds one", "one"),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_runs(arguments: str, told: str) -> None:
    result = CliRunner().invoke(command.app, arguments.split())
    assert result.exit_code == 2
    assert told in result.output


def test_seeds_are_read_as_ranges_and_single_ones() -> None:
    assert command.parse_seeds("1-3,7") == [1, 2, 3, 7]


@pytest.mark.parametrize("text", ["1-", "", "3-1", "1,,2", "-1"])
def test_what_is_no_seed_and_no_range_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        command.parse_seeds(text)


def test_the_check_fails_where_a_published_figure_does_not_come_out(tmp_path: Path) -> None:
    header, row, *_ = Path("tests/fixtures/ccr1/expected.csv").read_text().splitlines()
    fields = row.split(",")
    place = header.split(",").index("breach_s2")
    fields[place] = f"{float(fields[place]) + 1e-6:.6f}"
    (tmp_path / "expected.csv").write_text(f"{header}\n{','.join(fields)}\n")
    (tmp_path / "worlds.txt").write_text("S1 0.90  2 n=9523\n")
    arguments = ["check", "--seeds", "2", "--replications", "0", "--processes", "1", "--expected"]
    result = CliRunner().invoke(command.app, [*arguments, str(tmp_path)])
    assert result.exit_code == 1
    assert "1 worlds: 0 check sums differ" in result.output
    assert "1 days of 1 rows: 1 figures differ" in result.output
