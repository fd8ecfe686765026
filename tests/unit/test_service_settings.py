"""This file proves that wrong settings and a wrong workspace are told at once, and that secrets are not repeated."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from libs.service.configuration import Misconfigured, configuration
from libs.service.settings import ServiceSettings, SettingsProblems, read_settings, variables


class Settings(ServiceSettings):
    port: int = 8100
    lease: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0))
    jwt_secret: SecretStr = Field(min_length=32)
    names: tuple[str, ...] = ()
    noisy: bool = False


class Quiet(ServiceSettings):
    port: int = 8100
    needs_secrets = False


GOOD = {
    "SAMBUNG_KAFKA": "127.0.0.1:9092",
    "SAMBUNG_POSTGRES": "postgresql://sambung:hunter2@127.0.0.1/sambung",
    "SAMBUNG_WORKSPACE": "workspace.yaml",
    "SAMBUNG_JWT_SECRET": "x" * 32,
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*variables(Settings), "SAMBUNG_KAFKAA"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def put(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    for name, value in (GOOD | {f"SAMBUNG_{key.upper()}": value for key, value in changes.items()}).items():
        monkeypatch.setenv(name, value)


def problems() -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        read_settings(Settings)
    return caught.value.problems


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, port="0", lease="45s", log_level="WARNING", names='["a"]', host="")
    settings = read_settings(Settings)
    assert (settings.port, settings.lease, settings.log_level) == (0, timedelta(seconds=45), "WARNING")
    assert (settings.kafka, settings.workspace, settings.names) == (
        "127.0.0.1:9092",
        Path("workspace.yaml"),
        ("a",),
    )
    assert settings.host == "127.0.0.1"


def test_missing_settings_are_named_together_with_a_variable_that_was_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAMBUNG_KAFKAA", "127.0.0.1:9092")
    assert problems() == [
        "SAMBUNG_KAFKA: is not set — expected host:port of the broker; SAMBUNG_KAFKAA is set",
        "SAMBUNG_POSTGRES: is not set — expected the address of the database, postgresql://user@host/database",
        "SAMBUNG_WORKSPACE: is not set — expected the path of the workspace file",
        "SAMBUNG_JWT_SECRET: is not set — expected a secret",
    ]


def test_wrong_settings_are_named_together_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        monkeypatch,
        kafka="broker",
        postgres="mysql://root:hunter2@db",
        port="99999",
        log_level="LOUD",
        lease="0s",
        jwt_secret="hunter2",
        noisy="perhaps",
    )
    told = problems()
    assert told == [
        "SAMBUNG_KAFKA: 'broker' — expected host:port, or several with commas between",
        "SAMBUNG_POSTGRES: the value (not shown) — expected postgresql://user@host/database",
        "SAMBUNG_PORT: '99999' — expected a port, 0 to 65535",
        "SAMBUNG_LOG_LEVEL: 'LOUD' — expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "SAMBUNG_LEASE: '0s' — expected a value greater than 0 seconds",
        "SAMBUNG_JWT_SECRET: the value (not shown) — expected at least 32 characters",
        "SAMBUNG_NOISY: 'perhaps' — expected true or false",
    ]
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("abc", "SAMBUNG_PORT: 'abc' — expected a whole number"),
        ("65536", "SAMBUNG_PORT: '65536' — expected a port, 0 to 65535"),
        ("-1", "SAMBUNG_PORT: '-1' — expected a port, 0 to 65535"),
    ],
)
def test_inherited_limits_hold(port: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, port=port)
    assert problems() == [expected]


def test_list_that_is_no_json_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, names="a,b")
    [problem] = problems()
    assert "names" in problem
    assert problem.endswith("expected JSON")


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch)
    settings = read_settings(Settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    assert "x" * 32 not in repr(settings)


def test_variables_of_a_service_are_known_to_tools() -> None:
    assert variables(Settings) == {
        "SAMBUNG_KAFKA": True,
        "SAMBUNG_POSTGRES": True,
        "SAMBUNG_WORKSPACE": True,
        "SAMBUNG_HOST": False,
        "SAMBUNG_PORT": False,
        "SAMBUNG_LOG_LEVEL": False,
        "SAMBUNG_LEASE": False,
        "SAMBUNG_JWT_SECRET": True,
        "SAMBUNG_NAMES": False,
        "SAMBUNG_NOISY": False,
    }


def test_wrong_settings_and_a_wrong_workspace_are_told_in_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "workspace.yaml").write_text("id: toko\ninboxes: []\nqueues: {}\npools: {}\n")
    put(monkeypatch, port="abc")
    with pytest.raises(Misconfigured) as caught:
        configuration(Settings)
    assert caught.value.told("sla") == (
        "sla does not start: 2 to put right\n"
        "  SAMBUNG_PORT: 'abc' — expected a whole number\n"
        "  workspace.yaml:2:10 inboxes: a list — expected a mapping of keys to values"
    )


def test_service_without_use_for_secrets_starts_without_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "workspace.yaml").write_text(
        "id: toko\n"
        "inboxes: {situs: {channel: webchat, queue: umum, credentials: {signing_key: env:NOT_GIVEN_HERE}}}\n"
        "queues: {umum: {pool: utama}}\n"
        "pools: {utama: {}}\n"
    )
    put(monkeypatch)
    assert configuration(Quiet)[1].inboxes["situs"].queue == "umum"
    with pytest.raises(Misconfigured, match="NOT_GIVEN_HERE to be set"):
        configuration(Settings)
