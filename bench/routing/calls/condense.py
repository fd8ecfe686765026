"""This file makes the call records that the benchmark reads from the published file: `python -m bench.routing.calls.condense FILE`.

Left out are calls that never asked for an agent, columns that nothing reads, and names: agents are numbered in the order of
their names. The rows that stay keep their order.
"""

import csv
import io
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from bench.routing.calls.records import COLUMNS, FILE, TYPES

Row = dict[str, str]


def condense(
    source: Annotated[Path, typer.Argument(help="the published records of one month, csv.xz")],
    target: Annotated[Path, typer.Option(help="where to write")] = FILE,
) -> None:
    """Write the call records that the benchmark reads."""
    with lzma.open(source, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if _asks_for_an_agent(row)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_values(rows))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(lzma.compress(text.getvalue().encode(), preset=9 | lzma.PRESET_EXTREME))
    typer.echo(f"{len(rows)} calls, {target.stat().st_size} bytes: {target}")


def _asks_for_an_agent(row: Row) -> bool:
    """Served, or hung up after the queue had begun; PHANTOM rows are no calls."""
    if row["type"].strip() not in TYPES:
        return False
    served = row["outcome"] == "AGENT" and float(row["ser_time"]) > 0
    return served or (row["outcome"] == "HANG" and _seconds(row["q_start"]) > 0)


def _values(rows: Iterable[Row]) -> Iterator[list[int | str]]:
    rows = list(rows)
    names = sorted({row["server"] for row in rows if row["server"] != "NO_SERVER"})
    numbers = {name: str(number) for number, name in enumerate(names)}
    for row in rows:
        served = row["outcome"] == "AGENT"
        yield [
            int(row["date"][-2:]),
            row["type"].strip(),
            row["priority"],
            _seconds(row["vru_exit"]),
            row["q_time"],
            _seconds(row["ser_start"]) if served else "",
            _seconds(row["ser_exit"]) if served else "",
            row["ser_time"] if served else "",
            numbers.get(row["server"], "") if served else "",
        ]


def _seconds(text: str) -> int:
    hours, minutes, seconds = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


if __name__ == "__main__":
    typer.run(condense)
