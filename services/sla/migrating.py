"""This file says which open clocks stand on an older version of a calendar, and what the newest would make of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from libs.contracts.vocabulary import Metric
from libs.workspace import Workspace
from services.sla.calendars import KnownCalendars
from services.sla.domain.clock import Clock
from services.sla.domain.conversation import Conversation, fold
from services.sla.domain.facts import Fact, Kind
from services.sla.policies import KnownPolicies
from services.sla.store import ConversationRow, Reads

_BASE: TypeAdapter[Conversation] = TypeAdapter(Conversation)
_FACTS: TypeAdapter[tuple[Fact, ...]] = TypeAdapter(tuple[Fact, ...])


@dataclass(frozen=True, slots=True)
class Moved:
    """An open clock whose deadline the newest version of its calendar moves, or leaves."""

    conversation_id: str
    contact_point_id: str
    metric: Metric
    policy: str
    due_at: datetime
    due_after: datetime


async def open_clocks(
    reads: Reads, workspace: Workspace, calendar: str, known: KnownCalendars
) -> list[ConversationRow]:
    """Conversations with open clocks that have pinned another version of the calendar. Raises KeyError where there is none so
    called, and DatabaseAway."""
    for version, definition in await reads.definitions():
        known.learn(version, definition)
    policies = [policy.id for policy in workspace.sla_policies.values() if policy.calendar == calendar]
    rows = await reads.conversations_on_other_calendars(policies, known.current(calendar))
    return [_row(row) for row in rows]


def moved(
    rows: Iterable[ConversationRow], workspace: Workspace, known: KnownCalendars, now: datetime
) -> Iterator[Moved]:
    """What an order to migrate, given now, would do."""
    policies = KnownPolicies(workspace)
    for row in rows:
        before = fold(row.base, row.facts).conversation
        newest = policies.on_newest_calendars(before.may_hold, known.current)
        fact = Fact(Kind.MIGRATED, now, round(now.timestamp() * 1_000_000), policies=newest)
        after = fold(row.base, (*row.facts, fact)).conversation
        for clock in before.running:
            changed = after.running_of(clock.metric) or clock
            if changed.calendar != clock.calendar:
                yield _moved(row, clock, changed, lambda one: one.due_at(known.calendars))


def _moved(row: ConversationRow, before: Clock, after: Clock, due: Callable[[Clock], datetime]) -> Moved:
    return Moved(
        row.conversation_id, row.contact_point_id, before.metric, before.policy, due(before), due(after)
    )


def _row(found: Any) -> ConversationRow:
    read = dict(found)
    return ConversationRow(
        **read | {"base": _BASE.validate_json(read["base"]), "facts": _FACTS.validate_json(read["facts"])}
    )
