"""This file keeps the gauges of what waits to be sent."""

from contextlib import suppress

from libs.flow.database import Database, DatabaseAway, queries
from libs.timesource import TimeSource
from services.delivery import metrics

EVERY = 5.0
"""Seconds between looks; the figures are for alerts on minutes."""


async def watch_waiting(database: Database, time: TimeSource) -> None:
    """Follow the table for as long as the process lives."""
    waiting = queries("services.delivery")["waiting"]
    known: set[str] = set()
    while True:
        with suppress(DatabaseAway):
            rows = {row["inbox_id"]: row for row in await database.fetch(waiting)}
            for inbox in known - rows.keys():
                metrics.WAITING.labels(inbox).set(0)
                metrics.OLDEST.labels(inbox).set(0)
            for inbox, row in rows.items():
                metrics.WAITING.labels(inbox).set(row["messages"])
                metrics.OLDEST.labels(inbox).set(row["oldest"])
            known |= rows.keys()
        await time.sleep(EVERY)
