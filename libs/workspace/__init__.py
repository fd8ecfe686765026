"""The business configuration: inboxes, queues, pools, agents, calendars and SLA policies, read from one YAML file.

`load(path)` gives a frozen Workspace or raises one WorkspaceError that names every mistake with file, line and column.
Read in this order: model.py (what there is), schema.py (how it is written), reading.py (how a value becomes a problem).
"""

from libs.workspace.credentials import Secret
from libs.workspace.load import load
from libs.workspace.model import (
    Agent,
    AllocationHook,
    Calendar,
    Escalation,
    Holidays,
    Inbox,
    Match,
    OwnDay,
    Pool,
    ProviderOptions,
    Queue,
    Relaxation,
    SlaPolicy,
    Span,
    Terms,
    Workspace,
)
from libs.workspace.problems import Problem, WorkspaceError

__all__ = [
    "Agent",
    "AllocationHook",
    "Calendar",
    "Escalation",
    "Holidays",
    "Inbox",
    "Match",
    "OwnDay",
    "Pool",
    "Problem",
    "ProviderOptions",
    "Queue",
    "Relaxation",
    "Secret",
    "SlaPolicy",
    "Span",
    "Terms",
    "Workspace",
    "WorkspaceError",
    "load",
]
