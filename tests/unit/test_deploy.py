"""This file proves that what is deployed agrees with the code: services, settings, credentials, topics and metric names."""

import importlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # no stubs among our dependencies
import pytest
import yaml

from libs.contracts.payloads.levels import WindowLevel
from libs.contracts.topics import topic_map
from libs.service.settings import PREFIX, ServiceSettings, variables
from services.sla.live.domain.levels import WINDOWS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = sorted(place.parent.name for place in ROOT.glob("services/*/settings.py"))
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
SCRAPES: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/sambung.json").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [rule["expr"] for rule in RULES] + [t["expr"] for panel in PANELS for t in panel["targets"]]


def settings_of(service: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = importlib.import_module(f"services.{service}.settings").Settings
    return found


def compose_schema() -> dict[str, Any]:
    """The compose specification that check-jsonschema carries; read as a file, since its command line wants another click."""
    [place] = [
        file
        for file in importlib.metadata.files("check-jsonschema") or []
        if file.parts[-2:] == ("vendor", "compose-spec.json")
    ]
    found: dict[str, Any] = json.loads(Path(str(place.locate())).read_text())
    return found


def test_compose_file_keeps_to_the_compose_specification() -> None:
    schema = compose_schema()
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = COMPOSE | {"services": {"kafka": {"imagee": "apache/kafka"}}}
    assert not validator.is_valid(broken)


def test_compose_file_runs_every_service() -> None:
    ran = {
        name: service["command"]
        for name, service in COMPOSE["services"].items()
        if "services." in str(service.get("command", ""))
    }
    live = {"sla-live": ["python", "-m", "services.sla.live"]}
    assert ran == {name: ["python", "-m", f"services.{name}"] for name in SERVICES} | live


@pytest.mark.parametrize("service", SERVICES)
def test_compose_file_names_every_setting_of_a_service_and_no_other(service: str) -> None:
    given = {name for name in COMPOSE["services"][service]["environment"] if name.startswith(PREFIX)}
    assert given == set(variables(settings_of(service)))


@pytest.mark.parametrize("service", SERVICES)
def test_only_services_that_use_credentials_are_given_them(service: str) -> None:
    assert ("env_file" in COMPOSE["services"][service]) is settings_of(service).needs_secrets


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_checked_for_readiness_and_hold_no_privileges(service: str) -> None:
    ran = COMPOSE["services"][service]
    assert ran["healthcheck"]["test"] == ["CMD", "python", "-m", "libs.service.ready"]
    assert ran["depends_on"]["topics"] == {"condition": "service_completed_successfully"}
    assert (ran["cap_drop"], ran["read_only"]) == (["ALL"], True)
    assert "user" not in ran


def test_volumes_and_mounted_files_exist() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = re.sub(r"^\$\{\w+:-(.+?)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_example_of_credentials_has_all_that_the_example_workspace_refers_to() -> None:
    wanted = set(re.findall(r": env:([A-Z_]+)", (ROOT / "workspace.example.yaml").read_text()))
    assert names_in("deploy/docker/credentials.example.env") == wanted


def test_example_of_passwords_has_all_that_the_compose_file_demands() -> None:
    demanded = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert demanded
    assert names_in("deploy/docker/env.example") == demanded


def names_in(path: str) -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=$", (ROOT / path).read_text(), re.MULTILINE))


def test_image_is_built_in_stages_from_the_lock_and_does_not_run_as_root() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert "--require-hashes" in text
    last_stage = text.split("FROM ")[-1]
    assert re.findall(r"^USER (\S+)", last_stage, re.MULTILINE) == ["10001"]
    allowed = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().split()
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert f"!{source}" in allowed
        assert (ROOT / source).exists()


def test_prometheus_scrapes_every_service() -> None:
    [ours] = [job for job in SCRAPES["scrape_configs"] if job["job_name"] == "sambung"]
    [discovery] = ours["dns_sd_configs"]
    assert sorted(discovery["names"]) == sorted([*SERVICES, "sla-live"])
    port = {COMPOSE["services"][name]["environment"]["SAMBUNG_PORT"] for name in SERVICES}
    assert port == {str(discovery["port"])}


def test_every_service_is_missed_when_it_is_gone() -> None:
    [rule] = [rule for rule in RULES if rule["alert"] == "ServiceDown"]
    assert sorted(re.findall(r'service="(\w+)"', rule["expr"])) == SERVICES


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


def test_number_of_lanes_in_alerts_and_dashboard_is_that_of_the_map() -> None:
    said = [
        int(number)
        for query in QUERIES
        if "sambung_flow_lanes)" in query
        for number in re.findall(r"< (\d+)|(\d+) - sum", query)
        for number in number
        if number
    ]
    assert len(said) == 2
    assert set(said) == {topic_map().partitions}


def given_metrics() -> set[str]:
    """Names that some process registers, with the series that a histogram is made of."""
    sources = [*ROOT.glob("libs/**/*.py"), *ROOT.glob("services/**/*.py")]
    named = {name for source in sources for name in re.findall(r'"(sambung_[a-z_]+)"', source.read_text())}
    return named | {f"{name}_{series}" for name in named for series in ("bucket", "sum", "count")}


SELECTOR = re.compile(r'sambung_service_level\{seconds="(\d+)", figure="(\w+)"\}')


def test_service_levels_are_asked_for_by_windows_and_figures_that_there_are() -> None:
    asked = {found for query in QUERIES for found in SELECTOR.findall(query)}
    windows = {str(round(window.total_seconds())) for window in WINDOWS}
    figures = {*WindowLevel.model_fields, "average_speed_of_answer_seconds"} - {
        "seconds",
        "average_speed_of_answer",
    }
    assert {window for window, _ in asked} == windows
    assert {figure for _, figure in asked} == figures
    # Two processes of sla.live say the same; a sum over them would count everything twice.
    plain = [
        query
        for query in QUERIES
        if re.search(r"(?<!max by \(queue, channel\) \()sambung_service_level[{_]", query)
    ]
    assert [query for query in plain if "_published_total" not in query] == []


@pytest.mark.parametrize("query", QUERIES)
def test_every_figure_that_is_asked_for_is_given(query: str) -> None:
    asked = set(re.findall(r"\bsambung_[a-z_]+\b", re.sub(r'"[^"]*"', "", query)))
    assert asked - given_metrics() == set()
    assert asked or re.search(r"\b(up|process_\w+)\b", query)
    assert query.count("(") == query.count(")")


def test_panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
