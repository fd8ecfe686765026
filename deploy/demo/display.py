"""This file shows a run: a live table on a terminal, plain lines elsewhere, and the reconciliation at the end."""

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from deploy.demo.agents import Team
from deploy.demo.ledger import Ledger, percentile
from deploy.demo.reconcile import Finding

LINE_EVERY = 5.0
"""Seconds between lines where there is no terminal."""
OFFENDERS_SHOWN = 10


class Display:
    """Shows the figures while it is entered. `refresh` is called often and cheap."""

    def __init__(self, console: Console, ledger: Ledger, team: Team, addresses: Sequence[str]) -> None:
        self._console, self._ledger, self._team, self._addresses = console, ledger, team, addresses
        self._began = time.monotonic()
        self._last_line = 0.0
        self._live = (
            Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        )

    def __enter__(self) -> Self:
        for address in self._addresses:
            self._console.print(address, highlight=False, markup=False, soft_wrap=True)
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refresh("done", force=True)
        if self._live:
            self._live.stop()

    def refresh(self, phase: str, *, force: bool = False) -> None:
        if self._live:
            self._live.update(self._table(phase))
        elif force or time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            line = ", ".join(f"{name} {value}" for name, value in self._figures())
            self._console.print(
                f"{self._seconds:5.1f} s  {phase}: {line}", highlight=False, markup=False, soft_wrap=True
            )

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _table(self, phase: str) -> RenderableType:
        table = Table(
            title=f"Sambung demo — {phase}, {self._seconds:.0f} s", title_justify="left", show_header=False
        )
        table.add_column(style="bold")
        table.add_column(justify="right")
        for name, value in self._figures():
            table.add_row(name, value)
        return table

    def _figures(self) -> list[tuple[str, str]]:
        ledger, watch = self._ledger, self._team.watch
        times = ledger.latencies()
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        posted = sum(message.posts > 0 for message in ledger.incoming.values())
        return [
            ("messages in", str(posted)),
            ("acknowledged", str(sum(1 for _ in ledger.acknowledged()))),
            ("posted twice", str(ledger.duplicates)),
            ("conversations", f"{len(watch.conversations)} ({watch.open} open)"),
            ("waiting", str(watch.waiting)),
            ("assigned", f"{len(watch.assigned)} ({watch.held} held)"),
            (
                "answered",
                f"{len(watch.answered)} ({len(ledger.outgoing)} sent, {ledger.receipts_acknowledged} receipts)",
            ),
            ("SLA warnings", str(len(watch.warned))),
            ("SLA breaches", str(len(watch.breached))),
            ("webhook→screen", f"p50 {_ms(p50)}, p99 {_ms(p99)} of {len(times)}"),
        ]


def show_findings(console: Console, findings: Sequence[Finding]) -> bool:
    """The reconciliation; returns whether every promise was kept."""
    table = Table(title="Reconciliation", title_justify="left")
    table.add_column("promise")
    table.add_column("checked", justify="right")
    table.add_column("broken", justify="right")
    for finding in findings:
        style = "red" if finding.offenders else "green"
        table.add_row(finding.promise, str(finding.checked), str(len(finding.offenders)), style=style)
    console.print(table)
    for finding in findings:
        for offender in finding.offenders[:OFFENDERS_SHOWN]:
            console.print(
                f"  {finding.promise}: {offender}", style="red", highlight=False, markup=False, soft_wrap=True
            )
        if (more := len(finding.offenders) - OFFENDERS_SHOWN) > 0:
            console.print(f"  … and {more} more", style="red")
    return not any(finding.offenders for finding in findings)


def _ms(seconds: float | None) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds is not None else "-"
