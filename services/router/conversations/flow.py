"""What customers, agents and providers do in; conversations, identity, messages to send and claims on attention out."""

from libs.contracts.payloads import assignments, commands, conversations, identity, inbound, sla
from libs.flow.flow import Flow
from libs.workspace import Workspace
from services.router.conversations.handlers.commands import CommandHandlers
from services.router.conversations.handlers.escalation import EscalationHandlers
from services.router.conversations.handlers.inbound import InboundHandlers
from services.router.conversations.handlers.messages import MessageHandlers
from services.router.conversations.handlers.silence import Silence
from services.router.conversations.handlers.work import WorkHandlers
from services.router.conversations.store import ConversationStore
from services.router.conversations.timers import ReceiptsLapsed, SilenceDue, SnoozeEnded


def flow(workspace: Workspace) -> Flow:
    silence = Silence(workspace)
    customer, agent, message, work = (
        InboundHandlers(workspace, silence),
        CommandHandlers(workspace, silence),
        MessageHandlers(),
        WorkHandlers(silence),
    )
    escalation = EscalationHandlers(workspace)
    return Flow(
        name="conversations",
        gather=0.015,
        schema="router",
        store=lambda lane: ConversationStore(lane, workspace),
        reads={
            "inbound": {
                inbound.MessageIngested: customer.on_message_ingested,
                inbound.UnsupportedIngested: customer.on_unsupported_ingested,
                inbound.EditIngested: customer.on_edit_ingested,
                inbound.ReactionIngested: customer.on_reaction_ingested,
                inbound.SignalIngested: customer.on_signal_ingested,
                inbound.ReceiptIngested: message.on_receipt_ingested,
            },
            "commands": {
                commands.SendReply: agent.on_send_reply,
                commands.AddNote: agent.on_add_note,
                commands.ResolveConversation: agent.on_resolve_conversation,
                commands.SnoozeConversation: agent.on_snooze_conversation,
                commands.TransferConversation: agent.on_transfer_conversation,
                commands.TagConversation: agent.on_tag_conversation,
                commands.PrioritiseConversation: agent.on_prioritise_conversation,
            },
            "deliveries": {conversations.DeliveryReported: message.on_delivery_reported},
            "assignments": {
                assignments.WorkQueued: work.on_work_queued,
                assignments.WorkAssigned: work.on_work_assigned,
                assignments.WorkIdled: work.on_work_idled,
                assignments.WorkCompleted: work.on_work_ended,
                assignments.WorkCancelled: work.on_work_ended,
            },
            "sla": {
                sla.ClockStarted: work.on_clock_running,
                sla.ClockResumed: work.on_clock_running,
                sla.ClockRetargeted: work.on_clock_retargeted,
                sla.ClockWarned: work.on_clock_pressing,
                sla.ClockBreached: work.on_clock_pressing,
                sla.ClockEscalated: escalation.on_clock_escalated,
                sla.ClockMet: work.on_clock_ended,
                sla.ClockPaused: work.on_clock_ended,
                sla.ClockCancelled: work.on_clock_ended,
            },
        },
        timers={
            SnoozeEnded: agent.on_snooze_ended,
            SilenceDue: silence.on_silence_due,
            ReceiptsLapsed: message.on_receipts_lapsed,
        },
        emits={
            "conversations": (
                conversations.ConversationOpened,
                conversations.ConversationReopened,
                conversations.ConversationResolved,
                conversations.ConversationSnoozed,
                conversations.ConversationTransferred,
                conversations.ConversationTagged,
                conversations.ConversationPrioritised,
                conversations.MessageReceived,
                conversations.MessageQueued,
                conversations.NoteAdded,
                conversations.MessageStatusChanged,
                conversations.MessageEdited,
                conversations.MessageReacted,
                conversations.CommandRefused,
                conversations.ContactResolved,
            ),
            "identity": (identity.ContactPointLinked, identity.MergeSuggested),
            "outbound": (conversations.MessageRequested,),
            "work": (
                assignments.WorkRequested,
                assignments.WorkWithdrawn,
                assignments.WorkReprioritised,
                assignments.WorkEscalated,
                assignments.WorkFellSilent,
                assignments.WorkResumed,
            ),
        },
    )
