"""This file prints what a campaign found: a table for each world, and the same as JSON."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.routing.campaign import Scores, WorldName
from bench.routing.paired import Interval, interval, paired
from bench.routing.queueing import Finding
from bench.routing.score import Score

COLUMNS: Mapping[str, tuple[str, Callable[[Score], float], str]] = {
    "VIP %": ("breach_vip", lambda s: 100 * s.breach_vip, ".2f"),
    "worst pool %": ("worst_pool", lambda s: 100 * s.worst_pool, ".1f"),
    "late by s": ("tardiness", lambda s: s.tardiness, ".2f"),
    "gave up %": ("abandoned", lambda s: 100 * s.abandoned, ".2f"),
    "ASA s": ("asa_ch0", lambda s: s.asa_ch0, ".1f"),
    "p95 s": ("p95_ch0", lambda s: s.p95_ch0, ".0f"),
    "level 4+ %": ("good_match", lambda s: 100 * s.good_match, ".0f"),
    "last agent %": ("affinity", lambda s: 100 * s.affinity, ".1f"),
    "busy %": ("utilisation", lambda s: 100 * s.utilisation, ".0f"),
    "Jain": ("jain", lambda s: s.jain, ".3f"),
    "Gini": ("gini", lambda s: s.gini, ".3f"),
}
"""Heading, measure, how it is shown. ASA and p95 are of the first channel (voice, chat)."""


def report(scores: Scores, baseline: str, console: Console) -> dict[str, Any]:
    """Print a table for each world, each policy beside the baseline on the same seeds; return all as JSON values."""
    worlds: dict[WorldName, dict[str, dict[int, Score]]] = {}
    for (world, run), by_seed in scores.items():
        worlds.setdefault(world, {})[run.policy] = by_seed
    return {str(world): _world(world, found, baseline, console) for world, found in worlds.items()}


def _world(
    world: WorldName, found: Mapping[str, dict[int, Score]], baseline: str, console: Console
) -> dict[str, Any]:
    seeds = list(next(iter(found.values())))
    against = f"against {baseline}: points, ratio"
    table = Table(
        *("policy", "breach %", "median", *COLUMNS, against, "worse on"),
        title=f"{world}, {len(seeds)} seeds; means with their 95 % confidence intervals",
    )
    values: dict[str, Any] = {"seeds": seeds, "policies": {}}
    base = [s.breach for s in found[baseline].values()] if baseline in found else None
    for policy, by_seed in found.items():
        breaches = [s.breach for s in by_seed.values()]
        shown = [policy, _percent(interval(breaches)), f"{100 * statistics.median(breaches):.2f}"]
        for _, pick, form in COLUMNS.values():
            shown.append(f"{statistics.fmean(pick(s) for s in by_seed.values()):{form}}")
        entry: dict[str, Any] = {
            "breach": asdict(interval(breaches)),
            "median_breach": statistics.median(breaches),
            "by_seed": {seed: asdict(s) for seed, s in by_seed.items()},
        }
        if base is not None and policy != baseline:
            difference = paired(breaches, base)
            ratio = difference.ratio
            shown += [
                f"{_percent(difference.difference)}, {ratio.mean:.2f} ±{ratio.half_width:.2f}",
                f"{difference.worse}/{difference.seeds}",
            ]
            entry["paired"] = asdict(difference)
        table.add_row(*shown)
        values["policies"][policy] = entry
    console.print(table)
    return values


def report_lines(found: Sequence[Finding], console: Console) -> bool:
    """Print the simulation beside the closed forms; whether all are within tolerance."""
    table = Table(
        "queue", "measure", "closed form", "simulated", "off by %", "", title="against closed forms"
    )
    for finding in found:
        mean, half = finding.found.mean, finding.found.half_width
        table.add_row(
            finding.line,
            finding.measure,
            f"{finding.exact:.4f}",
            f"{mean:.4f} ±{half:.4f}",
            f"{100 * finding.off:+.2f} ±{100 * half / finding.exact:.2f}",
            "within 2 %" if finding.within_tolerance else "[red]OFF[/red]",
        )
    console.print(table)
    return all(finding.within_tolerance for finding in found)


def _percent(value: Interval) -> str:
    return f"{100 * value.mean:.2f} ±{100 * value.half_width:.2f}"
