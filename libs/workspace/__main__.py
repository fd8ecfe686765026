"""This file checks a workspace from the command line: `python -m libs.workspace check FILE`."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Sized

from libs.workspace.load import load
from libs.workspace.model import Workspace
from libs.workspace.problems import WorkspaceError
from libs.workspace.public_holidays import public_holidays

USAGE = "usage: python -m libs.workspace check FILE"


def summary(workspace: Workspace) -> list[str]:
    """What is in the workspace, a line a section."""
    channels = Counter(inbox.channel.value for inbox in workspace.inboxes.values())
    roles = Counter[str](agent.role for agent in workspace.agents.values())
    return [
        f"workspace {workspace.id}, version {workspace.version}",
        _line("inboxes", workspace.inboxes, channels),
        _line("queues", workspace.queues),
        _line("pools", workspace.pools),
        _line("agents", workspace.agents, roles),
        _line("calendars", workspace.calendars),
        _line("sla_policies", workspace.sla_policies),
    ]


def unserved(workspace: Workspace) -> list[str]:
    """Queues whose work nobody could take even with everybody at work. Allowed, but hardly ever meant."""
    return [
        f"queue {queue.id}: no agent of pool {queue.pool} serves it with the skills it asks for"
        for queue in workspace.queues.values()
        if not any(
            queue.id in agent.queues
            and agent.capacity > 0
            and all(agent.skills.get(skill, 0) >= level for skill, level in queue.skills.items())
            for agent in workspace.agents.values()
        )
    ]


def estimated(workspace: Workspace) -> list[str]:
    """Calendars with holidays that may still move."""
    notes = []
    for calendar in workspace.calendars.values():
        found = public_holidays(calendar.holidays) if calendar.holidays else ()
        first = next((holiday for holiday in found if holiday.estimated), None)
        if first is not None:
            notes.append(
                f"calendar {calendar.id}: some holidays are estimates from {first.date} on: {first.name}; "
                "a newer release of the package holidays corrects them"
            )
    return notes


def main(arguments: Sequence[str]) -> int:
    """0 when the file is usable, 1 when it is not, 2 for wrong usage."""
    if len(arguments) != 2 or arguments[0] != "check":
        print(USAGE, file=sys.stderr)
        return 2
    try:
        workspace = load(arguments[1])
    except WorkspaceError as fault:
        print(fault, file=sys.stderr)
        print(f"{len(fault.problems)} to put right", file=sys.stderr)
        return 1
    print("\n".join(summary(workspace)))
    for warning in (*unserved(workspace), *estimated(workspace)):
        print(f"note: {warning}")
    return 0


def _line(name: str, things: Sized, kinds: Mapping[str, int] | None = None) -> str:
    told = f" ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})" if kinds else ""
    return f"  {name}: {len(things)}{told}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
