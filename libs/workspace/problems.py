"""This file says how a mistake in a workspace file is told: where it stands, what is there, what was expected."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. Lines and columns count from 1; line 0 means the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    """Keys from the top, joined by dots."""
    value: str
    """What stands there, as text that may be printed; never a secret."""
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        said = " ".join(part for part in (self.path and f"{self.path}:", self.value) if part)
        return f"{where} {said} — {self.expected}" if said else f"{where} — {self.expected}"


class WorkspaceError(ValueError):
    """The file cannot be used. `problems` holds every mistake in it, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.column))
        super().__init__("\n".join(map(str, self.problems)))
