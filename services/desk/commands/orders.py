"""This file turns a request into the record that goes on the log, after looking whether the caller may ask for it at all.

Whether a command can be carried out is for the router to say: here only what needs no decision is refused (unknown
conversation, another pool, a role that never may).
"""

from dataclasses import dataclass

from libs.contracts.payloads import commands as wire
from libs.contracts.payloads.base import Author
from libs.contracts.vocabulary import AuthorKind, Presence, WorkState
from libs.flow.database import Database
from libs.service.auth import Principal, Role
from libs.service.problems import Problem
from libs.workspace import Agent, Workspace
from services.desk.commands import requests as r
from services.desk.domain.conversation import Done, outcome_of
from services.desk.live.following import Live
from services.desk.live.reading import conversations


@dataclass(frozen=True, slots=True)
class Order:
    """A record to publish. `done` is what the same command led to before, where that is still remembered."""

    payload: wire.ConversationCommand | wire.AgentCommand
    key: str
    conversation_id: str = ""
    done: Done | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    live: Live
    database: Database
    workspace: Workspace

    async def order(self, principal: Principal, target: str, body: r.Body, name: str) -> Order:
        """What a request becomes; `target` is the id that it is about, `name` the command's own. Raises Problem, DatabaseAway."""
        match body:
            case r.Presence() | r.Accept() | r.Decline() | r.Complete() | r.Next() | r.Take():
                return self._own(principal, target, body, name)
            case r.ForceAssign():
                return self._force(principal, target, body)
            case r.Transfer(warm=True):
                return self._consult(principal, target, body, name)
        return await self._conversation(principal, target, body, name)

    async def _conversation(self, principal: Principal, target: str, body: r.Body, name: str) -> Order:
        contact_point_id, pool, remembered = await self._find(target)
        known = self.live.hub.view.open.get(target)
        if known is None or principal.agent_id not in known.agents:
            self.in_pool(principal, pool)
        agent = self.workspace.agents.get(principal.agent_id)
        by = {
            "conversation_id": target,
            "contact_point_id": contact_point_id,
            "author": Author(
                kind=AuthorKind.BOT if principal.role is Role.SERVICE else AuthorKind.AGENT,
                agent_id=principal.agent_id,
                name=agent.name if agent else None,
            ),
        }
        payload: wire.ConversationCommand
        match body:
            case r.Reply():
                payload = wire.SendReply(**by, content=body.said(), reply_to=body.reply_to)
            case r.Note(text=text):
                payload = wire.AddNote(**by, text=text)
            case r.Resolve(reason=reason):
                payload = wire.ResolveConversation(**by, reason=reason)
            case r.Snooze(until=until):
                payload = wire.SnoozeConversation(**by, until=until)
            case r.Transfer():
                payload = wire.TransferConversation(**by, **body.model_dump(exclude={"warm"}))
            case r.Tags(add=add, remove=remove):
                payload = wire.TagConversation(**by, add=add, remove=remove)
            case r.Priority(priority=priority):
                payload = wire.PrioritiseConversation(**by, priority=priority)
            case _:
                raise TypeError(f"{type(body).__name__} is no command to a conversation")
        return Order(payload, contact_point_id, target, outcome_of(remembered, name))

    def _own(self, principal: Principal, target: str, body: r.Body, name: str) -> Order:
        """What an agent says of himself and of work that was offered or given to him: decided in his own pool."""
        agent = self._agent(principal)
        me = {"agent_id": agent.id, "pool": agent.pool}
        payload: wire.AgentCommand
        match body:
            case r.Presence(presence=presence, reason=reason):
                payload = wire.SetPresence(**me, presence=Presence(presence), reason=reason)
            case r.Accept(version=version):
                payload = wire.AcceptReservation(**me, reservation_id=target, version=version)
            case r.Decline(reason=reason):
                payload = wire.DeclineReservation(**me, reservation_id=target, reason=reason)
            case r.Next():
                payload = wire.NextWork(**me)
            case r.Take():
                payload = wire.TakeWork(**me, work_item_id=target)
            case _:
                payload = wire.CompleteWork(**me, work_item_id=target)
        known = self.live.hub.view.agents.get(agent.id)
        return Order(payload, agent.pool, done=outcome_of(known.commands, name) if known else None)

    def _force(self, principal: Principal, target: str, body: r.ForceAssign) -> Order:
        principal.require(Role.SUPERVISOR)
        known = self.live.hub.view.with_work(target)
        if known is None:
            raise Problem(404, "unknown_work", "No such work item", "it never was, or it has ended")
        work = known.work[target]
        if body.agent_id not in self.workspace.agents:
            raise Problem(404, "unknown_agent", "No such agent")
        pool = work.pool
        if self.workspace.agents[body.agent_id].pool != pool:
            # Work that is lent is called back by the pool of its queue.
            pool = self.live.hub.view.pool_of_queue(work.queue) or pool
        payload = wire.ForceAssign(
            agent_id=body.agent_id, pool=pool, work_item_id=target, ordered_by=principal.agent_id
        )
        return Order(payload, pool, known.conversation_id)

    def _consult(self, principal: Principal, target: str, body: r.Transfer, name: str) -> Order:
        """A warm transfer is matching's: it goes to the pool of the work, about who holds it."""
        known = self.live.hub.view.open.get(target)
        if known is None:
            raise unknown_conversation()
        held = next((w for w in known.work.values() if w.state is WorkState.ASSIGNED and w.agent_id), None)
        if held is None or held.agent_id is None:
            raise Problem(409, "not_held", "The command was refused", "nobody holds this conversation")
        self.in_pool(principal, held.pool)
        payload = wire.ConsultWork(
            agent_id=held.agent_id,
            pool=held.pool,
            work_item_id=held.work_item_id,
            ordered_by=principal.agent_id,
            to_agent_id=body.agent_id,
            skill=body.skill,
            level=body.level,
        )
        holder = self.live.hub.view.agents.get(held.agent_id)
        return Order(payload, held.pool, target, outcome_of(holder.commands, name) if holder else None)

    async def _find(self, conversation_id: str) -> tuple[str, str | None, tuple[Done, ...]]:
        """Contact point, pool, remembered commands: from memory, or from the projection where it is no longer open."""
        view = self.live.hub.view
        known = view.open.get(conversation_id)
        if known is not None and known.conversation is not None:
            return known.conversation.contact_point_id, view.pool_of(known), known.conversation.commands
        if known is not None and known.work:
            work = next(iter(known.work.values()))
            return work.contact_point_id, work.pool, ()
        found = (await conversations(self.database, [conversation_id])).get(conversation_id)
        if found is None:
            raise unknown_conversation()
        conversation, _ = found
        pool = conversation.pool or view.pool_of_inbox(conversation.inbox_id)
        return conversation.contact_point_id, pool, conversation.commands

    def _agent(self, principal: Principal) -> Agent:
        agent = self.workspace.agents.get(principal.agent_id)
        if agent is None:
            raise Problem(403, "unknown_agent", "Not allowed", "the workspace has no such agent")
        return agent

    def in_pool(self, principal: Principal, pool: str | None) -> None:
        """Raises Problem 403 where an agent asks for what is another pool's; the other roles see every pool."""
        if principal.role is Role.AGENT and self._agent(principal).pool != pool:
            raise Problem(403, "other_pool", "Not allowed", "this belongs to another pool")


def unknown_conversation() -> Problem:
    return Problem(404, "unknown_conversation", "No such conversation")
