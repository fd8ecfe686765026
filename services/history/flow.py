"""Everything that happened in, one timeline per contact out."""

from libs.contracts.payloads import assignments as work
from libs.contracts.payloads import conversations as talk
from libs.contracts.payloads import identity, sla
from libs.contracts.payloads.timeline import EntryRecorded
from libs.flow.flow import Flow
from libs.service.auth import Bearer
from libs.service.background import running
from libs.service.process import App, Runtime
from services.history import handlers as on
from services.history.api import routes
from services.history.settings import Settings
from services.history.store import HistoryStore, Reads
from services.history.streaming import Streams


def flow() -> Flow:
    return Flow(
        name="history",
        schema="history",
        gather=0.5,
        store=HistoryStore,
        reads={
            "conversations": {
                talk.ContactResolved: on.on_contact_resolved,
                talk.ConversationOpened: on.on_conversation_event,
                talk.ConversationReopened: on.on_conversation_event,
                talk.ConversationResolved: on.on_conversation_event,
                talk.ConversationSnoozed: on.on_conversation_event,
                talk.ConversationTransferred: on.on_conversation_event,
                talk.ConversationTagged: on.on_conversation_event,
                talk.ConversationPrioritised: on.on_conversation_event,
                talk.MessageReceived: on.on_conversation_event,
                talk.MessageQueued: on.on_conversation_event,
                talk.MessageStatusChanged: on.on_conversation_event,
                talk.MessageEdited: on.on_conversation_event,
                talk.MessageReacted: on.on_conversation_event,
                talk.NoteAdded: on.on_conversation_event,
                talk.CommandRefused: on.on_contact_point_event,
            },
            "assignments": {
                work.WorkQueued: on.on_contact_point_event,
                work.WorkAssigned: on.on_contact_point_event,
                work.WorkIdled: on.on_contact_point_event,
                work.WorkWoken: on.on_contact_point_event,
                work.WorkWrapping: on.on_contact_point_event,
                work.WorkCompleted: on.on_contact_point_event,
                work.WorkCancelled: on.on_contact_point_event,
                work.ReservationOffered: on.on_contact_point_event,
                work.ReservationAccepted: on.on_contact_point_event,
                work.ReservationDeclined: on.on_contact_point_event,
                work.ReservationExpired: on.on_contact_point_event,
                work.ReservationRescinded: on.on_contact_point_event,
            },
            "sla": {
                sla.ClockStarted: on.on_contact_point_event,
                sla.ClockPaused: on.on_contact_point_event,
                sla.ClockResumed: on.on_contact_point_event,
                sla.ClockWarned: on.on_contact_point_event,
                sla.ClockMet: on.on_contact_point_event,
                sla.ClockBreached: on.on_contact_point_event,
                sla.ClockCancelled: on.on_contact_point_event,
                sla.ClockRetargeted: on.on_contact_point_event,
                sla.ClockEscalated: on.on_contact_point_event,
            },
            "identity": {
                identity.ContactPointLinked: on.on_identity_event,
                identity.MergeSuggested: on.on_identity_event,
            },
        },
        emits={"timeline": (EntryRecorded,)},
    )


def build(runtime: Runtime[Settings]) -> App:
    reads = Reads(runtime.database)
    streams = Streams(reads, runtime.time, limit=runtime.settings.stream_limit)
    bearer = Bearer(runtime.settings.jwt_secret, workspace=runtime.workspace.id, time=runtime.time)
    return App(
        flows=[flow()],
        api=routes(reads, streams, bearer),
        background=[lambda: running("timeline", streams.listen(runtime.settings.kafka), runtime.died)],
    )
