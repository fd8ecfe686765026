"""This file proves that two teams who lend each other work lose and double none while the router is killed under them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.stack import LocalStack
from libs.contracts.payloads.assignments import ReservationOffered, WorkAssigned, WorkCompleted, WorkQueued
from libs.contracts.payloads.commands import AcceptReservation
from libs.contracts.vocabulary import Presence
from libs.flow.topics import create
from tests.e2e.waiting import until
from tests.integration.assignment.centre import PROGRAM, Centre, Chat, Plan, Team

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

HOME, OTHER = "01", "02"
AGENTS = {"ayu": 1, "budi": 2}
PLANS = {
    HOME: Plan(AGENTS, {"missed": "stay"}, {"relax": [{"after": "1s", "pools": [OTHER]}]}),
    OTHER: Plan(AGENTS, {"missed": "stay"}, {"relax": [{"after": "1s", "pools": [HOME]}]}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def teams(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Team, Team]]:
    """Two teams on a router and a broker of their own: the router is killed here."""
    stack = LocalStack()
    servers = await asyncio.to_thread(stack.start)
    try:
        await create(servers.kafka)
        centre = Centre(servers, Path(tmp_path_factory.mktemp("lending")), PLANS)
        try:
            await centre.start()
            yield Team(centre, HOME), Team(centre, OTHER)
        finally:
            await centre.stop()
    finally:
        await asyncio.to_thread(stack.stop)


class Day:
    """Agents take what they are offered, and end it, until every customer was served."""

    def __init__(self, team: Team, chats: list[Chat]) -> None:
        self.team, self.chats = team, chats
        self.accepted: set[str] = set()
        self.ended: set[str] = set()

    async def go_on(self) -> bool:
        """Answer what is new. Whether all are served."""
        for chat in self.chats:
            last = chat.events[-1] if chat.events else None
            if isinstance(last, ReservationOffered) and last.reservation_id not in self.accepted:
                self.accepted.add(last.reservation_id)
                asked = AcceptReservation(
                    agent_id=last.agent_id, pool=last.pool, reservation_id=last.reservation_id
                )
                await self.team.centre.publish(Team(self.team.centre, last.pool).named(asked)[1])
            if isinstance(last, WorkAssigned) and last.work_item_id not in self.ended:
                self.ended.add(last.work_item_id)
                await self.team.centre.publish(self.team.resolution(chat, PROGRAM)[1])
        return all(chat.told(WorkCompleted) for chat in self.chats)

    async def served(self, count: int) -> None:
        """Until so many were."""

        async def go_on() -> bool:
            await self.go_on()
            return sum(bool(chat.told(WorkCompleted)) for chat in self.chats) >= count

        async with asyncio.timeout(60):
            while not await go_on():
                await asyncio.sleep(0.02)


async def test_every_customer_is_served_once_by_either_team_though_the_router_is_killed(
    teams: tuple[Team, Team],
) -> None:
    home, other = teams
    await home.comes("ayu")
    await other.comes("ayu", "budi")
    chats = await home.write_at_once(*(f"customer-{n}" for n in range(24)))
    day = Day(home, chats)
    for served in (3, 8, 14):
        await day.served(served)
        home.centre.services.kill("router")
        await home.centre.services.start("router")
    await day.served(len(chats))
    for team in teams:
        assert team.seen.objections(team.name) == []
    by_pool = {given.pool for chat in chats for given in chat.told(WorkAssigned)}
    assert by_pool == {HOME, OTHER}
    for chat in chats:
        assert len(chat.told(WorkCompleted)) == 1
        assert {queued.queue for queued in chat.told(WorkQueued)} == {HOME}
    for team, agent in ((home, "ayu"), (other, "ayu"), (other, "budi")):
        await team.shown(agent, "is free", lambda state: state.load == 0)


async def test_the_story_of_lent_work_is_one(teams: tuple[Team, Team]) -> None:
    home, other = teams
    await home.sets("ayu", presence=Presence.OFFLINE)
    chat = await home.writes("Rina")
    offer = await chat.next(ReservationOffered)
    assert offer.pool == OTHER
    assert offer.explanation.note == f"lent by pool {HOME} at step 1"
    path = f"/v1/conversations/{chat.conversation_id}/routing"
    story = await home.centre.ask(path, lambda found: len(found["decisions"]) >= 3)
    told = [(d["type"], d["data"]["pool"], d["version"]) for d in story["decisions"][:3]]
    assert told == [
        ("work.queued.v1", HOME, 1),
        ("work.queued.v1", HOME, 2),
        ("reservation.offered.v1", OTHER, 3),
    ]
    assert story["decisions"][1]["data"]["explanation"]["note"] == f"agents of pool {OTHER} may take it too"
    shown = await home.centre.ask(f"/v1/pools/{OTHER}", lambda page: bool(page["counts"]))
    assert shown["counts"] == {"offered": 1}
    await other.accepts(offer.agent_id.rpartition("-")[0], chat)
    await home.resolves(chat)
    await until("it has ended", lambda: chat.told(WorkCompleted) or None)
