"""This file is a contact centre around a running router: teams in pools of their own, customers who write, agents who are moved by hand."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from pydantic import SecretStr

from deploy.demo.processes import Services
from deploy.local.stack import Servers
from libs.contracts.ids import ContactPointId, InboxId, contact_point_id
from libs.contracts.payloads.assignments import (
    AgentChanged,
    ReservationOffered,
    WorkAssigned,
    WorkEvent,
    WorkQueued,
)
from libs.contracts.payloads.base import Author, Content, Payload
from libs.contracts.payloads.commands import (
    AcceptReservation,
    AgentCommand,
    DeclineReservation,
    ForceAssign,
    Heartbeat,
    ResolveConversation,
    SetPresence,
    TransferConversation,
)
from libs.contracts.payloads.conversations import ConversationResolved
from libs.contracts.payloads.inbound import MessageIngested
from libs.contracts.vocabulary import AuthorKind, Channel, ContentKind, Presence
from libs.flow.publisher import Publisher, first_hand
from libs.flow.tail import Marks, Tail
from libs.flow.wire import Outgoing
from libs.service.auth import Role, issue
from tests.e2e.waiting import until
from tests.integration.assignment.crm import SECRET, Crm, Desk
from tests.integration.assignment.seen import Seen

W = TypeVar("W", bound=WorkEvent)

WORKSPACE, SUPERVISOR = "centre", "sri"
PROGRAM = Author(kind=AuthorKind.SYSTEM)


@dataclass
class Chat:
    """One customer of a team, as the topics tell of their work."""

    address: str
    contact_point_id: ContactPointId
    seen: Seen

    @property
    def events(self) -> list[WorkEvent]:
        return self.seen.of_contact_point(self.contact_point_id)

    def told(self, kind: type[W]) -> list[W]:
        return [event for event in self.events if isinstance(event, kind)]

    async def next(self, kind: type[W], number: int = 1) -> W:
        """The `number`-th event of a kind, once it is told."""

        def found() -> W | None:
            told = self.told(kind)
            return told[number - 1] if len(told) >= number else None

        return await until(f"{self.address} has {number} {kind.type}, of {self.events}", found)

    async def offered(self, agent_id: str) -> ReservationOffered:
        """The offer that stands, which must be this agent's."""
        offers = await until(f"{self.address} is offered, of {self.events}", self._standing)
        assert offers.agent_id == agent_id
        return offers

    async def held(self, agent_id: str) -> WorkAssigned:
        """The assignment of the latest work item, once it is this agent's."""

        def found() -> WorkAssigned | None:
            told = self.told(WorkAssigned)
            return told[-1] if told and told[-1].agent_id == agent_id and self._now_of(agent_id) else None

        return await until(f"{agent_id} holds {self.address}, of {self.events}", found)

    @property
    def waits(self) -> WorkQueued | None:
        """The last word, where it is that nobody can take it."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, WorkQueued) else None

    @property
    def work_item_id(self) -> str:
        return self.events[-1].work_item_id

    @property
    def conversation_id(self) -> str:
        return self.events[-1].conversation_id

    def _standing(self) -> ReservationOffered | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, ReservationOffered) else None

    def _now_of(self, agent_id: str) -> bool:
        return self.seen.work[self.work_item_id].agent_id == agent_id


@dataclass
class Plan:
    """One team: agents with capacities, and what the workspace says of its pool and queue."""

    agents: dict[str, int]
    pool: dict[str, Any] = field(default_factory=dict)
    queue: dict[str, Any] = field(default_factory=dict)
    skills: dict[str, dict[str, int]] = field(default_factory=dict)


class Centre:
    """The services, the topics, and every team. Teams share nothing but the router."""

    def __init__(self, servers: Servers, folder: Path, plans: Mapping[str, Plan]) -> None:
        self.servers, self.seen, self.plans = servers, Seen(), dict(plans)
        self._file, self._secret = folder / "workspace.yaml", secrets.token_hex(32)
        self.crm = Crm()
        self.services = Services(
            servers,
            self._file,
            folder / "logs",
            environ={"SAMBUNG_JWT_SECRET": self._secret, "CRM_SECRET": SECRET},
            names=["router"],
        )
        self.publisher = Publisher(servers.kafka, "test-desk")
        self._tail = Tail(servers.kafka, ["assignments", "agents", "conversations"], self.seen.take)
        self._numbers = count(1)

    async def start(self) -> None:
        await self.crm.start()
        self._write()
        await self.services.start()
        await self._tail.start(Marks({}))

    async def stop(self) -> None:
        await self._tail.stop()
        await self.publisher.stop()
        await self.services.stop()
        await self.crm.stop()

    async def restart(self) -> None:
        """Stop the router and start it with the plans as they are now."""
        await self.services.stop("router")
        self._write()
        await self.services.start("router")

    async def publish(self, *records: Outgoing) -> None:
        await self.publisher.publish(records)

    async def ask(
        self, path: str, until: Callable[[dict[str, Any]], bool] = lambda found: True
    ) -> dict[str, Any]:
        """What the router's API answers a supervisor, once it is so."""
        token = issue(
            SecretStr(self._secret), agent_id=SUPERVISOR, workspace=WORKSPACE, role=Role.SUPERVISOR,
            now=datetime.now(UTC), lifetime=timedelta(hours=1),
        )  # fmt: skip
        headers, url = {"authorization": f"Bearer {token}"}, self.services["router"].url
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            async with asyncio.timeout(15):
                while True:
                    answer = await client.get(path)
                    answer.raise_for_status()
                    found: dict[str, Any] = answer.json()
                    if until(found):
                        return found
                    await asyncio.sleep(0.05)

    def number(self) -> int:
        return next(self._numbers)

    def _write(self) -> None:
        names = list(self.plans)
        document = {
            "id": WORKSPACE,
            "inboxes": {
                name: {"channel": "webchat", "queue": name, "credentials": {"signing_key": "env:NOT_READ"}} for name in names
            },
            "queues": {name: {"pool": name, **self.plans[name].queue} for name in names},
            # Nobody here sends heartbeats of their own accord: who must be lost has a plan that says so.
            "pools": {name: {"presence_lease": "1h", **self._pool(name)} for name in names} | {"office": {}},
            "agents": {
                f"{agent}-{name}": {
                    "name": agent.title(), "pool": name, "capacity": capacity, "skills": plan.skills.get(agent, {}),
                }
                for name, plan in self.plans.items()
                for agent, capacity in plan.agents.items()
            }
            | {SUPERVISOR: {"name": "Sri", "pool": "office", "capacity": 0, "role": "supervisor"}},
        }  # fmt: skip
        self._file.write_text(yaml.safe_dump(document), "utf-8")

    def _pool(self, name: str) -> dict[str, Any]:
        """A plan whose hook has a time limit only means this centre's own system."""
        pool = dict(self.plans[name].pool)
        if (hook := pool.get("allocation_hook")) is not None:
            pool["allocation_hook"] = {"url": self.crm.url(name), "secret": "env:CRM_SECRET", **hook}
        return pool


class Team:
    """One pool with one queue. Agents are named without the team's name; every wait has a deadline."""

    def __init__(self, centre: Centre, name: str) -> None:
        self.centre, self.name = centre, name
        self.seen = centre.seen

    @property
    def plan(self) -> Plan:
        return self.centre.plans[self.name]

    @property
    def desk(self) -> Desk:
        """The team's own system, where its pool has an allocation hook."""
        return self.centre.crm.desks[self.name]

    def id(self, agent: str) -> str:
        return f"{agent}-{self.name}"

    # -- customers ----------------------------------------------------------------------------------------------------

    async def writes(self, customer: str) -> Chat:
        """A message of a customer; returns when matching has told what became of their new claim on attention."""
        (chat,) = await self.write_at_once(customer)
        return chat

    async def write_at_once(self, *customers: str) -> list[Chat]:
        chats = [self._chat(customer) for customer in customers]
        before = [len(chat.told(WorkQueued)) for chat in chats]
        await self.centre.publish(*(self._message(chat) for chat in chats))
        for chat, known in zip(chats, before, strict=True):
            await chat.next(WorkQueued, known + 1)
        return chats

    async def resolves(self, *chats: Chat) -> None:
        """A program ends the conversations, one after the other."""
        for chat in chats:
            await self.centre.publish(self.resolution(chat, PROGRAM)[1])
            await until(f"{chat.address} is resolved", partial(self._resolved, chat))

    def resolution(self, chat: Chat, author: Author) -> tuple[str, Outgoing]:
        """(id, command)"""
        asked = ResolveConversation(
            conversation_id=chat.conversation_id, contact_point_id=chat.contact_point_id, author=author
        )
        return self._named(asked, chat.contact_point_id, "/desk/test")

    def transfer(self, chat: Chat, agent: str) -> Outgoing:
        """A program's command to give the conversation to one agent."""
        asked = TransferConversation(
            conversation_id=chat.conversation_id,
            contact_point_id=chat.contact_point_id,
            author=PROGRAM,
            agent_id=self.id(agent),
        )
        return self._named(asked, chat.contact_point_id, "/desk/test")[1]

    def _resolved(self, chat: Chat) -> bool:
        over = any(
            isinstance(e, ConversationResolved) and e.contact_point_id == chat.contact_point_id
            for e in self.seen.conversations
        )
        return over and chat.events[-1].type in ("work.completed.v1", "work.cancelled.v1")

    def _chat(self, customer: str) -> Chat:
        point = contact_point_id(InboxId(self.name), customer)
        return Chat(customer, point, self.seen)

    def _message(self, chat: Chat) -> Outgoing:
        now, name = datetime.now(UTC), f"m-{self.centre.number()}"
        message = MessageIngested(
            item_id=name,
            inbox_id=self.name,
            channel=Channel.WEBCHAT,
            address=chat.address,
            contact_point_id=chat.contact_point_id,
            occurred_at=now,
            provider_message_id=name,
            content=Content(kind=ContentKind.TEXT, text="Halo"),
        )
        return first_hand(message, key=chat.contact_point_id, source=f"/ingest/{self.name}", id=name, at=now)

    # -- agents -------------------------------------------------------------------------------------------------------

    async def comes(self, *agents: str) -> None:
        for agent in agents:
            assert await self.sets(agent, Presence.AVAILABLE) == "ok"

    async def sets(self, agent: str, presence: Presence, reason: str | None = None) -> str:
        return await self.tell(
            SetPresence(agent_id=self.id(agent), pool=self.name, presence=presence, reason=reason)
        )

    async def accepts(self, agent: str, chat: Chat) -> None:
        """Takes the standing offer."""
        offer = await chat.offered(self.id(agent))
        assert await self.tell(self.accept(agent, offer.reservation_id)) == "ok"
        await chat.held(self.id(agent))

    def accept(self, agent: str, reservation_id: str) -> AcceptReservation:
        return AcceptReservation(agent_id=self.id(agent), pool=self.name, reservation_id=reservation_id)

    async def declines(self, agent: str, chat: Chat) -> None:
        offer = await chat.offered(self.id(agent))
        asked = DeclineReservation(
            agent_id=self.id(agent), pool=self.name, reservation_id=offer.reservation_id
        )
        assert await self.tell(asked) == "ok"

    async def forces(self, agent: str, chat: Chat) -> str:
        asked = ForceAssign(
            agent_id=self.id(agent), pool=self.name, work_item_id=chat.work_item_id, ordered_by=SUPERVISOR
        )
        return await self.tell(asked)

    async def beats(self, agent: str) -> None:
        """A heartbeat. It is not answered."""
        await self.centre.publish(self.named(Heartbeat(agent_id=self.id(agent), pool=self.name))[1])

    async def tell(self, *commands: AgentCommand) -> str:
        """Give the commands at once; the answers' codes, with spaces between."""
        named = [self.named(command) for command in commands]
        await self.centre.publish(*(record for _, record in named))
        return " ".join([await self.answer(name) for name, _ in named])

    async def answer(self, command_id: str) -> str:
        return (await until(f"{command_id} is answered", lambda: self.seen.answers.get(command_id))).code

    def named(self, command: AgentCommand) -> tuple[str, Outgoing]:
        return self._named(command, self.name, f"/desk/{command.agent_id}")

    def _named(self, payload: Payload, key: str, source: str) -> tuple[str, Outgoing]:
        name = f"c-{self.centre.number()}"
        return name, first_hand(payload, key=key, source=source, id=name, at=datetime.now(UTC))

    # -- looking ------------------------------------------------------------------------------------------------------

    async def shown(self, agent: str, what: str, condition: Callable[[AgentChanged], bool]) -> AgentChanged:
        """The agent's state, once its latest one is so."""

        def found() -> AgentChanged | None:
            history = self.seen.agents.get(self.id(agent))
            return history[-1] if history and condition(history[-1]) else None

        return await until(f"{agent} of {self.name} {what}", found)

    def now(self, agent: str) -> AgentChanged:
        return self.seen.agents[self.id(agent)][-1]
