"""This file turns a run into tables and JSON: medians over its blocks, ours beside the floor, and the ratio."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.chain import MESSAGE, NEW
from bench.load import Block, percentile
from bench.measure import Run


def report(result: Run, console: Console) -> dict[str, Any]:
    """Print the tables; return them as JSON values."""
    rows, costs = latencies(result), cost(result)
    table = Table("rate/s", "what", "ours p50", "p99", "floor p50", "p99", "ratio p50", "p99", "kept up",
                  title="milliseconds from the scheduled send to the agent's screen; medians over the blocks")  # fmt: skip
    for row in rows:
        figures = (
            f"{row[name]:.1f}" for name in ("ours_p50_ms", "ours_p99_ms", "floor_p50_ms", "floor_p99_ms")
        )
        ratios = (f"{row[name]:.2f}" for name in ("ratio_p50", "ratio_p99"))
        table.add_row(f"{row['rate']:g}", row["what"], *figures, *ratios, "yes" if row["kept_up"] else "NO")
    console.print(table)
    table = Table(
        "rate/s", "ours", "one in ten new", "floor", "ours by process", title="CPU seconds per 1,000 messages"
    )
    for row in costs:
        by_process = ", ".join(f"{name} {value:.2f}" for name, value in row["ours"].items())
        table.add_row(
            f"{row['rate']:g}",
            f"{sum(row['ours'].values()):.2f}",
            f"{sum(row['opening'].values()):.2f}",
            f"{sum(row['floor'].values()):.2f}",
            by_process,
        )
    console.print(table)
    console.print("resident MB: " + ", ".join(f"{name} {mb:.0f}" for name, mb in result.memory.items()))
    late = {f"{rate:g}": max(b.late_by for b in blocks) for rate, blocks in result.ours.items()}
    console.print(
        "the driver itself was late by at most: "
        + ", ".join(f"{rate}/s {s * 1000:.0f} ms" for rate, s in late.items())
    )
    failing = [row["rate"] for row in rows if not row["kept_up"]]
    console.print(f"no longer kept up at {min(failing):g}/s" if failing else "kept up at every rate")
    if result.repeats:
        console.print(f"{result.repeats} messages were shown twice on a screen", style="red")
    return {
        "latency": rows,
        "cpu_seconds_per_1000": costs,
        "resident_mb": result.memory,
        "driver_late_s": late,
        "repeats": result.repeats,
    }


def latencies(result: Run) -> list[dict[str, Any]]:
    """A row for each rate and thing that was seen."""
    rows = []
    for rate, floors in result.floor.items():
        ours, opening = result.ours.get(rate, []), result.opening.get(rate, [])
        for what, blocks, mine, floors_name in (
            ("acknowledged", ours, None, None),
            ("message, 3 hops", ours, MESSAGE, "hops 3"),
            ("message, 2 hops", ours, MESSAGE, "hops 2"),
            ("message, one in ten new, 3 hops", opening, MESSAGE, "hops 3"),
            ("new conversation, 3 hops", opening, NEW, "hops 3"),
        ):
            if not blocks:
                continue
            p50, p99 = (middle(blocks, seen(mine, q)) for q in (0.5, 0.99))
            floor50, floor99 = (middle(floors, seen(floors_name, q)) for q in (0.5, 0.99))
            kept_up = all(b.missing == 0 and b.refused == 0 and percentile(b.acks, 0.99) < 1 for b in blocks)
            rows.append(
                {"rate": rate, "what": what, "ours_p50_ms": p50, "ours_p99_ms": p99, "floor_p50_ms": floor50,
                 "floor_p99_ms": floor99, "ratio_p50": p50 / floor50, "ratio_p99": p99 / floor99, "kept_up": kept_up}
            )  # fmt: skip
    return rows


def cost(result: Run) -> list[dict[str, Any]]:
    """CPU seconds per 1,000 messages, by process."""
    return [
        {
            "rate": rate,
            "ours": by_process(blocks),
            "opening": by_process(result.opening[rate]),
            "floor": by_process(result.floor[rate]),
        }
        for rate, blocks in result.ours.items()
    ]


def by_process(blocks: Sequence[Block]) -> dict[str, float]:
    def of(name: str) -> Callable[[Block], float]:
        return lambda block: 1000 * block.cpu.get(name, 0.0) / max(1, block.sent)

    return {name: middle(blocks, of(name)) for name in blocks[0].cpu}


def seen(what: str | None, q: float) -> Callable[[Block], float]:
    """The q-quantile, in ms, of what a block's screens showed; None: of its acknowledgements."""
    return lambda block: 1000 * percentile(block.acks if what is None else block.screens.get(what, []), q)


def middle(blocks: Sequence[Block], pick: Callable[[Block], float]) -> float:
    """The median over blocks."""
    return statistics.median(pick(block) for block in blocks)
