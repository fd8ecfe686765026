"""This file proves that a workspace file is read faithfully and that every mistake is told with its place, at once."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.vocabulary import Channel
from libs.workspace import WorkspaceError, load
from libs.workspace.__main__ import main, unserved
from libs.workspace.credentials import REQUIRED, Secret
from libs.workspace.durations import format_duration, parse_duration

EXAMPLE = Path(__file__).parents[2] / "workspace.example.yaml"
ENVIRON = {name: f"value-of-{name}" for name in re.findall(r"env:([A-Z_]+)", EXAMPLE.read_text())}

SMALL = """\
id: toko
inboxes:
  situs:
    channel: webchat
    queue: umum
    credentials:
      signing_key: env:KEY
queues:
  umum:
    pool: utama
pools:
  utama: {}
agents:
  ayu:
    name: Ayu
    pool: utama
    capacity: 2
"""
KEY = {"KEY": "s3cret-v4lue"}

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "workspace.yaml"
        path.write_text(text, "utf-8")
        return path

    return to_file


def problems_of(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(WorkspaceError) as caught:
        load(path, KEY if environ is None else environ)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_example_loads_with_every_channel_and_two_policies() -> None:
    workspace = load(EXAMPLE, ENVIRON)
    assert {inbox.channel for inbox in workspace.inboxes.values()} == set(REQUIRED)
    assert (len(workspace.queues), len(workspace.pools), len(workspace.agents)) == (3, 1, 8)
    assert workspace.inboxes["wa-toko"].credentials["app_secret"].reveal() == "value-of-WHATSAPP_APP_SECRET"
    assert workspace.queues["pengembalian"].skills == {"bahasa": 1, "refund": 3}
    assert workspace.pools["layanan"].channel_cost[Channel.WEBCHAT] == 2
    assert workspace.sla_policies["emas"].warn_at == (0.5, 0.8)
    assert workspace.sla_policies["standar"].next_response is None
    assert workspace.sla_policies["standar"].calendar == "kantor"
    assert unserved(workspace) == []


def test_absent_keys_take_the_defaults_of_the_model(write: Write) -> None:
    workspace = load(write(SMALL), KEY)
    inbox, pool, queue = workspace.inboxes["situs"], workspace.pools["utama"], workspace.queues["umum"]
    assert (inbox.region, inbox.reopen_window, inbox.provider.base_url) == ("ID", timedelta(hours=24), None)
    assert (pool.order, pool.pick, pool.reservation_lease) == (
        "priority",
        "longest_idle",
        timedelta(seconds=30),
    )
    assert (pool.presence_lease, pool.grace) == (timedelta(seconds=45), timedelta(seconds=30))
    assert (pool.decline_memory, pool.auto_accept) == (timedelta(minutes=5), False)
    assert pool.channel_cost == dict.fromkeys(Channel, 1)
    assert (pool.offers_at_once, pool.missed, pool.idle_release, pool.interruptible_by) == (
        1,
        "busy",
        None,
        {},
    )
    assert (queue.mode, queue.wrap_up_capacity, queue.idle_release) == ("push", "keep", None)
    assert workspace.agents["ayu"].caps == {}
    assert (queue.priority, queue.wrap_up, queue.sla, queue.skills) == (0, timedelta(0), None, {})
    assert workspace.agents["ayu"].role == "agent"


def test_a_queue_without_an_idle_release_has_that_of_its_pool(write: Write) -> None:
    text = SMALL.replace(
        "  umum:\n    pool: utama\n", "  umum: {pool: utama}\n  lain: {pool: utama, idle_release: 5m}\n"
    )
    workspace = load(write(text.replace("utama: {}", "utama: {idle_release: 10m}")), KEY)
    found = [workspace.idle_release(queue) for queue in workspace.queues.values()]
    assert found == [timedelta(minutes=10), timedelta(minutes=5)]


def test_lifecycle_of_work_is_read(write: Write) -> None:
    text = SMALL.replace(
        "    pool: utama\npools", "    pool: utama\n    mode: pull\n    wrap_up_capacity: release\npools"
    )
    text = text.replace(
        "utama: {}", "utama: {offers_at_once: 3, missed: stay, interruptible_by: {custom: [webchat]}}"
    ).replace("capacity: 2", "capacity: 2\n    caps: {whatsapp: 1}")
    workspace = load(write(text), KEY)
    pool, queue = workspace.pools["utama"], workspace.queues["umum"]
    assert (pool.offers_at_once, pool.missed) == (3, "stay")
    assert pool.interruptible_by == {Channel.CUSTOM: (Channel.WEBCHAT,)}
    assert (queue.mode, queue.wrap_up_capacity) == ("pull", "release")
    assert workspace.agents["ayu"].caps == {Channel.WHATSAPP: 1}


def test_agent_without_queues_serves_every_queue_of_the_pool(write: Write) -> None:
    text = SMALL.replace("  umum:\n    pool: utama\n", "  umum: {pool: utama}\n  lain: {pool: utama}\n")
    assert load(write(text), KEY).agents["ayu"].queues == ("umum", "lain")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(write: Write) -> None:
    path = write(
        """\
id: Toko Kami
inboxes:
  situs:
    chanel: webchat
    channel: webcat
    queue: umun
    reopen_window: 24
    credentials:
      signing_key: env:NOWHERE
queues:
  umum:
    pool: utama
    skills: {refund: 6}
    sla: emas
pools:
  utama:
    reservation_lease: 0s
    auto_accept: maybe
agents:
  ayu:
    pool: utama
    capacity: -1
sla_policies:
  perak:
    first_response: soon
    warn_at: [0.5, 1.0]
"""
    )
    assert problems_of(path) == [
        "1:5 id: 'Toko Kami' — expected an id of 1 to 64 characters a-z, 0-9, _ and -",
        (
            "4:5 inboxes.situs.chanel: is no known key — expected one of channel, queue, region, reopen_window, "
            "credentials or provider; did you mean channel?"
        ),
        "5:14 inboxes.situs.channel: 'webcat' — expected whatsapp, telegram, webchat or custom; did you mean webchat?",
        "6:12 inboxes.situs.queue: 'umun' — expected an id from queues; there is umum; did you mean umum?",
        "7:20 inboxes.situs.reopen_window: '24' — expected a duration such as 30s, 5m, 24h or 1h30m",
        (
            "9:20 inboxes.situs.credentials.signing_key: env:NOWHERE — "
            "expected the environment variable NOWHERE to be set"
        ),
        "13:22 queues.umum.skills.refund: '6' — expected a whole number from 1 to 5",
        "14:10 queues.umum.sla: 'emas' — expected an id from sla_policies; there is perak",
        "17:24 pools.utama.reservation_lease: '0s' — expected a duration above zero",
        "18:18 pools.utama.auto_accept: 'maybe' — expected true or false",
        "21:5 agents.ayu.name: is missing — expected here: it has no default",
        "22:15 agents.ayu.capacity: '-1' — expected a whole number from 0 to 10000",
        "25:21 sla_policies.perak.first_response: 'soon' — expected a duration such as 30s, 5m, 24h or 1h30m",
        "26:20 sla_policies.perak.warn_at[1]: '1.0' — expected a fraction above 0 and below 1, such as 0.8 or 80%, or a duration before the deadline, such as 10m",
    ]


CHANGES = {
    "repeated key": (
        "    queue: umum\n",
        "    queue: umum\n    queue: umum\n",
        "6:5 inboxes.situs.queue: is given again",
    ),
    "repeated id": ("  utama: {}\n", "  utama: {}\n  utama: {}\n", "13:3 pools.utama: is given again"),
    "id with a capital": ("  ayu:\n", "  Ayu:\n", "14:3 agents.Ayu: is no key here — expected an id"),
    "id too long": ("  ayu:\n", f"  {'a' * 65}:\n", "expected an id of 1 to 64"),
    "dangling pool of a queue": (
        "    pool: utama\npools",
        "    pool: lain\npools",
        "10:11 queues.umum.pool: 'lain'",
    ),
    "dangling pool of an agent": (
        "    pool: utama\n    cap",
        "    pool: lain\n    cap",
        "agents.ayu.pool: 'lain'",
    ),
    "dangling queue of an agent": (
        "    capacity: 2",
        "    capacity: 2\n    queues: [u]",
        "agents.ayu.queues[0]: 'u'",
    ),
    "list for a mapping": ("  utama: {}", "  utama: []", "12:10 pools.utama: a list — expected a mapping"),
    "mapping for text": ("    name: Ayu", "    name: {a: 1}", "agents.ayu.name: a mapping — expected text"),
    "text for a list": (
        "    capacity: 2",
        "    capacity: 2\n    queues: umum",
        "queues: 'umum' — expected a list",
    ),
    "nothing for text": ("    name: Ayu", "    name:", "agents.ayu.name: nothing — expected text"),
    "quoted number": (
        "    capacity: 2",
        "    capacity: '2'",
        "agents.ayu.capacity: '2' — expected a whole number",
    ),
    "octal number": (
        "    capacity: 2",
        "    capacity: 010",
        "agents.ayu.capacity: '010' — expected a whole number",
    ),
    "fraction": ("    capacity: 2", "    capacity: 2.5", "expected a whole number"),
    "unknown role": (
        "    capacity: 2",
        "    capacity: 2\n    role: boss",
        "'boss' — expected agent or supervisor",
    ),
    "unknown order": (
        "  utama: {}",
        "  utama: {order: random}",
        "'random' — expected longest_wait, priority",
    ),
    "unknown pick": (
        "  utama: {}",
        "  utama: {pick: random}",
        "'random' — expected longest_idle, round_robin",
    ),
    "no section of pools": ("pools:\n  utama: {}\n", "", "1:1 pools: is missing"),
    "small region": ("    queue: umum\n", "    queue: umum\n    region: id\n", "'id' — expected a country"),
    "address without scheme": (
        "    queue: umum\n",
        "    queue: umum\n    provider: {base_url: localhost:8080}\n",
        "inboxes.situs.provider.base_url: 'localhost:8080' — expected an http:// or https:// address",
    ),
    "no rate": (
        "    queue: umum\n",
        "    queue: umum\n    provider: {rate_per_second: 0}\n",
        "expected a number above 0",
    ),
    "sexagesimal number": (
        "    queue: umum\n",
        "    queue: umum\n    provider: {rate_per_second: 1:30.5}\n",
        "expected a number above 0",
    ),
    "cost of no channel": (
        "  utama: {}",
        "  utama: {channel_cost: {fax: 1}}",
        "channel_cost.fax: is no key here",
    ),
    "cap of no channel": (
        "    capacity: 2\n",
        "    capacity: 2\n    caps: {fax: 1}\n",
        "caps.fax: is no key here",
    ),
    "too many offers": (
        "  utama: {}",
        "  utama: {offers_at_once: 51}",
        "pools.utama.offers_at_once: '51' — expected a whole number from 1 to 50",
    ),
    "no mode": ("    pool: utama\npools", "    pool: utama\n    mode: pul\npools", "did you mean pull?"),
    "interrupted by no channel": (
        "  utama: {}",
        "  utama: {interruptible_by: {custom: [fax]}}",
        "pools.utama.interruptible_by.custom[0]: 'fax' — expected",
    ),
    "no channel": ("    channel: webchat\n", "", "inboxes.situs.channel: is missing"),
    "no credentials": ("      signing_key: env:KEY\n", "      {}\n", "credentials.signing_key: is missing"),
    "foreign credential": (
        "      signing_key: env:KEY\n",
        "      signing_key: env:KEY\n      bot_token: env:KEY\n",
        "8:7 inboxes.situs.credentials.(a key): is no known key — expected one of signing_key",
    ),
    "policy without target": (
        "agents:\n",
        "sla_policies:\n  kosong: {}\nagents:\n",
        (
            "sla_policies.kosong: a mapping — expected at least one of first_response, next_response, "
            "resolution, time_to_assignment or periodic_update"
        ),
    ),
    "key that is a list": ("id: toko\n", "id: toko\n? [a, b]\n: 1\n", "2:3 (a key): is no key"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_one_mistake_gives_one_problem_at_its_place(change: tuple[str, str, str], write: Write) -> None:
    old, new, expected = change
    assert SMALL.count(old) == 1
    [problem] = problems_of(write(SMALL.replace(old, new)))
    assert expected in problem
    assert re.match(r"\d+:\d+ ", problem)


RELAXING = """  umum:
    pool: utama
    relax:
      - after: 1m
        pools: [lain]
"""


def test_a_relaxing_step_joins_other_pools(write: Write) -> None:
    two = SMALL.replace("  utama: {}", "  utama: {}\n  lain: {}")
    old = "  umum:\n    pool: utama\n"
    assert two.count(old) == 1
    workspace = load(write(two.replace(old, RELAXING)), KEY)
    assert workspace.queues["umum"].relax[0].pools == ("lain",)
    told = {
        RELAXING.replace("[lain]", "[lian]"): "expected an id from pools",
        RELAXING.replace("[lain]", "[utama]"): "expected another pool; this is the queue's own",
        RELAXING + "    mode: pull\n": "expected no pool, since the queue's mode is pull, not push",
        RELAXING.replace("pools: [lain]", "queues: [jauh]")
        + "  jauh: {pool: lain}\n": "expected a queue of pool utama; all agents of pool lain join by pools: [lain]",
    }
    for text, expected in told.items():
        [problem] = problems_of(write(two.replace(old, text)))
        assert expected in problem
        assert "queues.umum.relax[0]." in problem


def test_a_step_that_joins_no_pool_leaves_the_version_as_it_was(write: Write) -> None:
    """Recorded decisions name the version by which they were made."""
    two = SMALL.replace("  utama: {}", "  utama: {}\n  lain: {}")
    old = "  umum:\n    pool: utama\n"
    texts = (
        RELAXING.replace("        pools: [lain]\n", ""),
        RELAXING.replace("[lain]", "[]"),
        RELAXING,
    )
    versions = [load(write(two.replace(old, text)), KEY).version for text in texts]
    assert versions[0] == versions[1] != versions[2]


def test_agent_may_not_serve_a_queue_of_another_pool(write: Write) -> None:
    text = SMALL.replace("  utama: {}", "  utama: {}\n  lain: {}").replace(
        "pool: utama\n    cap", "pool: lain\n    cap"
    )
    assert problems_of(write(text + "    queues: [umum]\n")) == [
        "19:14 agents.ayu.queues[0]: 'umum' — expected a queue of pool lain; umum is served by pool utama"
    ]


@pytest.mark.parametrize(
    "literal", ["s3cret-v4lue", "env:s3cret-v4lue", "{s3cret-v4lue}", "[s3cret-v4lue]", "*s3cret-v4lue"]
)
def test_literal_secret_is_refused_and_not_repeated(literal: str, write: Write) -> None:
    path = write(SMALL.replace("env:KEY", literal))
    [problem] = problems_of(path)
    assert "s3cret" not in problem
    assert problem.startswith("7:20 ")


@pytest.mark.parametrize("credentials", ["s3cret-v4lue", "{signing_key:s3cret-v4lue}", "[s3cret-v4lue]"])
def test_misplaced_secret_is_not_repeated(credentials: str, write: Write) -> None:
    text = SMALL.replace(
        "    credentials:\n      signing_key: env:KEY\n", f"    credentials: {credentials}\n"
    )
    problems = problems_of(write(text))
    assert problems
    assert "s3cret" not in "\n".join(problems)


def test_literal_secret_is_not_repeated_where_the_channel_is_wrong_too(write: Write) -> None:
    text = SMALL.replace("env:KEY", "s3cret-v4lue").replace("channel: webchat", "channel: fax")
    problems = problems_of(write(text))
    assert [problem.split(" ")[1] for problem in problems] == [
        "inboxes.situs.channel:",
        "inboxes.situs.credentials.signing_key:",
    ]
    assert "s3cret" not in "\n".join(problems)


def test_secret_may_come_from_a_file_beside_the_workspace(write: Write, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-a-file\n")
    workspace = load(write(SMALL.replace("env:KEY", "file:key.txt")), {})
    assert workspace.inboxes["situs"].credentials["signing_key"].reveal() == "from-a-file"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "expected a readable file"),
        (b" \n", "not an empty file"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 70_000, "large file"),
    ],
)
def test_unusable_secret_file_is_named(
    content: bytes | None, expected: str, write: Write, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "key.txt").write_bytes(content)
    [problem] = problems_of(write(SMALL.replace("env:KEY", "file:key.txt")))
    assert "inboxes.situs.credentials.signing_key: file:key.txt" in problem
    assert expected in problem


def test_empty_environment_variable_is_no_secret(write: Write) -> None:
    [problem] = problems_of(write(SMALL), {"KEY": " "})
    assert problem.endswith("expected the environment variable KEY not to be empty")


def test_process_without_use_for_secrets_loads_without_them(write: Write) -> None:
    path = write(SMALL)
    without = load(path, {}, secrets=False)
    assert without.version == load(path, KEY).version
    with pytest.raises(LookupError, match="env:KEY was not resolved"):
        without.inboxes["situs"].credentials["signing_key"].reveal()
    with pytest.raises(WorkspaceError, match="never the secret itself"):
        load(write(SMALL.replace("env:KEY", "s3cret")), {}, secrets=False)


def test_secret_shows_its_reference_and_never_its_value(write: Write) -> None:
    workspace = load(write(SMALL), KEY)
    assert "s3cret" not in repr(workspace)
    assert "env:KEY" in repr(workspace)
    assert "s3cret" not in f"{Secret('s3cret')} {Secret('s3cret')!r} {[Secret('s3cret')]}"
    assert Secret("a") == Secret("a", "env:A")
    assert Secret("a") != Secret("b")


def test_version_changes_with_the_content_and_not_with_its_form_or_secrets(write: Write) -> None:
    version = load(write(SMALL), KEY).version
    assert re.fullmatch(r"[a-z2-7]{12}", version)
    assert load(write("# a remark\n" + SMALL), KEY).version == version
    assert load(write(SMALL + "    role: agent\n"), KEY).version == version
    assert load(write(SMALL), {"KEY": "another"}).version == version
    assert load(write(SMALL.replace("capacity: 2", "capacity: 3")), KEY).version != version


UNREADABLE = {
    "empty": ("", "expected a workspace, not an empty file"),
    "not closed": ("id: [a\n", "2:1 expected ',' or ']', but got '<stream end>' — expected well-formed YAML"),
    "tab": (
        "id:\n\t- a\n",
        "2:1 found character '\\t' that cannot start any token — expected well-formed YAML",
    ),
    "two documents": (SMALL + "---\n" + SMALL, "18:1 but found another document — expected well-formed YAML"),
    "nesting": ("[" * 100_000, "expected less nesting"),
    "control characters": ("id: \x00\n", "expected well-formed YAML of printable characters"),
    "text": ("toko", "1:1 'toko' — expected a mapping of keys to values"),
}


@pytest.mark.parametrize("case", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_file_that_is_no_workspace_is_one_problem(case: tuple[str, str], write: Write) -> None:
    text, expected = case
    [problem] = problems_of(write(text))
    assert problem.split(".yaml — ")[-1] == expected


def test_missing_file_and_foreign_encoding_are_one_problem(tmp_path: Path) -> None:
    assert "expected a readable file (No such file or directory)" in problems_of(tmp_path / "none.yaml")[0]
    (tmp_path / "latin.yaml").write_bytes(b"id: caf\xe9\n")
    assert "expected text in UTF-8" in problems_of(tmp_path / "latin.yaml")[0]


def test_norway_is_a_region_and_not_false(write: Write) -> None:
    text = SMALL.replace("    queue: umum\n", "    queue: umum\n    region: NO\n")
    assert load(write(text), KEY).inboxes["situs"].region == "NO"


def test_anchors_work_and_a_loop_of_them_is_a_mistake(write: Write) -> None:
    anchored = (
        SMALL.replace("    name: Ayu", "    name: &n Ayu") + "  ani: {name: *n, pool: utama, capacity: 1}\n"
    )
    assert load(write(anchored), KEY).agents["ani"].name == "Ayu"
    looped = SMALL.replace("  utama: {}", "  utama: &p {channel_cost: *p}")
    assert "channel_cost.channel_cost: is no key here" in problems_of(write(looped))[0]


def test_base_url_loses_its_last_slash(write: Write) -> None:
    text = SMALL.replace(
        "    queue: umum\n", "    queue: umum\n    provider: {base_url: 'http://127.0.0.1:9/'}\n"
    )
    assert load(write(text), KEY).inboxes["situs"].provider.base_url == "http://127.0.0.1:9"


def test_check_prints_a_summary_or_every_problem(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    text = SMALL.replace("    pool: utama\npools", "    pool: utama\n    skills: {refund: 1}\npools")
    assert main(["check", str(write(text))]) == 0
    out = capsys.readouterr().out
    assert "inboxes: 1 (1 webchat)" in out
    assert "note: queue umum: no agent of pool utama serves it" in out
    assert main(["check", str(write(SMALL.replace("capacity: 2", "capacity: two\n    rol: agent")))]) == 1
    err = capsys.readouterr().err
    assert "agents.ayu.capacity: 'two'" in err
    assert "did you mean role?" in err
    assert err.endswith("2 to put right\n")
    assert main(["look"]) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("24h", 86_400), ("1h30m", 5_400), ("2d", 172_800), ("0s", 0), ("90m", 5_400)],
)
def test_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5 m", "-5m", "1m1h", "1h1h", "1.5h", "5M", "٣s", "3651d", "999999999h", "9" * 40 + "s"],
)
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@given(st.integers(0, 3650 * 86_400))
def test_duration_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_a_workspace_or_a_workspace_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(WorkspaceError):
        load(path, {})


@given(st.data())
def test_any_damaged_line_is_a_workspace_or_a_workspace_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = SMALL.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = (
        data.draw(st.text(alphabet=" :-{}[]&*!#'\"\nab0", max_size=12))
        + lines[number][data.draw(st.integers(0, 8)) :]
    )
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text("\n".join(lines), "utf-8")
    with suppress(WorkspaceError):
        assert load(path, KEY).version
