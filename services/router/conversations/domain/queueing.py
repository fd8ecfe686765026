"""This file says in which queue a conversation waits, and where a transfer goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.workspace import Queue, Workspace
from services.router.conversations.domain.conversation import Conversation
from services.router.conversations.domain.refusal import Code, Refusal


@dataclass(frozen=True, slots=True)
class Destination:
    """A queue, the one agent in it who is meant, and the skills that are asked for besides the queue's."""

    queue: Queue
    agent_id: str | None = None
    skills: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a command wants a conversation to go; exactly one of queue, agent and skill says so."""

    queue: str | None = None
    agent_id: str | None = None
    skill: str | None = None
    level: int = 1


def queue_of(workspace: Workspace, conversation: Conversation) -> Queue | None:
    """The conversation's queue; its inbox's where the workspace has that one no more; None where it has neither."""
    inbox = workspace.inboxes.get(conversation.inbox_id)
    return workspace.queues.get(conversation.queue) or (workspace.queues[inbox.queue] if inbox else None)


def destination(workspace: Workspace, conversation: Conversation, wish: Wish) -> Destination | Refusal:
    """Where a transfer leads.

    An agent of the conversation's own pool gets it under the queue where it is, whether or not they serve that queue:
    somebody chose them. For an agent of another pool it moves to the first queue that they serve there. A skill is asked
    for besides those of the queue where it is.
    """
    match wish:
        case Wish(str(queue), None, None):
            found = workspace.queues.get(queue)
            return (
                Destination(found)
                if found
                else Refusal(Code.UNKNOWN_QUEUE, "the workspace has no such queue")
            )
        case Wish(None, str(agent_id), None):
            return _to_agent(workspace, conversation, agent_id)
        case Wish(None, None, str(skill)):
            return _to_skill(workspace, conversation, skill, wish.level)
    return Refusal(Code.INVALID, "a transfer names either a queue, an agent or a skill")


def _to_skill(
    workspace: Workspace, conversation: Conversation, skill: str, level: int
) -> Destination | Refusal:
    queue = queue_of(workspace, conversation)
    if queue is None:
        return Refusal(Code.UNKNOWN_QUEUE, "the workspace has no queue of this conversation")
    others = (a for a in workspace.agents.values() if a.pool == queue.pool and a.id != conversation.agent_id)
    if not any(agent.skills.get(skill, 0) >= level for agent in others):
        return Refusal(Code.NO_SKILL, f"nobody else in pool {queue.pool} has {skill} at level {level}")
    return Destination(queue, skills={skill: level})


def _to_agent(workspace: Workspace, conversation: Conversation, agent_id: str) -> Destination | Refusal:
    agent = workspace.agents.get(agent_id)
    if agent is None:
        return Refusal(Code.UNKNOWN_AGENT, "the workspace has no such agent")
    if agent.id == conversation.agent_id:
        return Refusal(Code.ALREADY_THEIRS, "that agent holds this conversation")
    here = queue_of(workspace, conversation)
    if here is not None and here.pool == agent.pool:
        return Destination(here, agent.id)
    served = agent.queues or tuple(workspace.queues)
    queues = [workspace.queues[name] for name in served if name in workspace.queues]
    theirs = next((one for one in queues if one.pool == agent.pool), None)
    if theirs is None:
        return Refusal(Code.NO_QUEUE, "that agent serves no queue")
    return Destination(theirs, agent.id)
