"""This file proves that work finds its way when agents and limits in the workspace change between two starts of the router."""

import pytest

from libs.contracts.payloads.assignments import ReservationOffered, WorkQueued
from libs.contracts.vocabulary import Presence
from tests.integration.assignment.centre import Team
from tests.integration.assignment.seen import words

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_an_agent_who_is_deleted_loses_the_work_and_one_who_is_created_again_gets_new_work(
    team: Team,
) -> None:
    await team.comes("ayu")
    await team.accepts("ayu", chat := await team.writes("Rina"))
    since = chat.told(WorkQueued)[0].waiting_since
    del team.plan.agents["ayu"]
    await team.centre.restart()
    await team.comes("budi")
    again = await chat.next(WorkQueued, 2)
    assert (again.reason, again.waiting_since) == ("agent_removed", since)
    assert team.now("ayu").reason == "not in this pool"
    await team.accepts("budi", chat)
    team.plan.agents["ayu"] = 1
    await team.centre.restart()
    later = await team.writes("Sari")
    assert later.waits is not None
    assert words(later.waits) == {team.id("ayu"): "offline", team.id("budi"): "capacity 1/1"}
    await team.comes("ayu")
    await team.accepts("ayu", later)
    assert team.now("budi").work_item_ids == (chat.work_item_id,)


@pytest.mark.team({"ayu": 3})
async def test_a_limit_lowered_below_the_load_takes_nothing_away_and_gives_nothing_before_there_is_room(
    team: Team,
) -> None:
    await team.comes("ayu")
    held = [await team.writes(name) for name in ("Rina", "Sari", "Tono")]
    for chat in held:
        await team.accepts("ayu", chat)
    team.plan.agents["ayu"] = 1
    await team.centre.restart()
    chat = await team.writes("Umi")
    assert chat.waits is not None
    assert words(chat.waits) == {team.id("ayu"): "capacity 3/1"}
    assert team.now("ayu").work_item_ids == tuple(sorted(c.work_item_id for c in held))
    await team.resolves(*held[:2])
    last = await team.shown("ayu", "holds one", lambda state: state.load == 1)
    assert last.work_item_ids == (held[2].work_item_id,)
    assert chat.waits is not None
    await team.resolves(held[2])
    await team.accepts("ayu", chat)


@pytest.mark.team({"ayu": 1, "budi": 1})
async def test_work_of_a_team_that_was_emptied_waits_explained_until_the_team_is_back(team: Team) -> None:
    await team.comes("ayu", "budi")
    offered = await team.writes("Rina")
    await offered.offered(team.id("ayu"))
    before = dict(team.plan.agents)
    team.plan.agents.clear()
    await team.centre.restart()
    asked = await team.writes("Sari")
    assert asked.waits is not None
    assert (asked.waits.explanation.considered, words(asked.waits)) == (0, {})
    back = await offered.next(WorkQueued, 2)
    assert (back.reason, words(back)) == ("rescinded", {})
    team.plan.agents.update(before)
    await team.centre.restart()
    await team.comes("budi", "ayu")
    await team.accepts("budi", offered)
    await team.accepts("ayu", asked)
    assert len(offered.told(ReservationOffered)) == 2
    assert team.now("ayu").presence is Presence.AVAILABLE
