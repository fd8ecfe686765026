"""This file says in which queue a conversation waits, and where a transfer goes."""

from dataclasses import dataclass

from libs.workspace import Queue, Workspace
from services.router.conversations.domain.conversation import Conversation
from services.router.conversations.domain.refusal import Code, Refusal


@dataclass(frozen=True, slots=True)
class Destination:
    """A queue, and the one agent in it who is meant."""

    queue: Queue
    agent_id: str | None = None


def queue_of(workspace: Workspace, conversation: Conversation) -> Queue | None:
    """The conversation's queue; its inbox's where the workspace has that one no more; None where it has neither."""
    inbox = workspace.inboxes.get(conversation.inbox_id)
    return workspace.queues.get(conversation.queue) or (workspace.queues[inbox.queue] if inbox else None)


def destination(
    workspace: Workspace, conversation: Conversation, queue: str | None, agent_id: str | None
) -> Destination | Refusal:
    """Exactly one of `queue` and `agent_id` must be set.

    An agent of the conversation's own pool gets it under the queue where it is, whether or not they serve that queue:
    somebody chose them. For an agent of another pool it moves to the first queue that they serve there.
    """
    if (queue is None) == (agent_id is None):
        return Refusal(Code.INVALID, "a transfer names either a queue or an agent")
    if agent_id is None:
        found = workspace.queues.get(queue or "")
        return Destination(found) if found else Refusal(Code.UNKNOWN_QUEUE, "the workspace has no such queue")
    agent = workspace.agents.get(agent_id)
    if agent is None:
        return Refusal(Code.UNKNOWN_AGENT, "the workspace has no such agent")
    here = queue_of(workspace, conversation)
    if here is not None and here.pool == agent.pool:
        return Destination(here, agent.id)
    served = agent.queues or tuple(workspace.queues)
    queues = [workspace.queues[name] for name in served if name in workspace.queues]
    theirs = next((one for one in queues if one.pool == agent.pool), None)
    if theirs is None:
        return Refusal(Code.NO_QUEUE, "that agent serves no queue")
    return Destination(theirs, agent.id)
