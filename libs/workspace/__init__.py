"""The business configuration: inboxes, queues, pools, agents and SLA policies, read from one YAML file.

`load(path)` gives a frozen Workspace or raises one WorkspaceError that names every mistake with file, line and column.
Read in this order: model.py (what there is), schema.py (how it is written), reading.py (how a value becomes a problem).
"""

from libs.workspace.credentials import Secret
from libs.workspace.load import load
from libs.workspace.model import Agent, Inbox, Pool, ProviderOptions, Queue, SlaPolicy, Workspace
from libs.workspace.problems import Problem, WorkspaceError

__all__ = [
    "Agent",
    "Inbox",
    "Pool",
    "Problem",
    "ProviderOptions",
    "Queue",
    "Secret",
    "SlaPolicy",
    "Workspace",
    "WorkspaceError",
    "load",
]
