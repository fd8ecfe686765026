"""This file proves that what the pages name exists: files, functions, commands, settings, figures, alerts."""

import ast
import importlib
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import yaml

from libs.service.settings import PREFIX, ServiceSettings, variables
from libs.workspace.durations import parse_duration

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECORDS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
OPERATIONS = (ROOT / "docs/operations.md").read_text()
SOURCES = (
    "libs",
    "services",
    "deploy",
    "bench",
    "tools",
    "tests/chaos",
    "tests/conftest.py",
    "Makefile",
    "docker-compose.yml",
)
SECTIONS = ["Status", "Context", "Decision", "Consequences", "Alternatives", "Enforced by"]

LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`")
TOP = "|".join(re.escape(place.name) for place in ROOT.iterdir() if place.is_dir() and place.name != ".git")
FILE = re.compile(rf"(?:(?:{TOP})/[\w./-]*|[\w./-]*\w\.(?:py|md|ya?ml|sql|json|toml|lock|txt|in))")
VARIABLE = re.compile(rf"\b{PREFIX}[A-Z][A-Z_]*[A-Z]\b")
FIGURE = re.compile(r"\bsambung_[a-z_]+[a-z]\b")


def ids(place: Path) -> str:
    return str(place.relative_to(ROOT))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """(text, target) of each link of a page that leads into this repository."""
    for found in LINK.finditer(FENCE.sub("", page.read_text())):
        if "://" not in found["target"]:
            yield found["text"], found["target"]


def commands(page: Path) -> list[str]:
    """What a page shows as code, inline or fenced."""
    text = page.read_text()
    return CODE.findall(FENCE.sub("", text)) + [
        line for block in FENCE.findall(text) for line in block.splitlines()
    ]


@cache
def names_in(module: Path) -> frozenset[str]:
    """Every class, function, method, attribute and constant that a module defines, dotted."""
    return frozenset(_names(ast.parse(module.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
                if isinstance(node, ast.ClassDef):
                    yield from _names(node.body, f"{prefix}{name}.")
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case ast.Assign(targets=targets):
                yield from (
                    prefix + t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)
                )


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@cache
def sources() -> str:
    places = [ROOT / name for name in SOURCES]
    files = [
        f
        for p in places
        for f in ([p] if p.is_file() else sorted(p.rglob("*")))
        if f.suffix in (".py", ".yml", "") and f.is_file()
    ]
    return "\n".join(file.read_text() for file in files)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for text, target in links(page):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors_of(place)):
            broken.append(f"[{text}]({target})")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_a_link_named_after_code_leads_to_the_file_that_defines_it(page: Path) -> None:
    wrong = []
    for text, target in links(page):
        name = NAME.fullmatch(text)
        place = (page.parent / target).resolve()
        if (
            name
            and place.suffix == ".py"
            and place.name != name[1]
            and place.exists()
            and name[1] not in names_in(place)
        ):
            wrong.append(f"[{text}]({target})")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_named_in_backticks_exist(page: Path) -> None:
    named = {found for found in CODE.findall(FENCE.sub("", page.read_text())) if FILE.fullmatch(found)}
    assert sorted(name for name in named if not there(name, page)) == []


def there(name: str, page: Path) -> bool:
    """A path from the root or from the page; a bare file name (`flow.py`) is that of any file."""
    if "/" not in name:
        return name in file_names()
    return (ROOT / name).exists() or (page.parent / name).exists()


@cache
def file_names() -> frozenset[str]:
    inside = (place for place in ROOT.iterdir() if place.name not in (".venv", ".git", ".sambung"))
    return frozenset(f.name for place in inside for f in ([place] if place.is_file() else place.rglob("*")))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_tests_named_in_backticks_exist(page: Path) -> None:
    named = {
        name for name in CODE.findall(FENCE.sub("", page.read_text())) if re.fullmatch(r"test_\w+", name)
    }
    assert sorted(named - written_tests()) == []


@cache
def written_tests() -> frozenset[str]:
    written = (file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(name for text in written for name in re.findall(r"def (test_\w+)\(", text))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_verbs_of_make_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    verbs = {verb for line in commands(page) for verb in re.findall(r"(?<![\w-])make ([a-z][a-z-]*)", line)}
    known = re.compile("|".join(target.replace("%", "[a-z-]*") for target in targets))
    assert sorted(verb for verb in verbs if not known.fullmatch(verb)) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_modules_that_are_run_exist(page: Path) -> None:
    ours = {
        m
        for line in commands(page)
        for m in re.findall(r"-m ((?:libs|services|deploy|bench|tools|tests)(?:\.\w+)*)(?![\w.<])", line)
    }
    places = {name: ROOT / name.replace(".", "/") for name in ours}
    missing = [
        n for n, p in places.items() if not p.with_suffix(".py").exists() and not (p / "__main__.py").exists()
    ]
    assert sorted(missing) == []


def settings_of_services() -> dict[str, type[ServiceSettings]]:
    names = sorted(place.parent.name for place in ROOT.glob("services/*/settings.py"))
    return {name: importlib.import_module(f"services.{name}.settings").Settings for name in names}


def settings_read() -> set[str]:
    found = set(VARIABLE.findall(sources()))
    return found.union(*(variables(kind) for kind in settings_of_services().values()))


def test_operations_tells_of_every_variable_that_is_read_and_of_no_other() -> None:
    assert set(VARIABLE.findall(OPERATIONS)) == settings_read()


def test_operations_tells_the_defaults() -> None:
    cells = {row[0]: row[2] for row in rows_of("## Settings")}
    wrong = []
    for service, kind in settings_of_services().items():
        for name, field in kind.model_fields.items():
            told = cells[f"`{PREFIX}{name.upper()}`"]
            if field.is_required() or field.default == "":
                right = told == "–" or f"{service} has none" in told
            elif name == "port":
                right = f"{field.default} {service}" in told
            else:
                shown = [found for found in CODE.findall(told) if found]
                right = str(field.default) in shown or field.default in map(duration, shown)
            if not right:
                wrong.append(f"{service}: {name} is {field.default!r}, told {told}")
    assert wrong == []


def rows_of(heading: str) -> list[list[str]]:
    """The cells of a section's table rows."""
    section = OPERATIONS.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]


def duration(text: str) -> timedelta | None:
    try:
        return parse_duration(text)
    except ValueError:
        return None


def test_operations_names_only_figures_that_are_measured() -> None:
    measured = set(re.findall(r'"(sambung_[a-z_]+)"', sources()))
    assert measured
    assert sorted(set(FIGURE.findall(OPERATIONS)) - measured) == []


def test_operations_says_what_to_do_about_every_alert() -> None:
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    names = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    assert names
    assert {row[0].strip("`") for row in rows_of("## Alerts")} == names


@pytest.mark.parametrize("record", RECORDS, ids=ids)
def test_a_decision_record_has_every_part_and_one_quotable_sentence(record: Path) -> None:
    text = record.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    parts = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in text.split("\n## ")[1:]}
    assert [name for name, body in parts.items() if not body] == []
    [quoted] = re.findall(r"(?:^> .*\n?)+", parts["Decision"], re.MULTILINE)
    sentence = re.sub(r"^> ", "", quoted, flags=re.MULTILINE).strip()
    assert re.fullmatch(r"\*\*[^.?!]+(?:\.\w[^.?!]*)*\.\*\*", sentence), sentence


def test_decision_records_are_numbered_without_gaps_and_listed() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    index = {target for _, target in links(ROOT / "docs/adr/README.md")}
    assert {record.name for record in RECORDS} <= index


def test_a_decision_record_names_what_enforces_it() -> None:
    """A test, a file or a rule, by a link or a path: something that fails when the decision is broken."""
    for record in RECORDS:
        enforced = record.read_text().partition("## Enforced by")[2]
        assert LINK.search(enforced), record.name


def test_faust_is_imported_by_the_live_service_levels_alone() -> None:
    """Decision record 0007."""
    imports = re.compile(r"^\s*(?:import|from) faust\b", re.MULTILINE)
    files = [
        file
        for folder in ("libs", "services", "deploy", "bench", "tools")
        for file in (ROOT / folder).rglob("*.py")
    ]
    users = [ids(file) for file in files if imports.search(file.read_text())]
    assert [name for name in users if not name.startswith("services/sla/live")] == []
