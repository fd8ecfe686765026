"""This file compares the clocks that were told with those that the same policies make of the same traffic."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from libs.contracts.payloads.sla import ClockStarted
from libs.workspace import Workspace
from services.sla.dryrun.courses import Course, told
from services.sla.dryrun.traffic import Traffic
from services.sla.dryrun.trying import tried

EDGE = timedelta(seconds=5)
"""What happened so shortly before the recording's end may not have been told yet."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A clock that came out otherwise; None on the side that has none."""

    clock_id: str
    told: Course | None
    again: Course | None

    @property
    def unlike(self) -> tuple[str, ...]:
        """Names of what is not equal, where both sides have the clock."""
        if self.told is None or self.again is None:
            return ()
        return tuple(
            name for name in Course.__slots__ if getattr(self.told, name) != getattr(self.again, name)
        )


@dataclass
class Comparison:
    workspace: str
    clocks: int = 0
    """Compared."""
    differences: list[Difference] = field(default_factory=list)
    edge: int = 0
    """Clocks that differ by what happened just before the end."""
    begun_before: int = 0
    """Clocks of conversations that were opened before the recording: what they come from is not known."""
    versions: Counter[str] = field(default_factory=Counter)
    """Of the workspace, that were told."""

    @property
    def same(self) -> bool:
        return not self.differences


def compare(traffic: Traffic, workspace: Workspace) -> Comparison:
    found, whole = Comparison(workspace.version), traffic.opened
    said, again = told(traffic.told), tried(traffic, workspace)
    for event in traffic.told:
        if isinstance(event, ClockStarted) and event.policy_version:
            found.versions[event.policy_version] += 1
    for name in sorted(said.keys() | again.keys()):
        difference = Difference(name, said.get(name), again.get(name))
        sides = [side for side in (difference.told, difference.again) if side is not None]
        if sides[0].conversation_id not in whole:
            found.begun_before += 1
        elif difference.told == difference.again:
            found.clocks += 1
        elif max(moment for side in sides for moment in side.moments) > traffic.end - EDGE:
            found.edge += 1
        else:
            found.clocks += 1
            found.differences.append(difference)
    return found
