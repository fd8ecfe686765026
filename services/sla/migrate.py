"""This file moves open clocks to the newest version of their calendar: `python -m services.sla.migrate --calendar kantor`.

Without `--yes` nothing is changed: a table says what would be. Time used up so far stays used up, and a breach stays where it
is. The orders are events of the log; the service carries them out in their order, and says clock.retargeted.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from libs.contracts.payloads.commands import MigrateClocks
from libs.flow.database import Database, DatabaseAway
from libs.flow.publisher import Publisher, PublishFailed, first_hand
from libs.flow.wire import Outgoing
from libs.service.configuration import EX_CONFIG, Misconfigured, configuration
from libs.timesource import SystemTime, TimeSource, random_token
from libs.workspace import Workspace
from services.sla.calendars import KnownCalendars
from services.sla.migrating import Moved, moved, open_clocks
from services.sla.settings import Settings
from services.sla.store import Reads

SOURCE = "/sla-operator/"
SHOWN = 200
"""Rows of the table at most."""
AT_ONCE = 1_000
"""Orders that are acknowledged together."""

console = Console()


def migrate(
    calendar: Annotated[str, typer.Option(help="the id of a calendar in the workspace")],
    yes: Annotated[bool, typer.Option(help="give the orders; without it only the table is shown")] = False,
    operator: Annotated[str, typer.Option(help="who orders it, for the record")] = "operator",
) -> None:
    """Move open clocks to the newest version of a calendar."""
    try:
        settings, workspace = configuration(Settings)
    except Misconfigured as fault:
        console.print(fault.told("migrate"), style="red")
        raise typer.Exit(EX_CONFIG) from None
    if calendar not in workspace.calendars:
        console.print(f"the workspace has no calendar {calendar}", style="red")
        raise typer.Exit(2)
    try:
        asyncio.run(_run(settings, workspace, calendar, operator if yes else None))
    except (DatabaseAway, PublishFailed) as fault:
        console.print(f"not done, or not all of it: {fault}; it can be given again", style="red")
        raise typer.Exit(1) from None


async def _run(settings: Settings, workspace: Workspace, calendar: str, operator: str | None) -> None:
    time = SystemTime()
    database = Database(settings.postgres, "sla", application="sambung-sla-migrate")
    try:
        known = KnownCalendars(workspace)
        rows = await open_clocks(Reads(database), workspace, calendar, known)
        found = list(moved(rows, workspace, known, time.now()))
    finally:
        await database.stop()
    console.print(table(found))
    if operator is None or not found:
        console.print(f"{len(found)} open clocks; nothing was changed" + (", --yes does it" if found else ""))
        return
    publisher = Publisher(settings.kafka, "sambung-sla-migrate", time=time)
    try:
        records = orders(found, operator, run=random_token(8), time=time)
        for first in range(0, len(records), AT_ONCE):
            await publisher.publish(records[first : first + AT_ONCE])
    finally:
        await publisher.stop()
    console.print(f"{len(records)} conversations are ordered to migrate")


def orders(found: Sequence[Moved], operator: str, *, run: str, time: TimeSource) -> list[Outgoing]:
    """One for each conversation."""
    conversations = {one.conversation_id: one.contact_point_id for one in found}
    return [
        first_hand(
            MigrateClocks(conversation_id=name, contact_point_id=point, ordered_by=operator),
            key=point,
            source=SOURCE + operator,
            id=f"{run}/{name}",
            at=time.now(),
            correlation=name,
        )
        for name, point in conversations.items()
    ]


def table(found: Sequence[Moved]) -> Table:
    shown = Table("conversation", "metric", "policy", "due", "due after", "moved by")
    for one in found[:SHOWN]:
        by = (
            str(one.due_after - one.due_at)
            if one.due_after >= one.due_at
            else f"-{one.due_at - one.due_after}"
        )
        shown.add_row(
            one.conversation_id, one.metric, one.policy, f"{one.due_at:%F %T}", f"{one.due_after:%F %T}", by
        )
    if len(found) > SHOWN:
        shown.add_row("…", f"{len(found) - SHOWN} more")
    return shown


if __name__ == "__main__":
    typer.run(migrate)
