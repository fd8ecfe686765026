"""This file proves that of several who want the same thing at the same moment each gets one clear answer and the work one holder."""

import asyncpg
import pytest

from libs.contracts.payloads.assignments import (
    ReservationExpired,
    ReservationOffered,
    WorkAssigned,
    WorkQueued,
)
from libs.contracts.payloads.base import Author
from libs.contracts.topics import partition_of, topic_map
from libs.contracts.vocabulary import AuthorKind, Presence
from tests.e2e.waiting import until
from tests.integration.assignment.centre import PROGRAM, Centre, Team
from tests.integration.assignment.seen import kinds, words

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

OWNER = """
select substring(owner from '[.]([0-9]+)[.][0-9a-f]+$')::int from router.lane where flow = 'assignment' and lane = $1
"""
"""The id of the process that owns a lane of matching."""


@pytest.mark.team({"ayu": 1, "budi": 1}, pool={"reservation_lease": "2s"})
async def test_an_accept_after_the_offer_expired_is_refused_and_the_work_goes_to_another(team: Team) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    offer = await chat.offered(team.id("ayu"))
    await chat.next(ReservationExpired)
    assert await team.tell(team.accept("ayu", offer.reservation_id)) == "expired"
    waiting = await chat.next(WorkQueued, 2)
    assert waiting.reason == "expired"
    assert words(waiting) == {team.id("ayu"): "busy (missed)", team.id("budi"): "offline"}
    await team.comes("budi")
    await team.accepts("budi", chat)
    assert [told.agent_id for told in chat.told(WorkAssigned)] == [team.id("budi")]


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_of_two_agents_who_accept_one_offer_at_once_the_one_who_was_asked_gets_it(team: Team) -> None:
    await team.comes("ayu", "budi")
    chat = await team.writes("Rina")
    reservation = (await chat.offered(team.id("ayu"))).reservation_id
    said = await team.tell(team.accept("budi", reservation), team.accept("ayu", reservation))
    assert said == "not_yours ok"
    await chat.held(team.id("ayu"))
    assert len(chat.told(WorkAssigned)) == 1
    assert (team.now("ayu").load, team.now("budi").load) == (1, 0)


@pytest.mark.team({"ayu": 2})
async def test_an_agent_who_accepts_twice_is_told_yes_twice_and_has_the_work_once(team: Team) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    asked = team.accept("ayu", (await chat.offered(team.id("ayu"))).reservation_id)
    (first, click), (second, other_screen) = team.named(asked), team.named(asked)
    # The first command is repeated too, as by a desktop that did not hear the answer.
    await team.centre.publish(click, other_screen, click)
    assert [await team.answer(first), await team.answer(second)] == ["ok", "ok"]
    later = await team.writes("Sari")
    await team.accepts("ayu", later)
    assert kinds(chat.events) == [
        "work.queued", "reservation.offered ayu", "reservation.accepted ayu", "work.assigned ayu",
    ]  # fmt: skip
    assert team.now("ayu").load == 2


@pytest.mark.team({"ayu": 1})
async def test_an_accept_beside_the_end_of_the_conversation_leaves_nobody_holding_it(team: Team) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    asked = team.accept("ayu", (await chat.offered(team.id("ayu"))).reservation_id)
    (command, click), (_, end) = team.named(asked), team.resolution(chat, PROGRAM)
    await team.centre.publish(end, click)
    assert await team.answer(command) in ("ok", "rescinded")
    await until(
        "the work is over", lambda: kinds(chat.events)[-1] in ("work.cancelled", "work.completed ayu")
    )
    await team.shown("ayu", "is free again", lambda state: state.load == 0)
    await team.accepts("ayu", await team.writes("Sari"))


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_an_accept_beside_a_transfer_by_a_program_ends_with_the_agent_whom_the_program_chose(
    team: Team,
) -> None:
    await team.comes("ayu", "budi")
    chat = await team.writes("Rina")
    asked = team.accept("ayu", (await chat.offered(team.id("ayu"))).reservation_id)
    command, click = team.named(asked)
    await team.centre.publish(team.transfer(chat, "budi"), click)
    assert await team.answer(command) in ("ok", "rescinded")
    await until("it is offered to Budi", lambda: kinds(chat.events)[-1:] == ["reservation.offered budi"])
    await team.accepts("budi", chat)
    await team.shown("ayu", "holds nothing", lambda state: state.load == 0)


@pytest.mark.team({"ayu": 1, "budi": 1, "citra": 2})
async def test_what_a_supervisor_gave_by_hand_is_never_taken_back_by_matching(team: Team) -> None:
    await team.comes("ayu")
    await team.accepts("ayu", await team.writes("Rina"))
    await team.comes("budi")
    chat = await team.writes("Sari")
    offer = await chat.offered(team.id("budi"))
    assert await team.forces("ayu", chat) == "ok"
    assert await team.tell(team.accept("budi", offer.reservation_id)) == "rescinded"
    # Everything that makes matching look again: work, agents who are free, a break, a sign of life.
    await team.comes("citra")
    other = await team.writes("Tono")
    await other.next(ReservationOffered)
    for presence in (Presence.BREAK, Presence.AVAILABLE):
        assert await team.sets("ayu", presence) == "ok"
    await team.beats("citra")
    assert await team.sets("citra", Presence.BUSY) == "ok"
    assert kinds(chat.events) == [
        "work.queued", "reservation.offered budi", "reservation.rescinded budi", "work.assigned ayu",
    ]  # fmt: skip
    (given,) = chat.told(WorkAssigned)
    assert given.forced_by == "sri"
    assert words(given) == {team.id("ayu"): "capacity 1/1"}
    assert (team.now("ayu").load, team.now("ayu").capacity) == (2, 1)


@pytest.mark.team({"ayu": 3, "budi": 3, "citra": 3})
async def test_no_limit_is_passed_however_many_ask_at_once(team: Team) -> None:
    await team.comes("ayu", "budi", "citra")
    chats = await team.write_at_once(*(f"customer {number}" for number in range(30)))
    for still in (21, 12, 3):
        offers = await until("nine are offered", lambda: _standing(team, 9))
        waiting = [chat.waits for chat in chats if chat.waits]
        assert len(waiting) == still
        assert {reason for told in waiting for reason in words(told).values()} == {"capacity 3/3"}
        accepts = [team.accept(offer.agent_id.partition("-")[0], offer.reservation_id) for offer in offers]
        assert await team.tell(*accepts) == " ".join(["ok"] * 9)
        held = [c for c in chats if kinds(c.events)[-1].startswith("work.assigned")]
        assert len(held) == 9
        await team.centre.publish(*(team.resolution(chat, PROGRAM)[1] for chat in held))
    # On the way the fixture has looked at every state of every agent.
    most = {agent: max(s.load for s in team.seen.agents[team.id(agent)]) for agent in team.plan.agents}
    assert most == {"ayu": 3, "budi": 3, "citra": 3}


def _standing(team: Team, number: int) -> list[ReservationOffered]:
    """The team's standing offers, once there are so many."""
    last = [held.events[-1] for held in team.seen.work.values()]
    standing = [e for e in last if isinstance(e, ReservationOffered) and e.pool == team.name]
    return standing if len(standing) == number else []


@pytest.mark.team({"ayu": 3, "budi": 3, "citra": 3}, pool={"auto_accept": True})
async def test_chats_that_come_at_once_are_shared_evenly_although_one_agent_could_take_more(
    team: Team,
) -> None:
    await team.comes("ayu", "budi", "citra")
    chats = await team.write_at_once(*(f"customer {number}" for number in range(6)))
    for chat in chats:
        await chat.next(WorkAssigned)
    agents = [told.agent_id.partition("-")[0] for chat in chats for told in chat.told(WorkAssigned)]
    assert sorted(agents) == ["ayu", "ayu", "budi", "budi", "citra", "citra"]


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_nobody_but_its_holder_and_a_supervisor_can_end_a_conversation(team: Team) -> None:
    await team.comes("ayu", "budi")
    await team.accepts("ayu", chat := await team.writes("Rina"))

    async def ends(agent_id: str) -> str | None:
        """The code of the refusal, None where it was done."""
        name, record = team.resolution(chat, Author(kind=AuthorKind.AGENT, agent_id=agent_id))
        await team.centre.publish(record)

        def decided() -> bool:
            return name in team.seen.refused or kinds(chat.events)[-1] == "work.completed ayu"

        await until(f"{agent_id}'s command is answered", decided)
        return team.seen.refused[name].code if name in team.seen.refused else None

    path, holder = f"/v1/conversations/{chat.conversation_id}", team.id("ayu")
    await team.centre.ask(path, until=lambda conversation: conversation["agent_id"] == holder)
    assert await ends(team.id("budi")) == "not_yours"
    assert await ends("sri") is None


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_a_router_that_hung_while_another_took_over_gives_nothing_a_second_time(
    team: Team, centre: Centre
) -> None:
    await team.comes("ayu")
    chat = await team.writes("Rina")
    reservation = (await chat.offered(team.id("ayu"))).reservation_id
    await team.comes("budi")
    centre.services.add("router.2")
    await centre.services.start("router.2")
    owner = await _owner(centre, team)
    try:
        centre.services.suspend(owner)
        said = await team.tell(*(team.accept(agent, reservation) for agent in ("ayu", "budi", "ayu")))
        assert said == "ok not_yours ok"
        assert await _owner(centre, team) != owner
        centre.services.resume(owner)
        await team.accepts("budi", await team.writes("Sari"))
    finally:
        centre.services.resume(owner)
        await centre.services.stop("router.2")
    await team.resolves(chat)
    await team.accepts("ayu", await team.writes("Tono"))
    assert len(chat.told(WorkAssigned)) == 1


async def _owner(centre: Centre, team: Team) -> str:
    """The process that serves the lane of the team's pool."""
    lane = partition_of(team.name.encode(), topic_map().partitions)
    connection = await asyncpg.connect(centre.servers.postgres)
    try:
        owner = await connection.fetchval(OWNER, lane)
    finally:
        await connection.close()
    return next(s.name for s in centre.services.all if s.running and s.pid == owner)
