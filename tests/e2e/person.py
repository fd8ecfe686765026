"""This file is an agent whom a test moves by hand."""

from typing import Any

from deploy.demo.run import World
from deploy.demo.screen import Screen
from tests.e2e.waiting import until


class Person:
    """`async with` it: present at the desk, and gone afterwards. `events` holds all that the screen was shown."""

    def __init__(self, system: World, agent_id: str) -> None:
        self.agent_id = agent_id
        self.events: list[dict[str, Any]] = []
        self.conversations: dict[str, dict[str, Any]] = {}
        token = system.organisation.token(agent_id)
        self.screen = Screen(lambda: system.services["desk"].url, token, self._take, name=agent_id)
        self._commands = 0
        self._run = id(self)

    async def __aenter__(self) -> "Person":
        self.screen.open()
        await self.ask("presence", presence="available")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ask("presence", presence="offline")
        await self.screen.close()

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        self._commands += 1
        return await self.screen.ask(command, f"{self._run}-{self._commands}", **fields)

    async def event(self, kind: str, **data: Any) -> dict[str, Any]:
        """The data of the first event of this type with these fields, when it has been shown."""

        def shown() -> dict[str, Any] | None:
            return next(
                (
                    e["data"]
                    for e in self.events
                    if e["type"].startswith(f"{kind}.v") and data.items() <= e["data"].items()
                ),
                None,
            )

        return await until(f"{self.agent_id} is shown {kind} {data}", shown)

    async def take_conversation(self, text: str) -> tuple[str, dict[str, Any]]:
        """Accept the conversation in which somebody wrote this; returns its id and the message as the screen shows it."""

        def offered() -> tuple[str, dict[str, Any]] | None:
            for conversation_id, conversation in self.conversations.items():
                for message in conversation["messages"]:
                    if message["content"]["text"] == text:
                        return conversation_id, message
            return None

        conversation_id, message = await until(f"{self.agent_id} is offered {text!r}", offered)
        offer = await self.event(
            "reservation.offered", conversation_id=conversation_id, agent_id=self.agent_id
        )
        await self.ask("accept", reservation_id=offer["reservation_id"])
        await self.event("work.assigned", conversation_id=conversation_id, agent_id=self.agent_id)
        return conversation_id, message

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "event":
            self.events.append(frame["event"])
        for conversation in [*frame.get("conversations", ()), *filter(None, [frame.get("conversation")])]:
            self.conversations[conversation["conversation_id"]] = conversation
