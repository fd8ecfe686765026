"""This file tells how many clocks are open, over all processes: the sums of what each lane counts."""

from datetime import timedelta

import structlog

from libs.flow.database import DatabaseAway
from libs.timesource import TimeSource
from services.sla import metrics
from services.sla.store import Reads

log = structlog.get_logger(__name__)

EVERY = 10.0
RECOUNT_EVERY = 3600.0
"""Seconds between countings of the clocks themselves; they read all open ones."""
SOON = timedelta(minutes=5)


async def watch_open_clocks(reads: Reads, time: TimeSource) -> None:
    """For ever; an outage of the database leaves the last figures standing."""
    recount = time.monotonic()
    while True:
        try:
            if time.monotonic() >= recount:
                await reads.recount()
                recount = time.monotonic() + RECOUNT_EVERY
            await count_open_clocks(reads, time)
        except DatabaseAway as fault:
            log.warning("open clocks were not counted", fault=str(fault)[:200])
        await time.sleep(EVERY)


async def count_open_clocks(reads: Reads, time: TimeSource) -> None:
    now = time.now()
    rows = await reads.open_clocks(now, now + SOON)
    for gauge in (metrics.OPEN, metrics.DUE, metrics.OVERDUE):
        gauge.clear()
    for row in rows:
        metrics.OPEN.labels(row["metric"], row["policy"]).set(row["open"])
        metrics.DUE.labels(row["metric"], row["policy"]).set(row["due"])
        metrics.OVERDUE.labels(row["metric"], row["policy"]).set(row["overdue"])
