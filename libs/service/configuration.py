"""This file reads settings and workspace together, so that one start names every mistake in both."""

import os
from collections.abc import Sequence

from libs.service.settings import PREFIX, S, SettingsProblems, read_settings
from libs.workspace import Workspace, WorkspaceError, load

EX_CONFIG = 78
"""Exit status of a process that is configured wrongly (sysexits.h): starting it again does not help."""


class Misconfigured(ValueError):
    """The process cannot start as it is configured; `problems` names everything that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))

    def told(self, service: str) -> str:
        """The message for the person who started it."""
        return "\n  ".join([f"{service} does not start: {len(self.problems)} to put right", *self.problems])


def configuration(settings: type[S]) -> tuple[S, Workspace]:
    """Settings and workspace of a service. Raises Misconfigured."""
    problems: list[str] = []
    chosen: S | None = None
    try:
        chosen = read_settings(settings)
    except SettingsProblems as fault:
        problems += fault.problems
    workspace: Workspace | None = None
    # The workspace is looked at also when other settings are wrong.
    path = chosen.workspace if chosen is not None else os.environ.get(f"{PREFIX}WORKSPACE")
    if path:
        try:
            workspace = load(path, secrets=settings.needs_secrets, hook_secrets=settings.needs_hook_secrets)
        except WorkspaceError as fault:
            problems += map(str, fault.problems)
    if chosen is None or workspace is None:
        raise Misconfigured(problems)
    return chosen, workspace
