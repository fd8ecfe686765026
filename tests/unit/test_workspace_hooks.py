"""This file proves that an allocation hook is read faithfully, refused with reasons, and its secret neither shown nor needed elsewhere."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from libs.workspace import WorkspaceError, load
from services.delivery.settings import Settings as Delivery
from services.ingest.settings import Settings as Ingest
from services.router.settings import Settings as Router
from tests.unit.test_workspace import KEY, SMALL

GOOD = "{url: https://crm.toko.id/allocate, secret: env:HOOK, within: 500ms}"

Hooked = Callable[[str], Path]


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    """The small workspace whose pool has this hook."""

    def to_file(hook: str) -> Path:
        path = tmp_path / "workspace.yaml"
        path.write_text(SMALL.replace("  utama: {}", f"  utama:\n    allocation_hook: {hook}"), "utf-8")
        return path

    return to_file


def test_a_hook_of_a_pool_holds_for_its_queues(hooked: Hooked) -> None:
    workspace = load(hooked(GOOD), KEY | {"HOOK": "h00k"})
    hook = workspace.allocation_hook(workspace.queues["umum"])
    assert hook is not None
    assert (hook.url, hook.within) == ("https://crm.toko.id/allocate", timedelta(milliseconds=500))
    assert (hook.secret.reveal(), hook.place) == ("h00k", "pools.utama")
    assert "h00k" not in repr(workspace)


def test_a_queue_may_have_a_hook_of_its_own(hooked: Hooked) -> None:
    path = hooked(GOOD)
    own = GOOD.replace("500ms", "2s")
    path.write_text(
        path.read_text().replace("pool: utama\npools", f"pool: utama\n    allocation_hook: {own}\npools")
    )
    workspace = load(path, KEY | {"HOOK": "h00k"})
    hook = workspace.allocation_hook(workspace.queues["umum"])
    assert hook is not None
    assert (hook.within, hook.place) == (timedelta(seconds=2), "queues.umum")


@pytest.mark.parametrize("within", ["50ms", "10s", "10000ms", "1s"])
def test_a_time_limit_is_from_50_ms_to_10_s(hooked: Hooked, within: str) -> None:
    load(hooked(GOOD.replace("500ms", within)), secrets=False)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        (GOOD.replace("500ms", "49ms"), "within: the value (not shown) — expected a duration from 50ms to 10s"),
        (GOOD.replace("500ms", "11s"), "within: the value (not shown) — expected a duration from 50ms to 10s"),
        (GOOD.replace("500ms", "0.5"), "within: the value (not shown) — expected a duration from 50ms to 10s"),
        (GOOD.replace("https", "ftp"), "url: the value (not shown) — expected an http:// or https:// address"),
        (GOOD.replace("crm.toko.id", "u:p@crm"), "expected an address without a user or password"),
        (GOOD.replace("crm.toko.id", "169.254.169.254"), "expected an address that is not link-local"),
        (GOOD.replace("https://crm.toko.id/allocate", "'http://[fe80::1]/'"), "expected an address that is not link-local"),
        (GOOD.replace("https://crm.toko.id/allocate", "'http://[::ffff:169.254.1.1]'"), "not link-local"),
        (GOOD.replace("env:HOOK", "s3cret"), "secret: the value (not shown) — expected a reference env:NAME"),
        (GOOD.replace("env:HOOK", "env:GONE"), "secret: env:GONE — expected the environment variable GONE"),
        (GOOD.replace("secret: env:HOOK, ", ""), "secret: is missing"),
        (GOOD.replace("secret: env:HOOK", "secret:s3cret"), "(a key): is no known key"),
        ("s3cret", "allocation_hook: the value (not shown) — expected a mapping of keys to values"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_without_any_secret(
    hooked: Hooked, hook: str, expected: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        load(hooked(hook), KEY | {"HOOK": "h00k"})
    told = str(caught.value)
    assert expected in told
    assert f":{SMALL.splitlines().index('  utama: {}') + 2}:" in told
    assert "s3cret" not in told


def test_the_version_changes_with_a_hook_and_not_with_the_value_of_its_secret(hooked: Hooked) -> None:
    first = load(hooked(GOOD), KEY | {"HOOK": "one"}).version
    assert load(hooked(GOOD), KEY | {"HOOK": "two"}).version == first
    assert load(hooked(GOOD.replace("500ms", "600ms")), secrets=False).version != first


def test_a_process_is_given_the_secrets_that_it_uses_and_no_others(hooked: Hooked) -> None:
    path = hooked(GOOD)
    of_inboxes = load(path, KEY, hook_secrets=False)
    of_hooks = load(path, {"HOOK": "h00k"}, secrets=False, hook_secrets=True)
    for workspace, inbox, hook in ((of_inboxes, True, False), (of_hooks, False, True)):
        found = workspace.pools["utama"].allocation_hook
        assert found is not None
        for secret, known in (
            (workspace.inboxes["situs"].credentials["signing_key"], inbox),
            (found.secret, hook),
        ):
            if known:
                assert secret.reveal()
            else:
                with pytest.raises(LookupError):
                    secret.reveal()
    uses = {s: (s.needs_secrets, s.needs_hook_secrets) for s in (Ingest, Delivery, Router)}
    assert uses == {Ingest: (True, False), Delivery: (True, False), Router: (False, True)}
