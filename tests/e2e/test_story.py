"""This file proves the whole way: a customer's webhook, an agent's screen, the answer at the provider, the receipt, the timeline."""

import time
from typing import Any

import httpx
import pytest

from deploy.demo.customers import Customer
from deploy.demo.organisation import SUPERVISOR
from deploy.demo.provider import Trouble
from deploy.demo.run import World
from deploy.demo.shapes import Person as Writer
from deploy.demo.texts import TOPICS
from deploy.demo.traffic import INBOX
from libs.contracts.vocabulary import Channel
from libs.service.auth import Role
from tests.e2e.person import Person
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(120)]

ADDRESSES = {Channel.WHATSAPP: "6281200000001", Channel.TELEGRAM: "400000001"}
RECEIPTS = {Channel.TELEGRAM: "accepted"}
"""The last status that a channel can give; Telegram tells nothing after having taken a message."""


def writes(system: World, channel: Channel, text: str, name: str = "Siti Wijaya") -> None:
    """A customer says something, in a signed webhook or on a visitor's socket."""
    person = Writer(ADDRESSES.get(channel, f"{channel}-{name}"), name)
    customer = Customer(channel, INBOX[channel], person, TOPICS[0], "TN-1")
    system.traffic._say(customer, [text], time.monotonic())


async def timeline(system: World, contact_id: str) -> list[dict[str, Any]]:
    token = system.organisation.token(SUPERVISOR, Role.SUPERVISOR)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=system.services["history"].url, headers=headers, trust_env=False
    ) as client:
        answer = await client.get(f"/v1/contacts/{contact_id}/timeline", params={"limit": 100})
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries


@pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.TELEGRAM, Channel.WEBCHAT, Channel.CUSTOM])
async def test_a_message_reaches_an_agent_and_the_answer_reaches_the_customer(
    system: World, channel: Channel
) -> None:
    question, answer = (
        f"Halo lewat {channel}, pesanan saya di mana?",
        f"Sudah kami kirim, lewat {channel} juga.",
    )
    async with Person(system, "agen-01") as agent:
        writes(system, channel, question)
        conversation_id, _ = await agent.take_conversation(question)
        told = await agent.ask("reply", conversation_id=conversation_id, text=answer)
        message_id = told["event"]["data"]["message_id"]
        sent = await until(
            "the provider has the answer",
            lambda: [o for o in system.ledger.outgoing.values() if o.text == answer],
        )
        assert [one.copies for one in sent] == [1]
        last = RECEIPTS.get(channel, "read")
        await agent.event("message.status_changed", message_id=message_id, status=last)
        await agent.ask("resolve", conversation_id=conversation_id)
        resolved = await agent.event("conversation.resolved", conversation_id=conversation_id)
        assert agent.screen.faults == []
    message = next(one for one in system.ledger.incoming.values() if one.text == question)
    assert message.acknowledged_at is not None
    expected = {
        ("message.received.v1", message.message_id): 1,
        ("message.queued.v1", message_id): 1,
        ("work.assigned.v1", None): 1,
        ("conversation.opened.v1", None): 1,
        ("conversation.resolved.v1", None): 1,
    }
    entries: list[dict[str, Any]] = []

    def counts() -> dict[tuple[str, str | None], int]:
        mine = [e for e in entries if e["conversation_id"] == conversation_id]
        return {
            (kind, name): sum(e["event_type"] == kind and e.get("message_id") == name for e in mine)
            for kind, name in expected
        }

    deadline = time.monotonic() + 10
    while counts() != expected and time.monotonic() < deadline:
        entries = await timeline(system, resolved["contact_id"])
    assert counts() == expected


async def test_an_answer_under_way_when_delivery_is_killed_reaches_the_customer_once(system: World) -> None:
    question, answer = "Apakah toko buka hari ini?", "Buka sampai jam enam sore."
    async with Person(system, "agen-02") as agent:
        writes(system, Channel.WHATSAPP, question, "Agus Halim")
        conversation_id, _ = await agent.take_conversation(question)
        # WhatsApp takes the message and never says so: only a receipt can tell.
        system.provider.trouble = Trouble(limited=0.0, silent=1.0)
        try:
            told = await agent.ask("reply", conversation_id=conversation_id, text=answer)
            message_id = told["event"]["data"]["message_id"]
            await until(
                "the provider has the answer",
                lambda: (Channel.WHATSAPP, message_id) in system.ledger.outgoing,
            )
            system.services.kill("delivery")
        finally:
            system.provider.trouble = Trouble(limited=0.0)
        await system.services.start("delivery")
        await agent.event("message.status_changed", message_id=message_id, status="read")
        # What is said next waits until the first has ended, so its arrival proves that the first was not sent again.
        await agent.ask("reply", conversation_id=conversation_id, text="Ditunggu kedatangannya.")
        await until(
            "the provider has the next answer",
            lambda: any(o.text == "Ditunggu kedatangannya." for o in system.ledger.outgoing.values()),
        )
        await agent.ask("resolve", conversation_id=conversation_id)
    assert system.ledger.outgoing[Channel.WHATSAPP, message_id].copies == 1
