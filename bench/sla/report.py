"""This file turns a measurement into tables and JSON: the service beside the bare heap, and whether the bounds hold."""

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load import percentile
from bench.sla.run import OVERDUE, Changed, Measured

RESTART_BOUND_S, P99_BOUND_MS = 15.0, 50.0
QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def report(found: Measured, console: Console) -> dict[str, Any]:
    """Print the tables; return them as JSON values."""
    values = {
        "clocks": found.plan.clocks,
        "rows": found.rows,
        "processors": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "restart": restart(found),
        "lateness_ms": lateness(found),
        "firing_cpu_us": {
            name: 1e6 * seconds / (found.plan.rounds * found.plan.firings)
            for name, seconds in found.firing_cpu_s.items()
        },
        "resident_mb": found.resident_mb,
        "effects": effects(found),
        "change": {"started": change(found.started), "ended": change(found.ended), **found.costs},
    }
    _print(values, console)
    return values


def restart(found: Measured) -> dict[str, float]:
    """Seconds from the start of the process."""
    steps = {name: at - found.spawned for name, at in found.member["steps"].items()}
    overdue = sorted(seen for _, _, seen in found.seen.firings)[:OVERDUE]
    return steps | {
        "first firing seen": overdue[0] - found.spawned,
        f"all {OVERDUE} overdue seen": overdue[-1] - found.spawned,
    }


def lateness(found: Measured) -> list[dict[str, Any]]:
    """Of each thing that follows a deadline, medians over the blocks of its quantiles, and the ratio to the heap's."""
    plan = found.plan
    ours = [
        [f for f in found.member["firings"] if start <= f[0] < start + plan.seconds] for start in found.starts
    ]
    seen = [
        [at - due for _, due, at in found.seen.firings if start <= due < start + plan.seconds]
        for start in found.starts
    ]
    firings = [at - due for due, at in found.fired]
    heap = [firings[n : n + plan.firings] for n in range(0, len(firings), plan.firings)]
    floor = _quantiles(heap)
    rows = [{"what": "bare heap", **floor}]
    for what, blocks in (
        ("handled", [[handled - due for due, handled, _ in block] for block in ours]),
        ("committed", [[committed - due for due, _, committed in block] for block in ours]),
        ("seen by a reader of the topic", seen),
    ):
        row = _quantiles(blocks)
        rows.append(
            {"what": what, **row, **{f"ratio_{name}": row[name] / floor[name] for name in ("p50", "p99")}}
        )
    return rows


def _quantiles(blocks: Sequence[Sequence[float]]) -> dict[str, float]:
    return {
        name: statistics.median(1000 * percentile(block, q) for block in blocks)
        for name, q in QUANTILES.items()
    }


def effects(found: Measured) -> dict[str, int]:
    """Firings that should have been, those that never were, those that were twice."""
    counts = Counter(name for name, _, _ in found.seen.firings)
    wanted = found.plan.before + found.plan.rounds * found.plan.firings
    return {
        "due": wanted,
        "missed": wanted - len(counts),
        "doubled": sum(count - 1 for count in counts.values()),
    }


def change(changed: Changed) -> dict[str, float]:
    return {"clocks_per_second": changed.clocks / changed.seconds} | {
        f"{name}_cpu_us": 1e6 * spent / changed.clocks for name, spent in changed.cpu.items()
    }


def _print(values: dict[str, Any], console: Console) -> None:
    console.print(f"{values['clocks']:,} open clocks, {values['rows']['timer']:,} timers")
    table = Table("step", "s", title="from the start of the process")
    for name, seconds in values["restart"].items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    table = Table("what", "p50", "p99", "max", "ratio p50", "p99", title="milliseconds after the deadline; medians over the blocks")  # fmt: skip
    for row in values["lateness_ms"]:
        ratios = [f"{row[name]:.1f}" if name in row else "" for name in ("ratio_p50", "ratio_p99")]
        table.add_row(row["what"], *(f"{row[name]:.2f}" for name in QUANTILES), *ratios)
    console.print(table)
    spent = ", ".join(f"{name} {us:.0f}" for name, us in values["firing_cpu_us"].items())
    console.print(f"CPU us a firing: {spent}")
    table = Table("what", "clocks/s", "service CPU us", "database CPU us", title="a clock")
    for name in ("started", "ended"):
        row = values["change"][name]
        table.add_row(
            name,
            f"{row['clocks_per_second']:.0f}",
            f"{row['service_cpu_us']:.0f}",
            f"{row.get('postgres_cpu_us', float('nan')):.0f}",
        )
    console.print(table)
    console.print(
        f"in a bare heap a timer is set in {values['change']['set_us']:.2f} us and cancelled in {values['change']['cancel_us']:.2f} us"
    )
    console.print(
        "resident MB: " + ", ".join(f"{name} {mb:.0f}" for name, mb in values["resident_mb"].items())
    )
    console.print("firings: " + ", ".join(f"{count:,} {name}" for name, count in values["effects"].items()))
    for bound in bounds(values):
        console.print(bound)


def bounds(values: dict[str, Any]) -> list[str]:
    """A sentence for each bound."""
    first, late = values["restart"]["first firing seen"], values["lateness_ms"][1]["p99"]
    return [
        f"first firing under {RESTART_BOUND_S:g} s after the start: {_said(first < RESTART_BOUND_S)}",
        f"p99 of handling under {P99_BOUND_MS:g} ms after the deadline: {_said(late < P99_BOUND_MS)}",
    ]


def _said(held: bool) -> str:
    return "reached" if held else "NOT reached"
