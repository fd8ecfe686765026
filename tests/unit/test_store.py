"""This file proves which rows a table writes whole, and of which only what often changes."""

from dataclasses import dataclass, replace

from libs.flow.store import Table


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    count: int
    note: str


KEPT = Row("a", 1, "as it was")


def table() -> Table[Row]:
    made = Table("thing", Row, key=["id"], group="id", often=["count"])
    made.adopt(KEPT)
    return made


def written(things: Table[Row]) -> list[tuple[str, tuple[list[object], ...]]]:
    return [(statement.sql.split()[0], statement.columns) for statement in things.statements()]


def test_of_a_row_of_which_only_that_changed_what_often_changes_is_written() -> None:
    things = table()
    for count in (2, 3):
        things.put(replace(KEPT, count=count))
    assert written(things) == [("update", (["a"], [3]))]


def test_a_row_that_changed_elsewhere_or_is_new_is_written_whole() -> None:
    things = table()
    things.put(replace(KEPT, count=2))
    things.put(replace(KEPT, count=2, note="changed"))
    things.put(Row("b", 1, "new"))
    assert written(things) == [("insert", (["a", "b"], [2, 1], ["changed", "new"]))]


def test_a_row_that_was_deleted_and_comes_again_is_written_whole() -> None:
    things = table()
    things.put(replace(KEPT, count=2))
    things.delete(KEPT)
    things.put(replace(KEPT, count=4))
    assert written(things) == [("insert", (["a"], [4], ["as it was"]))]


def test_after_a_commit_the_row_that_was_written_is_the_one_to_compare_with() -> None:
    things = table()
    noted = replace(KEPT, note="noted")
    things.put(noted)
    things.committed()
    things.put(replace(noted, count=2))
    assert written(things) == [("update", (["a"], [2]))]
