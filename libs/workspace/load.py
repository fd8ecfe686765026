"""This file loads a workspace: YAML to nodes, nodes to values, references checked, version computed."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import yaml

from libs.contracts.ids import digest
from libs.workspace.credentials import Secret, resolve, unresolved
from libs.workspace.model import Workspace
from libs.workspace.problems import Problem, WorkspaceError
from libs.workspace.reach import check_reach
from libs.workspace.reading import Place, Reading, Unusable, check_references
from libs.workspace.schema import OPTIONAL_SECTIONS, SECTIONS, Document, document

_OWN_NAME = re.compile(r"(?<=alias|andle|nchor) .*", re.S)


def load(
    path: Path | str,
    environ: Mapping[str, str] = os.environ,
    *,
    secrets: bool = True,
    hook_secrets: bool | None = None,
) -> Workspace:
    """The workspace in the file. Raises WorkspaceError naming every mistake at once.

    With `secrets` False references are checked for their form and not resolved: for a process that has no use for
    credentials and need not be given them. `hook_secrets` says so of the allocation hooks' alone; None: as `secrets`.
    """
    path = Path(path)
    root = _compose(path)
    reading = Reading(str(path))
    known = partial(resolve, folder=path.parent, environ=environ)
    hooks_known = secrets if hook_secrets is None else hook_secrets
    read = document(known if secrets else unresolved, known if hooks_known else unresolved)
    found: Document | None
    try:
        found = reading.read(read, Place(root, ""))
    except Unusable:
        found = None
    check_references(reading, _declared(root))
    check_reach(reading, root)
    if found is not None:
        _check_pools(reading, root, found)
        _check_supervisors(reading, root, found)
        _check_relaxing(reading, root, found)
    if reading.problems or found is None:
        raise WorkspaceError(reading.problems)
    return _complete(found)


def _compose(path: Path) -> yaml.Node:
    """The root node. yaml.compose rather than safe_load, because nodes know their line and column."""
    file = str(path)
    try:
        root: yaml.Node | None = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as fault:
        raise _whole_file(
            file, f"expected a readable file ({fault.strerror or type(fault).__name__})"
        ) from None
    except UnicodeDecodeError:
        raise _whole_file(file, "expected text in UTF-8") from None
    except RecursionError:  # PyYAML recurses by nesting
        raise _whole_file(file, "expected less nesting") from None
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        # A secret that begins with *, & or ! is an alias, anchor or tag to YAML, and PyYAML repeats it.
        said = _OWN_NAME.sub("", fault.problem or "a mistake")
        raise WorkspaceError([Problem(file, line, column, "", said, "expected well-formed YAML")]) from None
    except yaml.YAMLError:
        raise _whole_file(file, "expected well-formed YAML of printable characters") from None
    if root is None:
        raise _whole_file(file, "expected a workspace, not an empty file")
    return root


def _whole_file(file: str, expected: str) -> WorkspaceError:
    return WorkspaceError([Problem(file, 0, 0, "", "", expected)])


def _declared(root: yaml.Node) -> dict[str, list[str]]:
    """Section -> ids that stand in it, also those with mistakes of their own: one mistake is told once."""
    declared: dict[str, list[str]] = {section: [] for section in OPTIONAL_SECTIONS}
    if isinstance(root, yaml.MappingNode):
        for key, section in root.value:
            if key.value in SECTIONS and isinstance(section, yaml.MappingNode):
                ids = declared.setdefault(key.value, [])
                ids += [name.value for name, _ in section.value if isinstance(name, yaml.ScalarNode)]
    return declared


def _check_pools(reading: Reading, root: yaml.Node, found: Document) -> None:
    """An agent serves queues of its own pool: matching happens inside one pool."""
    for agent in found.agents.values():
        for number, queue in enumerate(agent.queues):
            if queue in found.queues and found.queues[queue].pool != agent.pool:
                place = _walk(root, ("agents", agent.id, "queues", number))
                own = found.queues[queue].pool
                reading.report(
                    place, f"expected a queue of pool {agent.pool}; {queue} is served by pool {own}"
                )


def _check_supervisors(reading: Reading, root: yaml.Node, found: Document) -> None:
    """An escalation hands a conversation, whatever the capacity says, only to somebody whose work that is."""
    for policy in found.sla_policies.values():
        for number, step in enumerate(policy.escalate):
            agent = found.agents.get(step.assign_supervisor or "")
            if agent is not None and agent.role != "supervisor":
                keys = ("sla_policies", policy.id, "escalate", number, "assign_supervisor")
                reading.report(_walk(root, keys), "expected an agent whose role is supervisor")


def _check_relaxing(reading: Reading, root: yaml.Node, found: Document) -> None:
    """Steps add queues of the queue's own pool, and join other pools; these are offered work, and ask for none."""
    for queue in found.queues.values():
        for number in range(len(queue.relax)):
            keys = ("queues", queue.id, "relax", number)
            named = {key.value: node for key, node in _walk(root, keys).node.value}
            for index, node in enumerate(named["queues"].value if "queues" in named else ()):
                pool = found.queues[node.value].pool if node.value in found.queues else queue.pool
                if pool != queue.pool:
                    told = f"expected a queue of pool {queue.pool}; all agents of pool {pool} join by pools: [{pool}]"
                    reading.report(_walk(root, (*keys, "queues", index)), told)
            for index, node in enumerate(named["pools"].value if "pools" in named else ()):
                place = _walk(root, (*keys, "pools", index))
                if node.value == queue.pool:
                    reading.report(place, "expected another pool; this is the queue's own")
                elif queue.mode != "push":
                    reading.report(
                        place, f"expected no pool, since the queue's mode is {queue.mode}, not push"
                    )


def _walk(root: yaml.Node, keys: tuple[str | int, ...]) -> Place:
    node, path = root, ""
    for key in keys:
        if isinstance(key, int):
            node, path = node.value[key], f"{path}[{key}]"
        else:
            node = next(value for name, value in node.value if name.value == key)
            path = f"{path}.{key}" if path else key
    return Place(node, path)


def _complete(found: Document) -> Workspace:
    agents = {
        agent.id: agent
        if agent.queues
        else replace(agent, queues=tuple(q.id for q in found.queues.values() if q.pool == agent.pool))
        for agent in found.agents.values()
    }
    workspace = Workspace(
        id=found.id,
        inboxes=found.inboxes,
        queues=found.queues,
        pools=found.pools,
        agents=agents,
        calendars=found.calendars,
        sla_policies=found.sla_policies,
    )
    return replace(workspace, version=version_of(workspace))


def version_of(workspace: Workspace) -> str:
    """A short hash of the content in one canonical form; secrets count by reference only.

    Of a hook that is not there nothing counts, so that recordings of workspaces without one keep their version.
    """
    content = asdict(workspace) | {"version": ""}
    for place in (*content["pools"].values(), *content["queues"].values()):
        if place["allocation_hook"] is None:
            del place["allocation_hook"]
    for queue in content["queues"].values():
        for step in queue["relax"]:
            # What a file does not say is no part of its version: decisions that are recorded with it name that.
            if not step["pools"]:
                del step["pools"]
    return digest(json.dumps(content, sort_keys=True, default=_canonical), size=7)


def _canonical(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case date():
            return value.isoformat()
        case Secret():
            return value.reference
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form")
