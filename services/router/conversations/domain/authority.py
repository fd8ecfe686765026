"""This file says who may command a conversation.

| Author | May |
|---|---|
| supervisor | command every conversation |
| agent who holds it | command it |
| any agent of its queue's pool | command it while nobody holds it |
| bot, system | command every conversation: they are programs of the owner |
| customer | nothing |
"""

from collections.abc import Mapping

from libs.contracts.vocabulary import AuthorKind
from libs.workspace import Agent
from services.router.conversations.domain.conversation import Conversation
from services.router.conversations.domain.refusal import Code, Refusal


def refuse_author(
    kind: AuthorKind, agent_id: str | None, conversation: Conversation, agents: Mapping[str, Agent]
) -> Refusal | None:
    """Why this author may not command this conversation; None where they may."""
    match kind:
        case AuthorKind.BOT | AuthorKind.SYSTEM:
            return None
        case AuthorKind.CUSTOMER | AuthorKind.UNKNOWN:
            return Refusal(Code.NOT_ALLOWED, f"an author of kind {kind} commands nothing")
        case AuthorKind.AGENT:
            pass
    agent = agents.get(agent_id or "")
    if agent is None:
        return Refusal(Code.UNKNOWN_AGENT, "the workspace has no such agent")
    if agent.role == "supervisor" or conversation.agent_id == agent.id:
        return None
    if conversation.agent_id is not None:
        return Refusal(Code.NOT_YOURS, "another agent holds this conversation")
    if agent.pool != conversation.pool:
        return Refusal(Code.NOT_YOURS, "the conversation waits in another pool")
    return None
