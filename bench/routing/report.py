"""This file prints what a campaign found: each world's scores and its comparisons by seed, and the same as JSON."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.routing.campaign import AnyWorld, Scores
from bench.routing.paired import Interval, interval, paired
from bench.routing.queueing import OFF, Finding
from bench.routing.score import Score

COLUMNS: Mapping[str, tuple[Callable[[Score], float], str]] = {
    "VIP %": (lambda s: 100 * s.breach_vip, ".2f"),
    "worst pool %": (lambda s: 100 * s.worst_pool, ".1f"),
    "late by s": (lambda s: s.tardiness, ".2f"),
    "gave up %": (lambda s: 100 * s.abandoned, ".2f"),
    "ASA s": (lambda s: s.asa_ch0, ".1f"),
    "p95 s": (lambda s: s.p95_ch0, ".0f"),
    "longest s": (lambda s: s.longest_wait, ".0f"),
    "level 4+ %": (lambda s: 100 * s.good_match, ".0f"),
    "last agent %": (lambda s: 100 * s.affinity, ".1f"),
    "busy %": (lambda s: 100 * s.utilisation, ".0f"),
    "Jain": (lambda s: s.jain, ".3f"),
    "Gini": (lambda s: s.gini, ".3f"),
}
"""Beside the breaches, means over the seeds. ASA and p95 are of the first channel (voice, chat)."""

COMPARED: Mapping[str, tuple[str, Callable[[Score], float]]] = {
    "VIP points": ("breach_vip", lambda s: 100 * s.breach_vip),
    "worst pool points": ("worst_pool", lambda s: 100 * s.worst_pool),
    "late by s": ("tardiness", lambda s: s.tardiness),
}
"""What may not get worse while the breaches get fewer."""

ByPolicy = Mapping[str, Mapping[int, Score]]


def report(scores: Scores, baselines: Sequence[str], console: Console) -> dict[str, Any]:
    """Print two tables for each world; return all as JSON values."""
    worlds: dict[AnyWorld, dict[str, dict[int, Score]]] = {}
    for (world, run), by_seed in scores.items():
        worlds.setdefault(world, {})[run.policy] = by_seed
    values = {}
    for world, found in worlds.items():
        console.print(_scores(world, found))
        if len(found) > 1:
            console.print(_comparisons(world, found, baselines))
        values[str(world)] = _values(found, baselines)
    return values


def _scores(world: AnyWorld, found: ByPolicy) -> Table:
    seeds = len(next(iter(found.values())))
    title = f"{world}, {seeds} seeds: means; breaches with their 95 % confidence interval"
    table = Table("policy", "breach %", "median", *COLUMNS, title=title)
    for policy, by_seed in found.items():
        breaches = [100 * s.breach for s in by_seed.values()]
        shown = (
            f"{statistics.fmean(pick(s) for s in by_seed.values()):{form}}" for pick, form in COLUMNS.values()
        )
        table.add_row(policy, _text(interval(breaches)), f"{statistics.median(breaches):.2f}", *shown)
    return table


def _comparisons(world: AnyWorld, found: ByPolicy, baselines: Sequence[str]) -> Table:
    title = f"{world}, paired by seed: mean differences with their 95 % confidence interval"
    table = Table(
        *("policy", "against", "breach points", "ratio", "worse on", "median points", *COMPARED), title=title
    )
    for policy, by_seed in found.items():
        for baseline in baselines:
            if baseline == policy:
                continue
            theirs = found[baseline].values()
            result = paired([100 * s.breach for s in by_seed.values()], [100 * s.breach for s in theirs])
            others = (
                _text(paired([pick(s) for s in by_seed.values()], [pick(s) for s in theirs]).difference)
                for _, pick in COMPARED.values()
            )
            table.add_row(
                policy,
                baseline,
                _text(result.difference),
                _text(result.ratio),
                f"{result.worse}/{result.seeds}",
                f"{result.median:+.2f}",
                *others,
            )
    return table


def _values(found: ByPolicy, baselines: Sequence[str]) -> dict[str, Any]:
    return {
        policy: {
            "breach": asdict(interval([s.breach for s in by_seed.values()])),
            "median_breach": statistics.median(s.breach for s in by_seed.values()),
            "against": {
                baseline: {
                    measure: asdict(
                        paired(
                            [getattr(s, measure) for s in by_seed.values()],
                            [getattr(s, measure) for s in found[baseline].values()],
                        )
                    )
                    for measure in ("breach", *(name for name, _ in COMPARED.values()))
                }
                for baseline in baselines
                if baseline != policy
            },
            "by_seed": {seed: asdict(s) for seed, s in by_seed.items()},
        }
        for policy, by_seed in found.items()
    }


def report_lines(found: Sequence[Finding], console: Console) -> bool:
    """Print the simulation beside the closed forms; whether none is off."""
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
            f"[red]{OFF}[/red]" if finding.verdict == OFF else finding.verdict,
        )
    console.print(table)
    return all(finding.verdict != OFF for finding in found)


def _text(value: Interval) -> str:
    return f"{value.mean:.2f} ±{value.half_width:.2f}"
