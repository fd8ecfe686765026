"""This file compares what was decided with what is decided again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest

from libs.contracts.payloads.base import Payload
from libs.contracts.topics import topic_of_type
from libs.flow.flow import Flow
from libs.flow.recording import Recording
from libs.workspace import Workspace
from services.router.assignment.flow import flow as assignment_flow
from services.router.replay.decisions import Decision, decisions
from services.router.replay.lane import Lane
from services.router.replay.recording import WRITTEN, lanes
from services.router.replay.rows import LaneRows
from services.router.replay.turn import Made


@dataclass(frozen=True, slots=True)
class Difference:
    """One event that came out otherwise; None on the side that has none. `at` is when it was decided."""

    lane: int
    at: datetime
    recorded: Payload | None
    again: Payload | None


@dataclass
class Comparison:
    """`events` were compared, of so many `decisions`. `left` inputs came after the last recorded decision of their lane."""

    workspace: str
    decisions: int = 0
    events: int = 0
    left: int = 0
    answers: int = 0
    """Decisions that followed from what an allocation hook had answered; it was not asked again."""
    versions: Counter[str] = field(default_factory=Counter)
    """Policy versions that the recorded events name."""
    differences: list[Difference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return not self.differences


def compare(
    recording: Recording,
    workspace: Workspace,
    advance: Callable[[int, int], object] | None = None,
    begin: Sequence[LaneRows] = (),
) -> Comparison:
    """Decide everything again under the workspace, from what the tables held at the beginning. `advance` is told decisions made again, of how many.

    Raises RecordingError where the recording does not hold what that needs.
    """
    flow: Flow = assignment_flow(workspace)
    topics = frozenset(topic for topic in WRITTEN if topic in recording.topics)
    found = Comparison(workspace.version)
    rows = {of_lane.lane: of_lane for of_lane in begin}
    by_lane = {
        lane: decisions(recording, lane, rows[lane].next_seq if lane in rows else 0)
        for lane in lanes(recording)
    }
    total = sum(map(len, by_lane.values()))
    for index, of_lane in by_lane.items():
        lane = Lane(flow, recording, index, rows.get(index))
        for decision in of_lane:
            made = [m for m in lane.again(decision) if topic_of_type()[m.payload.type].name in topics]
            found.decisions += 1
            found.events += len(decision.events)
            found.versions.update(_version(event.data) for event in decision.events if _version(event.data))
            found.differences += _differences(index, decision, made)
            if advance is not None:
                advance(found.decisions, total)
        found.left += lane.left
        found.answers += lane.answers
    return found


def _differences(lane: int, decision: Decision, made: list[Made]) -> list[Difference]:
    """The version apart: it names the whole file, of which a newer build may know more than was decided by."""
    found = []
    for event, again in zip_longest(decision.events, made):
        payload = again.payload if again else None
        if event and again:
            payload = _under(_version(event.data), again.payload)
            if (event.key, event.data, event.envelope.time) == (again.key, payload, again.at):
                continue
        found.append(Difference(lane, decision.decided.at, event.data if event else None, payload))
    return found


def _under(version: str, payload: Payload) -> Payload:
    explanation = getattr(payload, "explanation", None)
    if explanation is None or explanation.policy_version == version:
        return payload
    return payload.model_copy(
        update={"explanation": explanation.model_copy(update={"policy_version": version})}
    )


def _version(payload: Payload) -> str:
    explanation = getattr(payload, "explanation", None)
    return explanation.policy_version if explanation is not None else ""
