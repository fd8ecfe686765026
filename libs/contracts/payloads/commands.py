"""This file models `commands` and `agent-commands`: what agents and bots ask for."""

from libs.contracts.payloads.base import Author, Content, Payload, Time
from libs.contracts.vocabulary import Presence


class ConversationCommand(Payload):
    """Keyed by contact point; the event's id is the caller's idempotency key."""

    conversation_id: str
    contact_point_id: str
    author: Author


class SendReply(ConversationCommand):
    type = "send_reply.v1"
    content: Content
    reply_to: str | None = None
    """The message id that is answered, where the agent quoted one."""


class AddNote(ConversationCommand):
    type = "add_note.v1"
    text: str


class ResolveConversation(ConversationCommand):
    type = "resolve_conversation.v1"
    reason: str | None = None


class SnoozeConversation(ConversationCommand):
    type = "snooze_conversation.v1"
    until: Time


class TransferConversation(ConversationCommand):
    """To a queue, to one agent, or to whoever has a skill; exactly one of the three is set.

    The work goes back to waiting with its age, and not to the one who held it, unless they are named.
    """

    type = "transfer_conversation.v1"
    queue: str | None = None
    agent_id: str | None = None
    skill: str | None = None
    """Required besides those of the conversation's queue."""
    level: int = 1
    """Of the skill, at least."""


class TagConversation(ConversationCommand):
    type = "tag_conversation.v1"
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class PrioritiseConversation(ConversationCommand):
    """Raise the priority, as an SLA policy does: it is never lowered, and stays until another queue or the end."""

    type = "prioritise_conversation.v1"
    priority: int


class AgentCommand(Payload):
    """Keyed by pool."""

    agent_id: str
    pool: str


class SetPresence(AgentCommand):
    type = "set_presence.v1"
    presence: Presence
    reason: str | None = None


class Heartbeat(AgentCommand):
    """The agent's desktop is connected; renews the presence lease."""

    type = "heartbeat.v1"


class AcceptReservation(AgentCommand):
    type = "accept_reservation.v1"
    reservation_id: str
    version: int | None = None
    """The work item's version that the agent saw: another one is refused as `stale`. None compares nothing."""


class DeclineReservation(AgentCommand):
    type = "decline_reservation.v1"
    reservation_id: str
    reason: str | None = None


class CompleteWork(AgentCommand):
    """Ends the wrap-up; the agent's capacity returns."""

    type = "complete_work.v1"
    work_item_id: str


class NextWork(AgentCommand):
    """Asks for the first waiting item of the agent's pull queues."""

    type = "next_work.v1"


class TakeWork(AgentCommand):
    """Takes a named item of a manual queue."""

    type = "take_work.v1"
    work_item_id: str


class ConsultWork(AgentCommand):
    """Offers what `agent_id` holds to another agent, named or by a skill; the holder keeps it until that one accepts.

    Answered by a change of the holder. Exactly one of `to_agent_id` and `skill` is set.
    """

    type = "consult_work.v1"
    work_item_id: str
    ordered_by: str
    """The holder or a supervisor."""
    to_agent_id: str | None = None
    skill: str | None = None
    level: int = 1


class ForceAssign(AgentCommand):
    """A supervisor's order: `agent_id` gets the work whatever the capacity says; the result is labelled as forced."""

    type = "force_assign.v1"
    work_item_id: str
    ordered_by: str


class MigrateClocks(Payload):
    """The open clocks of a conversation go on under the calendars that the workspace has when this is read."""

    type = "migrate_clocks.v1"
    conversation_id: str
    contact_point_id: str
    ordered_by: str
    policies: bool = False
    """And under its policies: other targets, warnings and steps too."""
