"""This file turns YAML nodes into values and every mistake into a Problem with its place, without stopping at the first.

A `Read` takes one node and returns its value, or raises Unusable. What holds several values (record, mapping, listing)
reads them all, reports each that failed, and is itself unusable when one was.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import yaml

from libs.workspace.problems import Problem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

NULL = "tag:yaml.org,2002:null"


class Unusable(Exception):
    """The value cannot be used. `expected` is told to the reader of the file; None where that was done already."""

    def __init__(self, expected: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Place:
    """A node and how to get to it. What stands at a secret place is never shown."""

    node: yaml.Node
    path: str
    secret: bool = False

    def at(self, key: str, node: yaml.Node) -> "Place":
        return Place(node, f"{self.path}.{key}" if self.path else key, self.secret)


Read = Callable[["Reading", Place], T]


@dataclass
class Reading:
    """One pass over one file: the problems found and the references to be checked when everything was read."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    references: list[tuple[Place, str, str]] = field(default_factory=list)
    """(where, section, id) for every id that must exist in that section."""

    def report(self, place: Place, expected: str, *, value: str | None = None) -> None:
        """Note a mistake at `place`. `value` stands in for what is there."""
        self._note(place.node, place.path, _shown(place) if value is None else value, expected)

    def report_key(self, place: Place, key: yaml.Node, value: str, expected: str) -> None:
        """Note that a key of the mapping at `place` is wrong. Among secrets the key is not shown: in
        `{app_secret:abc}`, where a space is missing, the secret is part of it."""
        name = key.value if isinstance(key, yaml.ScalarNode) and not place.secret else "(a key)"
        self._note(key, place.at(name, key).path, value, expected)

    def _note(self, node: yaml.Node, path: str, value: str, expected: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, path, value, expected))

    def read(self, how: Read[T], place: Place) -> T:
        """The value at `place`. Raises Unusable, always after reporting why."""
        try:
            return how(self, place)
        except Unusable as fault:
            if fault.expected is not None:
                self.report(place, fault.expected)
            raise Unusable from None


def entries(reading: Reading, place: Place) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Key -> (key node, value node) of a mapping. A repeated key is reported and its first value kept."""
    if not isinstance(place.node, yaml.MappingNode):
        raise Unusable("expected a mapping of keys to values")
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in place.node.value:
        if not isinstance(key, yaml.ScalarNode):
            reading.report_key(place, key, "is no key", "expected a plain word as key")
        elif key.value in found:
            first = found[key.value][0].start_mark.line + 1
            reading.report_key(
                place, key, "is given again", f"expected each key once; it is already on line {first}"
            )
        else:
            found[key.value] = (key, value)
    return found


@dataclass(frozen=True, slots=True)
class Field(Generic[T_co]):
    """How one key of a record is read, and whether it must be there."""

    read: Read[T_co]
    required: bool = False


def record(make: Callable[..., T], fields: Mapping[str, Field[Any]]) -> Read[T]:
    """A mapping with known keys, given to `make` by name. Absent keys are left to its defaults."""

    def read(reading: Reading, place: Place) -> T:
        before = len(reading.problems)
        found = entries(reading, place)
        for name, (key, _) in found.items():
            if name not in fields:
                expected = f"expected one of {listed(fields)}{meant(name, fields)}"
                reading.report_key(place, key, "is no known key", expected)
        values: dict[str, Any] = {}
        for name, how in fields.items():
            if name in found:
                try:
                    values[name] = reading.read(how.read, place.at(name, found[name][1]))
                except Unusable:
                    continue
            elif how.required:
                absent = place.at(name, place.node)
                reading.report(absent, "expected here: it has no default", value="is missing")
        if len(reading.problems) > before:
            raise Unusable
        return make(**values)

    return read


def mapping(key: Callable[[str], Any], value: Callable[[str], Read[T]]) -> Read[dict[Any, T]]:
    """A mapping with keys of the user's own. `key` raises ValueError; `value(key)` says how that key's value is read."""

    def read(reading: Reading, place: Place) -> dict[Any, T]:
        before = len(reading.problems)
        values: dict[Any, T] = {}
        for name, (key_node, node) in entries(reading, place).items():
            try:
                known = key(name)
            except ValueError as fault:
                reading.report_key(place, key_node, "is no key here", str(fault))
                continue
            try:
                values[known] = reading.read(value(name), place.at(name, node))
            except Unusable:
                continue
        if len(reading.problems) > before:
            raise Unusable
        return values

    return read


def listing(item: Read[T]) -> Read[tuple[T, ...]]:
    """A list, as a tuple."""

    def read(reading: Reading, place: Place) -> tuple[T, ...]:
        if not isinstance(place.node, yaml.SequenceNode):
            raise Unusable("expected a list")
        values, failed = [], False
        for index, node in enumerate(place.node.value):
            try:
                values.append(reading.read(item, Place(node, f"{place.path}[{index}]", place.secret)))
            except Unusable:
                failed = True
        if failed:
            raise Unusable
        return tuple(values)

    return read


def hidden(read: Read[T]) -> Read[T]:
    """The same, but nothing of what stands there is ever shown."""
    return lambda reading, place: reading.read(read, Place(place.node, place.path, secret=True))


def check_references(reading: Reading, declared: Mapping[str, Sequence[str]]) -> None:
    """Report every reference whose section does not declare its id. A section that is missing was reported as such."""
    for place, section, value in reading.references:
        if section in declared and value not in declared[section]:
            known = f"; there is {listed(declared[section])}" if declared[section] else "; it is empty"
            reading.report(place, f"expected an id from {section}{known}{meant(value, declared[section])}")


def listed(words: Iterable[str]) -> str:
    """a, b or c; a long list is cut."""
    known = list(words)
    if len(known) > 12:
        return ", ".join(known[:12]) + " …"
    return " or ".join(part for part in (", ".join(known[:-1]), known[-1] if known else "") if part)


def meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(place: Place) -> str:
    match place.node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case yaml.ScalarNode(tag=tag) if tag == NULL:
            return "nothing"
        case _ if place.secret:
            return "the value (not shown)"
        case node:
            value = str(node.value)
            return repr(value if len(value) <= 60 else value[:57] + "…")
