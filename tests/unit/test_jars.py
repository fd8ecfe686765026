"""This file shows that the broker's jars arrive whole, from a repository served on the loopback address."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import download
from deploy.local.errors import JarUnavailable, LockError
from deploy.local.jars import LOCK, Jar, cache_directory, ensure_jars, format_lock, parse_lock
from deploy.local.ports import free_port
from deploy.local.resolve import ROOTS

Answer = Callable[[BaseHTTPRequestHandler], None]


class Repository:
    """A repository whose answers a test chooses; without a choice it serves what was put in."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/")
                repository.asked.append(path)
                answers = repository.answers.get(path)
                if answers:
                    answers.pop(0)(self)
                elif path in repository.content:
                    reply(200, repository.content[path])(self)
                else:
                    reply(404, b"")(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name: str, content: bytes | None = None) -> Jar:
        content = content or name.encode() * 5000
        jar = Jar("org.example.tools", name, "1.2", hashlib.sha256(content).hexdigest())
        self.content[jar.path] = content
        return jar


def reply(status: int, body: bytes, announced: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if announced is None else announced))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Repository()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def files(cache: Path) -> set[str]:
    return {path.name for path in (cache / "jars").iterdir()}


def test_committed_lock_names_the_46_jars_of_the_broker_in_order() -> None:
    jars = parse_lock(LOCK.read_text())
    assert len(jars) == 46
    assert jars == sorted(jars)
    assert set(ROOTS) <= {jar.coordinates for jar in jars}
    assert format_lock(reversed(jars)) == LOCK.read_text()


def test_every_wrong_line_of_a_lock_is_named_at_once() -> None:
    good = f"org.example:a:1 {'0' * 64}"
    text = f"# head\n{good}\norg.example:b:1 short\n\nno coordinates {'0' * 64}\norg.other:a:1 {'1' * 64}\n"
    with pytest.raises(LockError) as error:
        parse_lock(text)
    assert "line 3" in str(error.value)
    assert "line 5" in str(error.value)
    assert "line 2" not in str(error.value)
    assert "a-1.jar is named twice" in str(error.value)


def test_missing_jars_are_fetched_from_the_standard_layout(repository: Repository, tmp_path: Path) -> None:
    jars = [repository.add(f"part{number}") for number in range(20)]
    paths = ensure_jars(jars=jars, cache=tmp_path, base=repository.base)
    assert [path.read_bytes() for path in paths] == [repository.content[jar.path] for jar in jars]
    assert "org/example/tools/part0/1.2/part0-1.2.jar" in repository.asked
    assert files(tmp_path) == {jar.file_name for jar in jars}


def test_verified_cache_asks_the_network_nothing(repository: Repository, tmp_path: Path) -> None:
    jars = [repository.add("a"), repository.add("b")]
    ensure_jars(jars=jars, cache=tmp_path, base=repository.base)
    repository.asked.clear()
    ensure_jars(jars=jars, cache=tmp_path, base=repository.base)
    assert repository.asked == []


def test_damaged_jar_in_the_cache_is_fetched_again_and_only_that(
    repository: Repository, tmp_path: Path
) -> None:
    jars = [repository.add("a"), repository.add("b")]
    paths = ensure_jars(jars=jars, cache=tmp_path, base=repository.base)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-1] + b"?")
    repository.asked.clear()
    ensure_jars(jars=jars, cache=tmp_path, base=repository.base)
    assert paths[1].read_bytes() == whole
    assert repository.asked == [jars[1].path]


def test_transfer_that_breaks_off_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    jar = repository.add("a")
    whole = repository.content[jar.path]
    repository.answers[jar.path] = [reply(200, whole[:100], announced=len(whole))]
    (path,) = ensure_jars(jars=[jar], cache=tmp_path, base=repository.base)
    assert path.read_bytes() == whole
    assert len(repository.asked) == 2
    assert files(tmp_path) == {jar.file_name}


def test_busy_repository_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    jar = repository.add("a")
    repository.answers[jar.path] = [reply(503, b""), reply(429, b""), reply(500, b"")]
    ensure_jars(jars=[jar], cache=tmp_path, base=repository.base)
    assert len(repository.asked) == 4


def test_wrong_content_never_gets_the_name_of_the_jar(repository: Repository, tmp_path: Path) -> None:
    jar = repository.add("a")
    repository.content[jar.path] = b"a page that asks for a password"
    with pytest.raises(JarUnavailable) as error:
        ensure_jars(jars=[jar], cache=tmp_path, base=repository.base)
    assert jar.coordinates in str(error.value)
    assert f"expected {jar.sha256}" in str(error.value)
    assert len(repository.asked) == download.TRIES
    assert files(tmp_path) == set()


def test_jar_that_the_repository_does_not_have_is_asked_for_once(
    repository: Repository, tmp_path: Path
) -> None:
    jar = Jar("org.example", "nowhere", "1", "0" * 64)
    with pytest.raises(JarUnavailable, match="HTTP 404"):
        ensure_jars(jars=[jar], cache=tmp_path, base=repository.base)
    assert len(repository.asked) == 1


def test_one_unavailable_jar_leaves_the_fetched_ones_in_the_cache(
    repository: Repository, tmp_path: Path
) -> None:
    good = repository.add("a")
    ensure_jars(jars=[good], cache=tmp_path, base=repository.base)
    with pytest.raises(JarUnavailable):
        ensure_jars(
            jars=[good, Jar("org.example", "nowhere", "1", "0" * 64)], cache=tmp_path, base=repository.base
        )
    assert files(tmp_path) == {good.file_name}


@pytest.mark.usefixtures("repository")
def test_without_a_network_the_error_names_the_jar_the_tries_and_the_ways_out(tmp_path: Path) -> None:
    jar = Jar("org.example", "a", "1", "0" * 64)
    base = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(JarUnavailable) as error:
        ensure_jars(jars=[jar], cache=tmp_path, base=base)
    text = str(error.value)
    for expected in (
        jar.coordinates,
        f"{base}/{jar.path}",
        f"try {download.TRIES}",
        "SAMBUNG_KAFKA",
        "HTTPS_PROXY",
    ):
        assert expected in text
    assert str(tmp_path / "jars" / jar.file_name) in text


def test_two_runs_at_the_same_time_both_end_with_whole_jars(repository: Repository, tmp_path: Path) -> None:
    jars = [repository.add(f"part{number}", f"{number}".encode() * 300_000) for number in range(10)]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(ensure_jars, jars=jars, cache=tmp_path, base=repository.base) for _ in range(2)]
        for run in runs:
            assert [path.read_bytes() for path in run.result()] == [
                repository.content[jar.path] for jar in jars
            ]
    assert files(tmp_path) == {jar.file_name for jar in jars}


def test_stop_ends_a_download_that_hangs_between_tries(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE", 3600)
    jar, stop = repository.add("a"), threading.Event()

    def stop_and_fail(handler: BaseHTTPRequestHandler) -> None:
        stop.set()
        reply(503, b"")(handler)

    repository.answers[jar.path] = [stop_and_fail]
    with pytest.raises(JarUnavailable, match="stopped"):
        ensure_jars(jars=[jar], cache=tmp_path, base=repository.base, stop=stop)


def test_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SAMBUNG_CACHE", raising=False)
    assert cache_directory() == Path("/home/someone/.cache/sambung")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_directory() == Path("/caches/sambung")
    monkeypatch.setenv("SAMBUNG_CACHE", "/mine")
    assert cache_directory() == Path("/mine")
