"""This file plays the team: agents who take what is offered, answer, and end conversations, through the desk's public API."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from deploy.demo.ledger import Ledger, Reply
from deploy.demo.organisation import SUPERVISOR, Organisation
from deploy.demo.screen import Refused, Screen
from deploy.demo.texts import CLOSINGS, GREETINGS, TICKET, TOPICS
from deploy.demo.watch import Watch
from libs.service.auth import Role

AWAY = ("busy", "offline")
"""Presences in which nothing is offered, and from which an agent who is at the desk comes back."""


@dataclass(frozen=True)
class Habits:
    """How agents work. Shares of offers; seconds from and to."""

    declines: float = 0.04
    slow: float = 0.05
    """Take their time before they accept."""
    misses: float = 0.01
    """Do not look at the offer until it has lapsed."""
    look: tuple[float, float] = (0.05, 0.4)
    think: tuple[float, float] = (0.4, 1.6)
    dawdle: float = 0.06
    """Share of first answers that take long enough to be warned of."""
    patience: float = 4.0
    """How long to wait for the customer before the conversation is ended."""
    answers: tuple[int, int] = (1, 3)


@dataclass
class Talk:
    """A conversation that an agent holds."""

    conversation_id: str
    contact_point_id: str
    customer: str
    unread: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Agent:
    """One person. Keeps going through lost connections, refusals and restarts of the desk."""

    def __init__(self, agent_id: str, name: str, desk: Callable[[], str], team: "Team") -> None:
        self.agent_id, self.name, self._team = agent_id, name, team
        self.screen = Screen(desk, team.organisation.token(agent_id), self._take, name=agent_id)
        self._talks: dict[str, Talk] = {}
        self._work: dict[str, str] = {}
        """Work item -> conversation, of what is held."""
        self._looked: deque[str] = deque(maxlen=500)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        self.screen.open()
        self._do(self._present())

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.screen.close()

    # What the screen shows

    def _take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "snapshot":
                held = {c["conversation_id"] for c in frame["conversations"] if self._holds(c)}
                for gone in self._talks.keys() - held:
                    self._stop(gone)
                for conversation in frame["conversations"]:
                    self._conversation(conversation)
                for offer in frame["reservations"]:
                    self._offer(offer["reservation_id"])
                if (frame.get("agent") or {}).get("presence") in AWAY:
                    self._do(self._present(after=1.0))
            case "conversation":
                self._conversation(frame["conversation"])
            case "event":
                if "conversation" in frame:
                    self._conversation(frame["conversation"])
                self._event(frame["event"]["type"].rpartition(".")[0], frame["event"]["data"])

    def _holds(self, conversation: dict[str, Any]) -> bool:
        return any(
            w.get("agent_id") == self.agent_id and w["state"] == "assigned" for w in conversation["work"]
        )

    def _conversation(self, conversation: dict[str, Any]) -> None:
        waited = self._team.watch.waited(conversation["conversation_id"])
        for message in conversation["messages"]:
            if message["author_kind"] == "customer":
                self._team.ledger.shown(message["message_id"], time.monotonic(), waited=waited)
        if self._holds(conversation):
            name = conversation.get("customer_name") or ""
            self._hold(conversation["conversation_id"], conversation.get("contact_point_id", ""), name)

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        mine = data.get("agent_id") == self.agent_id
        match kind:
            case "reservation.offered" if mine:
                self._offer(data["reservation_id"])
            case "work.assigned" if mine:
                self._work[data["work_item_id"]] = data["conversation_id"]
                self._hold(data["conversation_id"], data["contact_point_id"], "")
            case "work.assigned" | "work.queued" | "work.wrapping" | "work.completed" | "work.cancelled":
                if (conversation := self._work.pop(data["work_item_id"], None)) is not None:
                    self._stop(conversation)
            case "message.received":
                self._team.ledger.shown(data["message_id"], time.monotonic(), waited=False)
                if (talk := self._talks.get(data["conversation_id"])) is not None:
                    talk.unread.set()
            case "agent.changed" if data["presence"] in AWAY:
                # Put aside after a missed offer, or because the connection was lost for too long.
                self._do(self._present(after=1.0))

    def _offer(self, reservation_id: str) -> None:
        if reservation_id not in self._looked:
            self._looked.append(reservation_id)
            self._do(self._consider(reservation_id))

    def _hold(self, conversation_id: str, contact_point_id: str, customer: str) -> None:
        known = self._talks.get(conversation_id)
        if known is not None:
            known.customer = known.customer or customer
            return
        talk = self._talks[conversation_id] = Talk(conversation_id, contact_point_id, customer)
        self._do(self._converse(talk))

    def _stop(self, conversation_id: str) -> None:
        talk = self._talks.pop(conversation_id, None)
        if talk is not None:
            talk.over.set()
            talk.unread.set()

    # What the agent does

    async def _present(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        if await self._ask("presence", presence="available") is None:
            self._do(self._present(after=1.0))

    async def _consider(self, reservation_id: str) -> None:
        habits, rng, roll = self._team.habits, self._team.rng, self._team.rng.random()
        if roll < habits.misses:
            return
        slow = roll < habits.misses + habits.slow
        await asyncio.sleep(rng.uniform(1.0, 3.0) if slow else rng.uniform(*habits.look))
        if (
            habits.misses + habits.slow <= roll < habits.misses + habits.slow + habits.declines
            and not self._team.closing
        ):
            await self._ask("decline", reservation_id=reservation_id, reason="istirahat sebentar")
        else:
            await self._ask("accept", reservation_id=reservation_id)

    async def _converse(self, talk: Talk) -> None:
        habits, rng = self._team.habits, self._team.rng
        answers = rng.randint(*habits.answers)
        for number in range(answers):
            slow = number == 0 and rng.random() < habits.dawdle
            await asyncio.sleep(rng.uniform(3.0, 6.5) if slow else rng.uniform(*habits.think))
            if talk.over.is_set():
                return
            talk.unread.clear()
            await self._answer(talk, first=number == 0, last=number == answers - 1)
            try:
                async with asyncio.timeout(habits.patience if not self._team.closing else 1.0):
                    await talk.unread.wait()
            except TimeoutError:
                break
        if not talk.over.is_set():
            await self._ask("resolve", conversation_id=talk.conversation_id, reason="selesai")

    async def _answer(self, talk: Talk, *, first: bool, last: bool) -> None:
        rng = self._team.rng
        ticket = self._team.ticket()
        said = rng.choice(rng.choice(TOPICS).answers).format(order=f"TN-{ticket}")
        if first:
            said = (
                rng.choice(GREETINGS).format(name=talk.customer or "", agent=self.name.split()[0])
                + " "
                + said
            )
        elif last:
            said += " " + rng.choice(CLOSINGS)
        text = said + TICKET.format(ticket=ticket)
        reply = Reply(talk.conversation_id, talk.contact_point_id, self.agent_id, text)
        self._team.ledger.replies[text] = reply
        body = await self._ask("reply", conversation_id=talk.conversation_id, text=text)
        if body is None:
            reply.outcome = "refused"
        else:
            reply.outcome = body["status"]
            reply.message_id = body.get("event", {}).get("data", {}).get("message_id", "")

    async def _ask(self, command: str, **fields: Any) -> dict[str, Any] | None:
        """The answer's body; None where it was refused or not answered in time, which is counted."""
        team, began = self._team, time.monotonic()
        try:
            body = await self.screen.ask(command, team.key(self.agent_id), **fields)
        except Refused as refused:
            team.refusals[f"{command}: {refused.code}"] = (
                team.refusals.get(f"{command}: {refused.code}", 0) + 1
            )
            return None
        except TimeoutError:
            team.refusals[f"{command}: no answer"] = team.refusals.get(f"{command}: no answer", 0) + 1
            return None
        team.answer_seconds.append(time.monotonic() - began)
        return body

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Team:
    """All agents of the workspace, and the supervisor who watches."""

    def __init__(
        self,
        organisation: Organisation,
        desk: Callable[[], str],
        ledger: Ledger,
        rng: random.Random,
        *,
        run: int,
        habits: Habits | None = None,
    ) -> None:
        self.organisation, self.ledger, self.rng = organisation, ledger, rng
        self.habits = habits or Habits()
        self.watch = Watch()
        self.refusals: dict[str, int] = {}
        self.answer_seconds: list[float] = []
        self.closing = False
        """Set when the traffic has ended: nobody declines or waits for long any more."""
        self._run, self._numbers = run, count(1)
        self.agents = [
            Agent(agent.id, agent.name, desk, self)
            for agent in organisation.workspace.agents.values()
            if agent.role == "agent"
        ]
        token = organisation.token(SUPERVISOR, Role.SUPERVISOR)
        self._supervisor = Screen(desk, token, self.watch.take, query="scope=pool", name=SUPERVISOR)

    def begin(self) -> None:
        self._supervisor.open()
        for agent in self.agents:
            agent.begin()

    async def end(self) -> None:
        await asyncio.gather(*(agent.end() for agent in self.agents), self._supervisor.close())

    def ticket(self) -> str:
        return f"{self._run}{next(self._numbers):05}"

    def key(self, agent_id: str) -> str:
        """An idempotency key that no other command has."""
        return f"demo-{self._run}-{agent_id}-{next(self._numbers)}"

    @property
    def faults(self) -> list[str]:
        """What no screen should have shown."""
        return [
            fault
            for screen in (self._supervisor, *(a.screen for a in self.agents))
            for fault in screen.faults
        ]
