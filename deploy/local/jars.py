"""This file knows the broker's jars: the lock that names them, the cache that keeps them, and how they get there."""

import hashlib
import os
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from deploy.local.download import Downloader, DownloadFailed
from deploy.local.errors import JarUnavailable, LockError
from deploy.local.progress import Narrator

LOCK = Path(__file__).with_name("jars.lock")
LINE = re.compile(r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+) (?P<sha256>[0-9a-f]{64})")
THREADS = 8


@dataclass(frozen=True, order=True)
class Jar:
    """One library by its Maven coordinates, and the only content accepted under that name."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where a repository of the standard Maven layout keeps it."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


def parse_lock(text: str) -> list[Jar]:
    """The jars of a lock; every wrong line is named in one LockError."""
    jars: list[Jar] = []
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if found := LINE.fullmatch(line.strip()):
            jars.append(Jar(**found.groupdict()))
        else:
            wrong.append(f"line {number}: {line!r}, expected 'group:artifact:version sha256'")
    names = [jar.file_name for jar in jars]
    wrong += [f"{name} is named twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if wrong:
        raise LockError("; ".join(wrong))
    return jars


def format_lock(jars: Iterable[Jar]) -> str:
    head = "# The broker's jars. Written by `python -m deploy.local.jars lock`; do not edit.\n"
    return head + "".join(f"{jar.coordinates} {jar.sha256}\n" for jar in sorted(jars))


def cache_directory() -> Path:
    """Outside the checkout, so that a fresh clone fetches nothing again."""
    if chosen := os.environ.get("SAMBUNG_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "sambung"
    return Path.home() / ".cache" / "sambung"


def sha256_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def repository() -> str:
    """The base address of the public Maven repository, as the resolver's library knows it."""
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - slow to import, needed only to fetch

    return str(MAVEN_CENTRAL_URL)


def ensure_jars(
    narrator: Narrator | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    cache: Path | None = None,
    base: str | None = None,
    stop: threading.Event | None = None,
) -> list[Path]:
    """Every jar of the lock, present and verified, in the order of the lock.

    A missing or damaged one is fetched; several processes may do this at the same time. Setting `stop` from another
    thread ends it early. Raises JarUnavailable.
    """
    jars = parse_lock(LOCK.read_text()) if jars is None else jars
    folder = (cache or cache_directory()) / "jars"
    with ThreadPoolExecutor(THREADS) as pool:
        digests = pool.map(lambda jar: sha256_of(folder / jar.file_name), jars)
        missing = [jar for jar, digest in zip(jars, digests, strict=True) if digest != jar.sha256]
    if missing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise JarUnavailable(
                f"cannot make {folder} ({fault}): set SAMBUNG_CACHE to a directory of yours"
            ) from fault
        _fetch(missing, folder, base or repository(), narrator or Narrator(), stop or threading.Event())
    return [folder / jar.file_name for jar in jars]


def _fetch(jars: Sequence[Jar], folder: Path, base: str, narrator: Narrator, stop: threading.Event) -> None:
    def fetch(jar: Jar) -> None:
        url, target = f"{base}/{jar.path}", folder / jar.file_name
        try:
            downloader.fetch(url, target, jar.sha256)
        except DownloadFailed as failure:
            raise JarUnavailable(
                f"cannot fetch {jar.coordinates} from {url} ({failure}). Check the network and, behind a proxy, "
                "HTTPS_PROXY and SSL_CERT_FILE, then run the same again: what has been fetched stays. "
                f"Or copy the jar to {target}, or set SAMBUNG_KAFKA to the address of a broker of your own."
            ) from failure

    what = f"fetching {len(jars)} jars of Apache Kafka into {folder}"
    with (
        Downloader(stop) as downloader,
        narrator.steps(what, len(jars)) as step,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        futures = [pool.submit(fetch, jar) for jar in jars]
        try:
            for future in as_completed(futures):
                future.result()
                step()
        except BaseException:
            stop.set()  # the first failure, or Ctrl-C, ends the others at once
            pool.shutdown(cancel_futures=True)
            raise


def main(arguments: Sequence[str]) -> int:
    if list(arguments) != ["lock"]:
        print("usage: python -m deploy.local.jars lock", file=sys.stderr)
        return 2
    from deploy.local.resolve import resolve  # noqa: PLC0415 - the resolver is slow to import

    jars = resolve()
    LOCK.write_text(format_lock(jars))
    print(f"{LOCK}: {len(jars)} jars")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
