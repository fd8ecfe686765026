"""What agents may see in, rows out; and the desk's parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.flow.flow import Flow
from libs.service.auth import Bearer
from libs.service.background import running
from libs.service.process import App, Runtime
from libs.workspace import Workspace
from services.desk.api import Desk, router
from services.desk.commands.desk import Commands
from services.desk.commands.orders import Orders
from services.desk.feed.heartbeats import Heartbeats
from services.desk.handlers import Handlers
from services.desk.live.following import Live
from services.desk.settings import Settings
from services.desk.store import DeskStore


def flow(on: Handlers) -> Flow:
    return Flow(
        name="desk",
        schema="desk",
        gather=0.2,
        store=DeskStore,
        reads={
            "conversations": {
                c.ConversationOpened: on.on_conversation_event,
                c.ConversationReopened: on.on_conversation_event,
                c.ConversationResolved: on.on_conversation_event,
                c.ConversationSnoozed: on.on_conversation_event,
                c.ConversationTransferred: on.on_conversation_event,
                c.ConversationTagged: on.on_conversation_event,
                c.ConversationPrioritised: on.on_conversation_event,
                c.MessageReceived: on.on_conversation_event,
                c.MessageQueued: on.on_conversation_event,
                c.NoteAdded: on.on_conversation_event,
                c.MessageStatusChanged: on.on_conversation_event,
                c.MessageEdited: on.on_conversation_event,
                c.MessageReacted: on.on_conversation_event,
                c.CommandRefused: on.on_command_refused,
                c.ContactResolved: on.on_contact_resolved,
            },
            "assignments": {
                a.WorkQueued: on.on_work_event,
                a.WorkAssigned: on.on_work_event,
                a.WorkIdled: on.on_work_event,
                a.WorkWoken: on.on_work_event,
                a.WorkWrapping: on.on_work_event,
                a.WorkCompleted: on.on_work_event,
                a.WorkCancelled: on.on_work_event,
                a.ReservationOffered: on.on_work_event,
                a.ReservationAccepted: on.on_work_event,
                a.ReservationDeclined: on.on_work_event,
                a.ReservationExpired: on.on_work_event,
                a.ReservationRescinded: on.on_work_event,
            },
            "sla": {
                s.ClockStarted: on.on_clock_event,
                s.ClockPaused: on.on_clock_event,
                s.ClockResumed: on.on_clock_event,
                s.ClockWarned: on.on_clock_event,
                s.ClockMet: on.on_clock_event,
                s.ClockBreached: on.on_clock_event,
                s.ClockCancelled: on.on_clock_event,
                s.ClockRetargeted: on.on_clock_event,
                s.ClockEscalated: on.on_clock_event,
            },
            "agents": {a.AgentChanged: on.on_agent_changed},
        },
    )


def handlers(workspace: Workspace) -> Handlers:
    return Handlers({queue.id: queue.pool for queue in workspace.queues.values()})


def build(runtime: Runtime[Settings]) -> App:
    workspace, time = runtime.workspace, runtime.time
    live = Live(kafka=runtime.settings.kafka, database=runtime.database, workspace=workspace, time=time)
    commands = Commands(Orders(live, runtime.database, workspace), runtime.publisher, time)
    bearer = Bearer(runtime.settings.jwt_secret, workspace=workspace.id, time=time)

    @asynccontextmanager
    async def heartbeats() -> AsyncIterator[None]:
        beating = Heartbeats(live.hub, runtime.publisher, workspace, time).run()
        async with running("heartbeats", beating, runtime.died):
            yield

    return App(
        flows=[flow(handlers(workspace))],
        api=router(Desk(live, commands, bearer, runtime.database, workspace, time)),
        background=[live.following, heartbeats],
    )
