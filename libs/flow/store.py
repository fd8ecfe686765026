"""This file holds the lane's rows in memory: loaded before a batch in one query a table, written after it in one statement a table."""

import gc
import json
import types
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from functools import lru_cache
from operator import attrgetter, is_
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

R = TypeVar("R")


class Reader(Protocol):
    """What a store may ask of the database before a batch."""

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Rows, each readable by position and by column name."""
        ...


class Session(Reader, Protocol):
    """A connection of its own, for reading much."""

    def transaction(self) -> Any: ...

    def cursor(self, sql: str, *args: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Statement:
    """Rows that a batch writes to one table: `columns` are lists of equal length, one a column.

    The SQL reads them as `unnest($1::int[], $2…) as u(of_lane, …)`, where $1 is each row's lane and the columns follow, and joins
    `own(flow, lane)`, the lanes that are still ours: a lane that was taken away writes nothing, and the same SQL serves the
    batches of many lanes at once.
    """

    sql: str
    columns: tuple[list[Any], ...]


class Store:
    """The rows of one lane. Subclasses create their tables in `__init__` and list them in `tables`.

    The kernel calls `open` when the lane is taken, `load` before each batch, then handlers, then `statements`, then
    `committed`. After a failed batch it calls `discard` and later `open` again: nothing in memory may survive `discard`.
    """

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.tables: tuple[Table[Any] | Log[Any], ...] = ()

    async def open(self, db: Session) -> None:
        """Load what the lane keeps in memory all the time. The default keeps nothing."""

    async def load(self, db: Reader, items: Sequence[Any]) -> None:
        """Load what these items' handlers will ask for. The default loads nothing."""

    def statements(self) -> list[Statement]:
        """What changed since the last commit."""
        return [statement for table in self.tables for statement in table.statements()]

    def committed(self) -> None:
        for table in self.tables:
            table.committed()

    def discard(self) -> None:
        for table in self.tables:
            table.discard()


class Table(Generic[R]):
    """Rows of one Postgres table as frozen dataclass instances, cached by group.

    `row` is the dataclass: its field names are the columns. `key` names the primary key's columns. `group` names the
    column by which rows are loaded together (the contact point, the pool); it may be one of the key's or not. Fields may be str, int,
    float, bool, datetime, enums, optional ones of these, and anything else that pydantic can serialise, kept as jsonb.
    A group must be loaded before it is read: reading one that was not raises KeyError, which is a bug in `load`.
    `often` names columns that often change alone: a row of which nothing else changed is not written whole.
    """

    def __init__(
        self, name: str, row: type[R], *, key: Sequence[str], group: str, cache: int = 20_000, where: str = "",
        often: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.name, self.row, self.key, self.group = name, row, tuple(key), group
        self._columns = _columns(row)
        self._decoders = [(i, c.decode) for i, c in enumerate(self._columns) if c.decode is not _same]
        self._limit = cache
        self._groups: OrderedDict[str, dict[tuple[Any, ...], R]] = OrderedDict()
        self._changed: dict[tuple[Any, ...], R] = {}
        self._deleted: dict[tuple[Any, ...], R] = {}
        self._written: dict[tuple[Any, ...], R] = {}
        """What changed rows are in the database; of tables some columns of which often change alone."""
        names = ", ".join(f'"{c.name}"' for c in self._columns)
        condition = f" and ({where})" if where else ""
        self._select = f'select {names} from "{name}" where "{group}" = any($1::text[]){condition}'
        self._upsert = _upsert(name, self._columns, self.key)
        self._delete = _delete(name, self._columns, self.key)
        self._key_of, self._group_of = _key(self.key), attrgetter(group)
        self._often = [c for c in self._columns if c.name in (*key, *often)] if often else []
        self._update = _update(name, self._often, self.key) if often else ""
        self._rest = attrgetter(*(c.name for c in self._columns if c not in self._often))

    async def load(self, db: Reader, groups: Iterable[str]) -> None:
        """Bring these groups into memory; one query for all that are not there yet."""
        wanted = set(groups)
        missing = [g for g in wanted if g not in self._groups]
        if missing:
            for group in missing:
                self._groups[group] = {}
            for record in await db.fetch(self._select, missing):
                self.adopt(self._decode(record))
        for group in wanted:
            self._groups.move_to_end(group)

    def adopt(self, row: R) -> None:
        """Take over a row that was read from the database; makes its group loaded."""
        self._groups.setdefault(self._group_of(row), {})[self._key_of(row)] = row

    async def load_all(self, db: Session, condition: str, *args: Any) -> None:
        """Bring all rows that meet an SQL condition into memory; for stores that keep everything.

        In portions: no number of rows takes longer than one statement may, or keeps other lanes waiting.
        """
        async with db.transaction():
            cursor = await db.cursor(f"{self._select.partition(' where ')[0]} where {condition}", *args)
            with no_collection():
                while records := await cursor.fetch(PORTION):
                    for record in records:
                        self.adopt(self._decode(record))

    def has(self, group: str) -> bool:
        return group in self._groups

    def of(self, group: str) -> list[R]:
        """All rows of a loaded group."""
        return list(self._groups[group].values())

    def get(self, group: str, *key: Any) -> R | None:
        """One row of a loaded group by its primary key."""
        return self._groups[group].get(key)

    def __iter__(self) -> Iterator[R]:
        """All rows in memory; for stores that keep everything."""
        for rows in self._groups.values():
            yield from rows.values()

    def put(self, row: R) -> None:
        """Insert or replace."""
        key = self._key_of(row)
        rows = self._groups.setdefault(self._group_of(row), {})
        if self._often and key not in self._changed and key in rows:
            self._written[key] = rows[key]
        rows[key] = row
        self._deleted.pop(key, None)
        self._changed[key] = row

    def delete(self, row: R) -> None:
        key = self._key_of(row)
        self._groups.get(self._group_of(row), {}).pop(key, None)
        self._changed.pop(key, None)
        self._written.pop(key, None)
        self._deleted[key] = row

    def statements(self) -> list[Statement]:
        found = []
        whole, parts = self._told_apart()
        if whole:
            found.append(Statement(self._upsert, _arrays(self._columns, whole)))
        if parts:
            found.append(Statement(self._update, _arrays(self._often, parts)))
        if self._deleted:
            keys = [c for c in self._columns if c.name in self.key]
            found.append(Statement(self._delete, _arrays(keys, list(self._deleted.values()))))
        return found

    def _told_apart(self) -> tuple[list[R], list[R]]:
        """Changed rows: those to be written whole, and those of which only what often changes is written."""
        if not self._often:
            return list(self._changed.values()), []
        whole, parts = list[R](), list[R]()
        for key, row in self._changed.items():
            before = self._written.get(key)
            alike = before is not None and all(map(is_, self._rest(before), self._rest(row)))
            (parts if alike else whole).append(row)
        return whole, parts

    def committed(self) -> None:
        self._changed.clear()
        self._deleted.clear()
        self._written.clear()
        while len(self._groups) > self._limit:
            self._groups.popitem(last=False)

    def discard(self) -> None:
        self._changed.clear()
        self._deleted.clear()
        self._written.clear()
        self._groups.clear()

    def _decode(self, record: Any) -> R:
        values = list(record)
        for place, decode in self._decoders:
            if (value := values[place]) is not None:
                values[place] = decode(value)
        return self.row(*values)


@contextmanager
def no_collection() -> Iterator[None]:
    """Rows by the hundred thousand are no garbage, and looking for it among them takes as long as they do, each time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()


class Log(Generic[R]):
    """Rows that are only ever added, e.g. timeline entries. A row whose key is there already is left as it is."""

    def __init__(self, name: str, row: type[R], *, key: Sequence[str]) -> None:
        self.name, self._columns, self._rows = name, _columns(row), dict[tuple[Any, ...], R]()
        self._key_of = _key(tuple(key))
        self._insert = _upsert(name, self._columns, tuple(key), update=False)

    def add(self, row: R) -> None:
        self._rows.setdefault(self._key_of(row), row)

    def statements(self) -> list[Statement]:
        return (
            [Statement(self._insert, _arrays(self._columns, list(self._rows.values())))] if self._rows else []
        )

    def committed(self) -> None:
        self._rows.clear()

    def discard(self) -> None:
        self._rows.clear()


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    sql: str
    """Array element type as it is passed; jsonb travels as text and is cast."""
    cast: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_SQL: dict[type, str] = {
    str: "text",
    bool: "boolean",
    int: "bigint",
    float: "float8",
    datetime: "timestamptz",
}


PORTION = 2_000
"""Rows that are read at once where all are read."""
SHORT = 64
"""Characters of JSON up to which it is kept with its value: many rows say the same few, such as [] and {"billing": 2}."""


def _same(value: Any) -> Any:
    return value


def _key(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda row: (get(row),)


def _columns(row: type[Any]) -> tuple[_Column, ...]:
    hints = typing.get_type_hints(row)
    return tuple(_column(f.name, hints[f.name]) for f in fields(row))


def _column(name: str, hint: Any) -> _Column:
    optional, bare = _optional(hint)
    if isinstance(bare, typing.NewType):
        bare = bare.__supertype__
    if isinstance(bare, type) and bare in _SQL:
        return _Column(name, _SQL[bare], "", _same, _same)
    if isinstance(bare, type) and issubclass(bare, Enum):
        kind, members = bare, dict(bare._value2member_map_)
        return _Column(name, "text", "", _same, lambda v: members[v] if v in members else kind(v))
    adapter: TypeAdapter[Any] = TypeAdapter(bare)
    known = lru_cache(maxsize=1024)(adapter.validate_json)
    kind = typing.get_origin(bare)

    def encode(value: Any) -> Any:
        if value == ():
            return "[]"
        return None if value is None and optional else adapter.dump_json(value).decode()

    def decode(value: Any) -> Any:
        if not isinstance(value, str):
            return adapter.validate_json(json.dumps(value))
        if len(value) > SHORT:
            return adapter.validate_json(value)
        if kind is tuple:
            return known(value)
        # Each row gets a dictionary of its own.
        return dict(known(value)) if bare == dict[str, int] else adapter.validate_json(value)

    return _Column(name, "text", "::jsonb", encode, decode)


def _optional(hint: Any) -> tuple[bool, Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(rest) == 1 and len(rest) < len(typing.get_args(hint)):
            return True, rest[0]
    return False, hint


def _arrays(columns: Sequence[_Column], rows: list[Any]) -> tuple[list[Any], ...]:
    found: list[list[Any]] = []
    for column in columns:
        values = list(map(attrgetter(column.name), rows))
        found.append(values if column.encode is _same else list(map(column.encode, values)))
    return tuple(found)


def _unnest(columns: Sequence[_Column]) -> str:
    arrays = ", ".join(f"${i}::{c.sql}[]" for i, c in enumerate(columns, 2))
    names = ", ".join(f'"{c.name}"' for c in columns)
    return f"unnest($1::int[], {arrays}) as u(of_lane, {names})"


def _upsert(name: str, columns: Sequence[_Column], key: Sequence[str], *, update: bool = True) -> str:
    names = ", ".join(f'"{c.name}"' for c in columns)
    values = ", ".join(f'u."{c.name}"{c.cast}' for c in columns)
    changes = ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in columns if c.name not in key)
    action = f"do update set {changes}" if update and changes else "do nothing"
    conflict = ", ".join(f'"{k}"' for k in key)
    return (
        f'insert into "{name}" ({names}) select {values} from own join {_unnest(columns)} on u.of_lane = own.lane '
        f"on conflict ({conflict}) {action}"
    )


def _update(name: str, columns: Sequence[_Column], key: Sequence[str]) -> str:
    match = " and ".join(f't."{c.name}" = u."{c.name}"{c.cast}' for c in columns if c.name in key)
    changes = ", ".join(f'"{c.name}" = u."{c.name}"{c.cast}' for c in columns if c.name not in key)
    return f'update "{name}" t set {changes} from own join {_unnest(columns)} on u.of_lane = own.lane where {match}'


def _delete(name: str, columns: Sequence[_Column], key: Sequence[str]) -> str:
    keys = [c for c in columns if c.name in key]
    match = " and ".join(f't."{c.name}" = u."{c.name}"{c.cast}' for c in keys)
    return f'delete from "{name}" t using own join {_unnest(keys)} on u.of_lane = own.lane where {match}'
