"""This file proves that nobody waits beside an agent who could help, and that whoever waits is told why."""

from re import fullmatch

import pytest

from libs.contracts.payloads.assignments import ReservationOffered, WorkAssigned, WorkQueued
from libs.contracts.vocabulary import Presence
from tests.e2e.waiting import until
from tests.integration.assignment.centre import Team
from tests.integration.assignment.seen import kinds, words

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.mark.team({"ayu": 1}, pool={"decline_memory": "2s"})
async def test_work_that_its_only_agent_declined_waits_explained_and_comes_back_when_the_memory_lapses(
    team: Team,
) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    await team.declines("ayu", chat)
    waiting = await chat.next(WorkQueued, 2)
    assert waiting.reason == "declined"
    assert fullmatch(r"declined \d s ago", words(waiting)[team.id("ayu")] or "")
    again = await chat.next(ReservationOffered, 2)
    assert (again.occurred_at - waiting.occurred_at).total_seconds() >= 1.9
    assert again.waiting_since == waiting.waiting_since
    await team.accepts("ayu", chat)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_work_that_its_only_agent_declined_goes_to_another_who_comes(team: Team) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    await team.declines("ayu", chat)
    assert words(await chat.next(WorkQueued, 2))[team.id("budi")] == "offline"
    await team.comes("budi")
    await team.accepts("budi", chat)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_with_everyone_on_break_work_waits_and_the_first_to_come_back_gets_the_oldest(
    team: Team,
) -> None:
    await team.comes("ayu", "budi")
    assert await team.sets("ayu", Presence.BREAK, "lunch") == "ok"
    assert await team.sets("budi", Presence.BREAK, "lunch") == "ok"
    oldest, younger = await team.writes("Rina"), await team.writes("Sari")
    for chat in (oldest, younger):
        assert chat.waits is not None
        assert words(chat.waits) == {team.id("ayu"): "break (lunch)", team.id("budi"): "break (lunch)"}
    await team.comes("budi")
    await team.accepts("budi", oldest)
    assert younger.waits is not None
    await team.comes("ayu")
    await team.accepts("ayu", younger)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_a_returning_chat_whose_last_agent_is_offline_goes_to_another(team: Team) -> None:
    await team.comes("ayu")
    await team.accepts("ayu", chat := await team.writes("Rina"))
    await team.resolves(chat)
    assert await team.sets("ayu", Presence.OFFLINE) == "ok"
    await team.comes("budi")
    again = await team.writes("Rina")
    assert words(await again.next(ReservationOffered, 2)) == {
        team.id("budi"): None,
        team.id("ayu"): "offline",
    }
    await team.accepts("budi", again)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_a_returning_chat_goes_to_its_last_agent_who_is_free_and_says_so(team: Team) -> None:
    await team.comes("ayu", "budi")
    await team.accepts("ayu", chat := await team.writes("Rina"))
    await team.resolves(chat)
    # Budi has been idle for longer: only that she had it last speaks for Ayu.
    again = await team.writes("Rina")
    offer = await again.next(ReservationOffered, 2)
    assert offer.agent_id == team.id("ayu")
    assert offer.explanation.note == "had this conversation last"


@pytest.mark.team({"ayu": 3})
async def test_who_has_waited_longest_is_taken_first_each_time_that_somebody_frees_up(team: Team) -> None:
    await team.comes("ayu")
    first, second, third = [await team.writes(name) for name in ("Rina", "Sari", "Tono")]
    for chat in (first, second, third):
        await team.accepts("ayu", chat)
    fourth, fifth = await team.writes("Umi"), await team.writes("Vera")
    assert fourth.waits is not None
    assert words(fourth.waits) == {team.id("ayu"): "capacity 3/3"}
    await team.resolves(second)
    await team.accepts("ayu", fourth)
    assert fifth.waits is not None
    await team.resolves(first)
    await team.accepts("ayu", fifth)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_a_waiting_chat_is_offered_as_soon_as_somebody_comes_online(team: Team) -> None:
    chat = await team.writes("Rina")
    assert chat.waits is not None
    assert words(chat.waits) == {team.id("ayu"): "offline", team.id("budi"): "offline"}
    await team.comes("budi")
    offer = await chat.offered(team.id("budi"))
    # In the same decision: the offer is told with the time at which she came.
    came = await team.shown("budi", "came", lambda state: state.presence is Presence.AVAILABLE)
    assert (offer.occurred_at - came.occurred_at).total_seconds() == 0


@pytest.mark.team({"ayu": 2, "budi": 1})
async def test_work_that_came_while_everybody_was_offline_is_taken_later_oldest_first(team: Team) -> None:
    await team.comes("ayu")
    assert await team.sets("ayu", Presence.OFFLINE) == "ok"
    chats = [await team.writes(name) for name in ("Rina", "Sari", "Tono")]
    assert all(chat.waits for chat in chats)
    await team.comes("ayu", "budi")
    for agent, chat in zip(("ayu", "ayu", "budi"), chats, strict=True):
        await team.accepts(agent, chat)
    assert [kinds(chat.events)[-2:] for chat in chats] == [
        ["reservation.accepted ayu", "work.assigned ayu"],
        ["reservation.accepted ayu", "work.assigned ayu"],
        ["reservation.accepted budi", "work.assigned budi"],
    ]


@pytest.mark.team({"ayu": 1, "budi": 1}, queue={"skills": {"refund": 2}}, skills={"ayu": {"refund": 1}})
async def test_work_is_not_given_to_those_who_may_not_do_it_however_free_they_are(team: Team) -> None:
    await team.comes("ayu", "budi")
    chat = await team.writes("Rina")
    assert chat.waits is not None
    assert words(chat.waits) == {team.id("ayu"): "skill refund 1 < 2", team.id("budi"): "skill refund 0 < 2"}
    assert [team.now(agent).load for agent in ("ayu", "budi")] == [0, 0]


@pytest.mark.team({"ayu": 1})
async def test_what_waits_is_in_the_pool_and_in_its_story_as_soon_as_it_is_told(team: Team) -> None:
    chat = await team.writes("Rina")
    pool = await team.centre.ask(f"/v1/pools/{team.name}")
    assert [item["work_item_id"] for item in pool["waiting"]] == [chat.work_item_id]
    story = await team.centre.ask(f"/v1/conversations/{chat.conversation_id}/routing")
    (decision,) = story["decisions"]
    assert decision["type"] == WorkQueued.type
    assert decision["data"]["explanation"]["candidates"][0]["rejected"] == "offline"


@pytest.mark.team({"ayu": 1, "budi": 1}, pool={"presence_lease": "2s", "grace": "2s"})
async def test_the_work_of_an_agent_who_vanished_goes_on_with_its_age_and_one_who_only_flapped_keeps_it(
    team: Team,
) -> None:
    await team.comes("ayu")
    await team.accepts("ayu", chat := await team.writes("Rina"))
    since = chat.told(WorkQueued)[0].waiting_since
    # Her connection drops and comes back within the grace: nothing moves.
    await team.shown("ayu", "is lost", lambda state: state.reason == "lost")
    await team.beats("ayu")
    await team.shown("ayu", "is back", lambda state: state.presence is Presence.AVAILABLE)
    assert kinds(chat.events)[-1] == "work.assigned ayu"
    # Then she is gone for good.
    back = await chat.next(WorkQueued, 2)
    assert (back.reason, back.waiting_since) == ("agent_lost", since)
    assert words(back) == {team.id("ayu"): "offline (lost)", team.id("budi"): "offline"}
    await team.comes("budi")
    await team.accepts("budi", chat)
    assert [told.agent_id for told in chat.told(WorkAssigned)] == [team.id("ayu"), team.id("budi")]
    await until("budi holds it alone", lambda: team.now("budi").work_item_ids == (chat.work_item_id,))
