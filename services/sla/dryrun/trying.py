"""This file folds recorded traffic into clocks, with the rules of the service."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from libs.contracts.ids import ConversationId, clock_id
from libs.workspace import Workspace
from services.sla.calendars import KnownCalendars
from services.sla.domain.clock import State
from services.sla.domain.conversation import Conversation, fold
from services.sla.domain.facts import Fact
from services.sla.domain.standing import news, standing
from services.sla.dryrun.courses import Course, computed
from services.sla.dryrun.traffic import Traffic
from services.sla.hearing import fact_of
from services.sla.policies import KnownPolicies


@dataclass
class Tally:
    """What became of the clocks of one metric and policy."""

    clocks: int = 0
    in_time: int = 0
    late: int = 0
    """Ended after their deadline."""
    overdue: int = 0
    """Open past their deadline at the end of the recording."""
    open: int = 0
    """Open before their deadline."""
    cancelled: int = 0
    """In time; a promise that became moot."""
    warned: int = 0
    steps: Counter[int] = field(default_factory=Counter)
    """By number, how often it would have been taken."""

    @property
    def breached(self) -> int:
        return self.late + self.overdue

    @property
    def kept(self) -> float | None:
        """Share of the promises that were judged, from 0 to 1."""
        judged = self.in_time + self.breached
        return self.in_time / judged if judged else None


def tried(traffic: Traffic, workspace: Workspace) -> dict[str, Course]:
    """By clock id, the clocks that the workspace's policies would have made, as they stood at the traffic's end.

    A conversation whose opening is not there has no clocks before it is reopened. Orders to migrate are passed over.
    """
    policies, calendars = KnownPolicies(workspace), KnownCalendars(workspace)
    facts: defaultdict[str, list[Fact]] = defaultdict(list)
    for event in traffic.heard:
        fact = fact_of(event, policies, calendars.current)
        if fact is not None:
            facts[event.data.conversation_id].append(fact)
    found: dict[str, Course] = {}
    for conversation, story in facts.items():
        for clock in fold(Conversation(), tuple(story)).conversation.clocks:
            name = clock_id(ConversationId(conversation), clock.metric, clock.number)
            stands = standing(clock, traffic.end, calendars.calendars)
            said = news(None, clock, stands, calendars.calendars)
            course = computed(name, conversation, clock, said)
            if course is not None:
                found[name] = course
    return found


def tallied(courses: Iterable[Course]) -> dict[tuple[str, str], Tally]:
    """By metric and policy: the one that ruled at last."""
    found: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
    for course in courses:
        tally, breached = found[course.metric, course.policy], course.breached_at is not None
        tally.clocks += 1
        match course.end:
            case None:
                tally.overdue += breached
                tally.open += not breached
            case (State.MET.value, _, _):
                tally.late += breached
                tally.in_time += not breached
            case _:
                tally.late += breached
                tally.cancelled += not breached
        tally.warned += len(course.warned)
        tally.steps.update(number for _, number, _ in course.steps)
    return dict(found)
