"""This file counts the promises over all that is known of a run: the providers' ledger, the log, the tables, the screens."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import httpx

from deploy.demo.reconcile import Finding
from deploy.demo.run import World
from libs.flow.database import Database, DatabaseAway
from tests.chaos.clocks import fired
from tests.chaos.log import Log, following
from tests.chaos.replies import replies
from tests.chaos.stores import stores

SETTLE = 30.0
"""Seconds for the last events to reach every store."""

PROMISES = {
    "every message answered 2xx is exactly once in the timeline": "P1 P2",
    "every receipt answered 2xx is in the timeline, none twice": "P1 P2",
    "every reply that the desk took is one message, and reached its customer once": "P1 P2",
    "every event is one timeline entry, in the table and on the topic": "P2",
    "the timeline's API shows the same, page by page": "P2",
    "the router's messages are those of the log": "P2",
    "router, sla and desk hold every entity as its last event left it": "P2 P3",
    "no screen showed anything twice or out of order": "P2 P3",
    "every conversation's events are 1, 2, 3 … on the log and on the timeline": "P3",
    "no agent ever held more than the capacity": "P4",
    "no agent's load was ever above the capacity, as the desk shows it": "P4",
    "every due deadline and warning fired once, stamped with its time; no other deadline did": "P6",
}
"""Which of the design's promises a finding is about. What stands here must be counted; there may be more."""
DEMO_REPLIES = "every reply is delivered exactly once"
"""The demo's own count of replies, which knows nothing of processes killed while they send."""


async def count(running: World) -> tuple[list[Finding], list[str]]:
    """The promises, once nothing is broken any more, or as they stand when the time is up; and the repeated replies."""
    deadline = time.monotonic() + SETTLE
    database = Database(running.servers.postgres, "public", application="chaos", size=2)
    await database.start()
    try:
        async with following(running.servers.kafka) as log:
            while True:
                await log.until_quiet()
                late = time.monotonic() > deadline
                try:
                    found, repeated = await _once(running, database, log)
                except (DatabaseAway, httpx.HTTPError):
                    if late:
                        raise
                else:
                    if late or not any(finding.offenders for finding in found):
                        return labelled(found), repeated
                await asyncio.sleep(0.5)
    finally:
        await database.stop()


async def _once(running: World, database: Database, log: Log) -> tuple[list[Finding], list[str]]:
    """Raises DatabaseAway, httpx.HTTPError."""
    told, repeated = replies(running.ledger, log)
    demo = [finding for finding in await running.findings() if finding.promise != DEMO_REPLIES]
    clocks = fired(log, running.organisation.workspace, datetime.now(UTC))
    return [*demo, told, *await stores(database, log), clocks], repeated


def labelled(findings: Iterable[Finding]) -> list[Finding]:
    """The findings under the design's names of the promises, in their order; raises where one was not counted."""
    left = {finding.promise: finding for finding in findings}
    named = [replace(left.pop(promise), promise=f"{name}: {promise}") for promise, name in PROMISES.items()]
    return [*named, *left.values()]
