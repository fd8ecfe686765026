"""Conversations and assignments in, SLA clocks out."""

from libs.contracts.payloads.assignments import (
    WorkAssigned,
    WorkCancelled,
    WorkCompleted,
    WorkQueued,
    WorkWrapping,
)
from libs.contracts.payloads.commands import MigrateClocks
from libs.contracts.payloads.conversations import (
    ConversationOpened,
    ConversationPrioritised,
    ConversationReopened,
    ConversationResolved,
    ConversationSnoozed,
    ConversationTagged,
    ConversationTransferred,
    MessageQueued,
    MessageReceived,
)
from libs.contracts.payloads.sla import (
    ClockBreached,
    ClockCancelled,
    ClockEscalated,
    ClockMet,
    ClockPaused,
    ClockResumed,
    ClockRetargeted,
    ClockStarted,
    ClockWarned,
)
from libs.flow.flow import Flow
from libs.service.auth import Bearer
from libs.service.background import running
from libs.service.process import App, Runtime
from libs.workspace import Workspace
from services.sla.announcing import ClockDue
from services.sla.api import routes
from services.sla.calendars import KnownCalendars
from services.sla.gauges import watch_open_clocks
from services.sla.handlers import Handlers
from services.sla.settings import Settings
from services.sla.store import Reads, SlaStore


def flow(workspace: Workspace) -> Flow:
    on, known = Handlers(workspace), KnownCalendars(workspace)
    return Flow(
        name="sla",
        schema="sla",
        gather=0.2,
        store=lambda lane: SlaStore(lane, known),
        reads={
            "conversations": {
                ConversationOpened: on.on_conversation_event,
                ConversationReopened: on.on_conversation_event,
                ConversationResolved: on.on_conversation_event,
                ConversationSnoozed: on.on_conversation_event,
                ConversationTransferred: on.on_conversation_event,
                ConversationTagged: on.on_conversation_event,
                ConversationPrioritised: on.on_conversation_event,
                MessageReceived: on.on_conversation_event,
                MessageQueued: on.on_conversation_event,
            },
            "sla-commands": {MigrateClocks: on.on_migrate_clocks},
            "assignments": {
                WorkAssigned: on.on_work_assigned,
                WorkQueued: on.on_work_given_up,
                WorkWrapping: on.on_work_given_up,
                WorkCompleted: on.on_work_given_up,
                WorkCancelled: on.on_work_given_up,
            },
        },
        timers={ClockDue: on.on_clock_due},
        emits={
            "sla": (
                ClockStarted,
                ClockPaused,
                ClockResumed,
                ClockRetargeted,
                ClockWarned,
                ClockEscalated,
                ClockBreached,
                ClockMet,
                ClockCancelled,
            )
        },
    )


def build(runtime: Runtime[Settings]) -> App:
    reads = Reads(runtime.database)
    bearer = Bearer(runtime.settings.jwt_secret, workspace=runtime.workspace.id, time=runtime.time)
    return App(
        flows=[flow(runtime.workspace)],
        api=routes(reads, bearer, {p.id: p.calendar for p in runtime.workspace.sla_policies.values()}),
        background=[lambda: running("gauges", watch_open_clocks(reads, runtime.time), runtime.died)],
    )
