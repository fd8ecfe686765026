"""This file is the form of a recording: a folder with a file of JSON lines for each topic, and the workspace.

    work.jsonl.gz, assignments.jsonl.gz, conversations.jsonl.gz, sla.jsonl.gz, …, workspace.yaml

A line is one record as it lay on the log: partition, offset, time (ms since 1970), key, headers, value.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from gzip import GzipFile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from libs.flow.wire import Incoming

WORKSPACE = "workspace.yaml"
SUFFIX = ".jsonl.gz"


class RecordingError(ValueError):
    """A recording that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Recording:
    """Records by topic and partition, in the order of their offsets."""

    topics: Mapping[str, Mapping[int, tuple[Incoming, ...]]]

    def of(self, topic: str, partition: int) -> tuple[Incoming, ...]:
        return self.topics.get(topic, {}).get(partition, ())

    def all(self, topic: str) -> Iterator[Incoming]:
        for records in self.topics.get(topic, {}).values():
            yield from records

    def __len__(self) -> int:
        return sum(len(records) for lanes in self.topics.values() for records in lanes.values())


def gather(records: Iterable[Incoming]) -> Recording:
    """A recording of these records; of an offset that comes twice, one is kept."""
    found: dict[str, dict[int, dict[int, Incoming]]] = {}
    for record in records:
        found.setdefault(record.topic, {}).setdefault(record.partition, {})[record.offset] = record
    return Recording(
        {
            topic: {
                lane: tuple(by_offset[offset] for offset in sorted(by_offset))
                for lane, by_offset in sorted(lanes.items())
            }
            for topic, lanes in found.items()
        }
    )


def read(path: Path, topics: Sequence[str], *, needed: Sequence[str]) -> Recording:
    """These topics of a folder, or of that in which this file lies; those that are not `needed` may lack.

    Raises RecordingError.
    """
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise RecordingError(f"{path} is not there: name a folder that `make record OUT=FOLDER` wrote")
    missing = [topic for topic in needed if not _file(folder, topic).is_file()]
    if missing:
        raise RecordingError(
            f"{folder} has no {', '.join(topic + SUFFIX for topic in missing)}: record these topics with "
            "`make record OUT=FOLDER`"
        )
    files = [_file(folder, topic) for topic in topics]
    return gather(record for file in files if file.is_file() for record in _lines(file))


def _file(folder: Path, topic: str) -> Path:
    return folder / f"{topic}{SUFFIX}"


def _lines(file: Path) -> Iterator[Incoming]:
    topic = file.name.removesuffix(SUFFIX)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        number = 0
        try:
            for number, line in enumerate(lines, 1):  # noqa: B007  (told where a line is spoilt)
                yield _record(topic, json.loads(line))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise RecordingError(f"{file}, line {number}: {fault!r}; record again") from fault


def _record(topic: str, line: Mapping[str, Any]) -> Incoming:
    value = line["value"]
    return Incoming(
        topic=topic,
        partition=line["partition"],
        offset=line["offset"],
        timestamp=line["time"],
        key=line["key"].encode(),
        value=value.encode("latin-1") if isinstance(value, str) else json.dumps(value).encode(),
        headers=tuple((name, text.encode("latin-1")) for name, text in line["headers"].items()),
    )


def line_of(record: Incoming) -> str:
    """One line of a file. A value that is no JSON object is kept as text, a character a byte."""
    value: Any
    try:
        value = json.loads(record.value or b"")
    except ValueError:
        value = None
    return json.dumps(
        {
            "partition": record.partition,
            "offset": record.offset,
            "time": record.timestamp,
            "key": (record.key or b"").decode("utf-8", "replace"),
            "headers": {name: (raw or b"").decode("latin-1") for name, raw in record.headers},
            "value": value if isinstance(value, dict) else (record.value or b"").decode("latin-1"),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


class Writer:
    """`with Writer(folder, topics) as writer`: takes records of these topics, in the order of their partitions.

    A folder that holds a recording already is refused, so that no two are mixed: raises RecordingError. Where it ends with
    a fault and nothing was taken, nothing is left behind.
    """

    def __init__(self, folder: Path, topics: Sequence[str]) -> None:
        self._folder = folder
        self._files: dict[str, GzipFile] = {}
        self.counts: dict[str, int] = dict.fromkeys(topics, 0)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        held = sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        if held:
            raise RecordingError(f"{self._folder} holds a recording already ({held[0]}): name another folder")
        for topic in self.counts:
            # Without a time in it, the same log gives the same bytes.
            self._files[topic] = GzipFile(_file(self._folder, topic), "wb", mtime=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for topic, file in self._files.items():
            file.close()
            if fault is not None and not any(self.counts.values()):
                _file(self._folder, topic).unlink()

    def take(self, record: Incoming) -> None:
        self._files[record.topic].write(f"{line_of(record)}\n".encode())
        self.counts[record.topic] += 1
