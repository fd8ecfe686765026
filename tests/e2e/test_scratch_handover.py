import pytest
from tests.e2e.test_story import Channel, Person, Trouble, World, writes, until, pytestmark
async def test_handover(system: World) -> None:
    question, answer = "Telegram?", "Ya, Telegram."
    async with Person(system, "agen-02") as agent:
        writes(system, Channel.TELEGRAM, question, "Agus Halim")
        conversation_id, _ = await agent.take_conversation(question)
        system.provider.trouble = Trouble(limited=0.0, slow=0.6)
        told = await agent.ask("reply", conversation_id=conversation_id, text=answer)
        await until("has", lambda: any(o.text == answer for o in system.ledger.outgoing.values()))
        await system.services.stop("delivery")
        await system.services.start("delivery")
        await agent.event("message.status_changed", message_id=told["event"]["data"]["message_id"], status="accepted")
        print("COPIES", [o.copies for o in system.ledger.outgoing.values() if o.text==answer])
