"""This file proves on the real database who is taken for the same person, across inboxes, lanes and crashes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.contracts.envelope import Event, decode
from libs.contracts.ids import contact_id
from libs.contracts.payloads.base import Identifier
from libs.contracts.payloads.conversations import ConversationOpened
from libs.contracts.payloads.identity import ContactPointLinked, MergeSuggested
from libs.contracts.payloads.inbound import SignalIngested
from libs.contracts.vocabulary import IdentifierKind
from libs.flow.harness import Harness
from services.router.conversations.store import ConversationStore
from tests.flows.conversations_desk import Desk, kinds, only, opened
from tests.unit.router.conversations.examples import WORKSPACE, email, external, message, phone, point_of

pytestmark = pytest.mark.postgres

SITI_WA, SITI_WEB, SITI_TG = point_of(), point_of("visitor-1", "web"), point_of("777", "tg")
NUMBER = "+6281234567890"


@pytest.fixture
async def desk(postgres_dsn: str) -> AsyncIterator[Desk]:
    async with opened(postgres_dsn) as found:
        yield found


def links(desk: Desk) -> dict[str, str]:
    """Contact point -> contact."""
    linked = [event.data for event in desk.h.emitted if isinstance(event.data, ContactPointLinked)]
    return {one.contact_point_id: one.contact_id for one in linked}


def suggestions(desk: Desk) -> set[tuple[str, str, str]]:
    return {
        (one.contact_id, one.other_contact_id, one.reason)
        for one in (event.data for event in desk.h.emitted)
        if isinstance(one, MergeSuggested)
    }


async def test_verified_number_in_any_spelling_links_a_second_contact_point(desk: Desk) -> None:
    await desk.says(identifiers=(phone("+62 812-3456-7890"),))
    events = await desk.says(address="visitor-1", inbox="web", identifiers=(phone("0062 812 3456 7890"),))
    linked = only(events, "contact_point.linked")
    assert linked.contact_id == contact_id(SITI_WA)
    assert linked.evidence == (phone(NUMBER),)
    assert only(events, "conversation.opened").contact_id == contact_id(SITI_WA)
    (edges,) = await desk.h.rows("select count(*) from evidence where contact_id = $1", contact_id(SITI_WA))
    assert edges[0] == 2


async def test_number_typed_into_web_chat_never_links(desk: Desk) -> None:
    """The attack: somebody types another person's number to be shown their history."""
    await desk.says(identifiers=(phone(NUMBER),))
    events = await desk.says(address="visitor-1", inbox="web", identifiers=(phone(NUMBER, verified=False),))
    assert only(events, "contact_point.linked").contact_id == contact_id(SITI_WEB)
    suggested = only(events, "merge.suggested")
    assert (suggested.other_contact_id, suggested.reason) == (contact_id(SITI_WA), "claimed")
    assert suggested.evidence == (phone(NUMBER, verified=False),)


async def test_number_typed_before_its_owner_is_seen_does_not_take_the_owner_over(desk: Desk) -> None:
    await desk.says(address="visitor-1", inbox="web", identifiers=(phone(NUMBER, verified=False),))
    await desk.says(identifiers=(phone(NUMBER),))
    assert links(desk) == {SITI_WEB: contact_id(SITI_WEB), SITI_WA: contact_id(SITI_WA)}
    assert suggestions(desk) == {(contact_id(SITI_WA), contact_id(SITI_WEB), "claimed")}


async def test_strongest_of_conflicting_identifiers_wins_and_the_other_is_suggested(desk: Desk) -> None:
    await desk.says(identifiers=(phone(NUMBER),))
    await desk.says(address="777", inbox="tg", identifiers=(email("siti@toko.id"),))
    both = (email("Siti@Toko.ID"), phone(NUMBER))
    await desk.says(address="visitor-1", inbox="web", identifiers=both)
    assert links(desk)[SITI_WEB] == contact_id(SITI_WA)
    assert suggestions(desk) == {(contact_id(SITI_WA), contact_id(SITI_TG), "conflicting")}


async def test_different_ids_in_the_owners_books_are_never_one_person(desk: Desk) -> None:
    await desk.says(identifiers=(phone(NUMBER), external("C-1")))
    await desk.says(address="visitor-1", inbox="web", identifiers=(phone(NUMBER), external("C-2")))
    assert links(desk)[SITI_WEB] == contact_id(SITI_WEB)
    assert suggestions(desk) == {(contact_id(SITI_WEB), contact_id(SITI_WA), "conflicting")}


async def test_identifier_shown_later_is_claimed_for_the_contact_that_is_known(desk: Desk) -> None:
    await desk.says(address="visitor-1", inbox="web")
    await desk.h.crash()
    assert kinds(await desk.says(address="visitor-1", inbox="web", identifiers=(external("C-1"),))) == [
        "message.received"
    ]
    await desk.says(identifiers=(external("C-1"),))
    assert links(desk)[SITI_WA] == contact_id(SITI_WEB)


async def test_identifier_shown_later_that_another_contact_holds_is_a_suggestion(desk: Desk) -> None:
    await desk.says(identifiers=(external("C-1"),))
    await desk.says(address="visitor-1", inbox="web")
    events = await desk.says(address="visitor-1", inbox="web", identifiers=(external("C-1"),))
    assert kinds(events) == ["merge.suggested", "message.received"]
    again = await desk.says(address="visitor-1", inbox="web", identifiers=(external("C-1"),))
    assert kinds(again) == ["message.received"]


async def test_number_change_told_by_the_provider_leads_the_new_number_to_the_same_contact(
    desk: Desk,
) -> None:
    await desk.says(identifiers=(phone(NUMBER),))
    item = message()
    change = SignalIngested(
        **item.model_dump(
            exclude={"item_id", "provider_message_id", "content", "reply_to", "echo", "identifiers"}
        ),
        item_id="change",
        identifiers=(phone("+6289876543210"),),
        kind="number_changed",
    )
    assert kinds(await desk.item(change)) == ["note.added"]
    await desk.says(address="6289876543210", identifiers=(phone("+6289876543210"),))
    assert links(desk)[point_of("6289876543210")] == contact_id(SITI_WA)


async def test_junk_links_nobody(desk: Desk) -> None:
    junk = (phone("0000000000"), email("test@test.com"), external("null"), external("anonymous"))
    await desk.says(identifiers=junk)
    await desk.says(address="visitor-1", inbox="web", identifiers=junk)
    assert len(set(links(desk).values())) == 2
    assert suggestions(desk) == set()
    assert await desk.h.rows("select 1 from evidence") == []


async def test_sender_in_a_group_chat_is_not_the_contact_point(desk: Desk) -> None:
    def member(name: str) -> tuple[Identifier, ...]:
        return (Identifier(kind=IdentifierKind.CHANNEL_USER, value=f"telegram:{name}", verified=True),)

    await desk.says(address="777", inbox="tg", identifiers=member("777"))
    await desk.says(address="-100", inbox="tg", identifiers=member("777"))
    assert len(set(links(desk).values())) == 2


async def test_two_contact_points_of_one_person_in_one_batch_are_one_contact(desk: Desk) -> None:
    """All on one lane or not: what the first appends, the second sees."""
    records = []
    for number in range(60):
        one = message(f"m{number}", address=f"a{number}", inbox="web", identifiers=(phone(NUMBER),))
        records.append(desk.h.record(one, key=one.contact_point_id, id=one.item_id, source="/ingest/web"))
    events = await desk.h.feed(records)
    assert len({event.data.contact_id for event in events if isinstance(event.data, ConversationOpened)}) == 1


async def test_decision_made_before_a_crash_stands_after_it(postgres_dsn: str) -> None:
    """Evidence is appended before the batch commits; a batch that is lost decides the same when it is taken again."""
    async with opened(postgres_dsn) as desk:
        await desk.says(address="777", inbox="tg", identifiers=(email("siti@toko.id"),))
        first = await _look(desk.h, message("m", identifiers=(phone(NUMBER), email("siti@toko.id"))))
        await desk.h.crash()
        # Meanwhile somebody else shows the same number, and a claim comes in.
        await desk.says(address="visitor-1", inbox="web", identifiers=(phone(NUMBER),))
        await desk.says(address="v2", inbox="web", identifiers=(email("siti@toko.id", verified=False),))
        events = await desk.says(name="m", identifiers=(phone(NUMBER), email("siti@toko.id")))
        linked = only(events, "contact_point.linked")
        assert linked.contact_id == first == contact_id(SITI_TG)
        assert linked.evidence == (email("siti@toko.id"),)
        assert links(desk)[SITI_WEB] == contact_id(SITI_TG)
        assert "merge.suggested" not in kinds(events)


async def test_lanes_that_see_one_person_at_the_same_moment_agree_on_one_contact(postgres_dsn: str) -> None:
    async with opened(postgres_dsn) as desk:
        for turn in range(5):
            shown = (phone(f"+62812345678{turn:02}"), external(f"C-{turn}"), email(f"siti{turn}@toko.id"))
            items = [
                message(
                    f"m{turn}",
                    address=f"p{turn}.{n}",
                    inbox="web",
                    identifiers=shown[n % 3 :] + shown[: n % 3],
                )
                for n in range(8)
            ]
            contacts = await asyncio.gather(*[_look(desk.h, item) for item in items])
            assert len(set(contacts)) == 1
        (row,) = await desk.h.rows("select count(distinct contact_id) from evidence")
        assert row[0] == 5


async def _look(harness: Harness, item: Any) -> str:
    """What a lane decides about an item before it handles it, and then is killed."""
    record = harness.record(item, key=item.contact_point_id, id=item.item_id, source="/ingest/x")
    event: Event[Any] = decode(record.key, record.value, record.headers)
    store = ConversationStore(0, WORKSPACE)
    await store.load(harness.database, [event])
    sighting = store.sighting(event)
    assert sighting is not None
    return sighting.decision.contact_id
