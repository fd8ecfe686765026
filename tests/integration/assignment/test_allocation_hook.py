"""This file proves that somebody's own system can say who gets work, and that no fault of it costs a customer more than its time limit."""

import hashlib
import hmac
from datetime import timedelta

import httpx
import pytest

from libs.contracts.payloads.assignments import ReservationOffered, WorkAssigned, WorkQueued
from libs.contracts.vocabulary import Presence
from tests.e2e.waiting import until
from tests.integration.assignment.centre import Team
from tests.integration.assignment.crm import SECRET
from tests.integration.assignment.seen import kinds, words

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

HOOK = {"allocation_hook": {"within": "5s"}}
NOBODY = "http://127.0.0.1:9/nobody"
"""The port `discard`: nobody listens there."""


@pytest.mark.team({"ayu": 1, "budi": 1}, pool=HOOK)
async def test_the_agent_whom_the_hook_chooses_gets_the_work_and_the_story_says_so(team: Team) -> None:
    await team.comes("ayu", "budi")
    team.desk.names(team.id("budi"), reason="knows the customer")
    chat = await team.writes("Rina")
    offer = await chat.offered(team.id("budi"))
    assert offer.explanation.note == f"allocation hook chose {team.id('budi')}: knows the customer"
    await team.accepts("budi", chat)
    [asked] = team.desk.asked
    assert asked.key == f"{chat.work_item_id}/1"
    assert [agent["agent_id"] for agent in asked.said["agents"]] == [team.id("ayu"), team.id("budi")]
    assert asked.said["conversation_id"] == chat.conversation_id
    stamp, _, mac = asked.headers["x-sambung-signature"].partition(",v1=")
    signed = stamp.removeprefix("t=").encode() + b"." + asked.body
    assert mac == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    story = await team.centre.ask(f"/v1/conversations/{chat.conversation_id}/routing")
    notes = [d["data"].get("explanation", {}).get("note") for d in story["decisions"]]
    assert notes[:2] == ["allocation hook: asked, for 5 s at most", offer.explanation.note]
    assert SECRET not in str(story)


@pytest.mark.team({"ayu": 1, "budi": 1}, pool=HOOK)
async def test_a_choice_of_somebody_who_cannot_take_the_work_is_explained_and_matching_decides(
    team: Team,
) -> None:
    await team.comes("ayu", "budi")
    assert await team.sets("budi", Presence.OFFLINE) == "ok"
    team.desk.names(team.id("budi"))
    chat = await team.writes("Rina")
    offer = await chat.offered(team.id("ayu"))
    assert offer.explanation.note == f"allocation hook chose {team.id('budi')}, who is offline"
    assert words(offer)[team.id("budi")] == "offline"


@pytest.mark.team({"ayu": 2}, pool={"allocation_hook": {"within": "300ms"}})
async def test_a_slow_hook_costs_its_time_limit_and_no_more(team: Team) -> None:
    await team.comes("ayu")
    team.desk.hangs()
    chat = await team.writes("Rina")
    offer = await chat.offered(team.id("ayu"))
    assert offer.explanation.note == "allocation hook: no answer within 300 ms"
    took = offer.occurred_at - chat.told(WorkQueued)[0].occurred_at
    assert timedelta(milliseconds=290) <= took < timedelta(seconds=3)
    # What people do meanwhile does not wait for it.
    other = await team.writes("Sari")
    await team.resolves(other)
    assert kinds(other.events)[-1] in ("work.cancelled", "work.completed ayu")


@pytest.mark.team({"ayu": 9}, pool={"allocation_hook": {"url": NOBODY, "within": "5s"}})
async def test_a_dead_hook_is_not_asked_for_every_customer(team: Team) -> None:
    await team.comes("ayu")
    notes = []
    for name in ("Rina", "Sari", "Tono", "Umi", "Vera", "Wati", "Yuni"):
        offer = await (await team.writes(name)).offered(team.id("ayu"))
        notes.append(offer.explanation.note)
    assert (
        notes
        == ["allocation hook: not reached (ConnectError)"] * 5
        + ["allocation hook: not asked, since it failed 5 times in a row"] * 2
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        figures = (await client.get(f"{team.centre.services['router'].url}/metrics")).text
    hook = f'{{hook="pools.{team.name}"}}'
    assert f"sambung_router_hook_breaker_open{hook} 1.0" in figures
    assert f"sambung_router_hook_asked_total{hook} 5.0" in figures
    answers = f'sambung_router_hook_answers_total{{outcome="breaker",pool="{team.name}"}} 2.0'
    assert answers in figures


@pytest.mark.team({"ayu": 1, "budi": 1}, pool={"allocation_hook": {"within": "10s"}})
async def test_killed_between_asking_and_the_answer_the_router_asks_again_and_assigns_once(
    team: Team,
) -> None:
    await team.comes("ayu", "budi")
    team.desk.hangs()
    chat = await team.writes("Rina")
    await until("the hook is asked", lambda: team.desk.asked)
    pool = await team.centre.ask(f"/v1/pools/{team.name}")
    assert [item["hook_until"] is not None for item in pool["waiting"]] == [True]
    team.centre.services.kill("router")
    team.desk.names(team.id("budi"))
    await team.centre.services.start("router")
    await team.accepts("budi", chat)
    assert {asked.key for asked in team.desk.asked} == {f"{chat.work_item_id}/1"}
    assert len({asked.body for asked in team.desk.asked}) == 1
    assert (len(chat.told(ReservationOffered)), len(chat.told(WorkAssigned))) == (1, 1)
    assert chat.told(WorkAssigned)[0].agent_id == team.id("budi")


@pytest.mark.team({"ayu": 9}, pool=HOOK)
async def test_whatever_the_hook_answers_the_work_is_offered_and_says_why_not_as_it_chose(team: Team) -> None:
    await team.comes("ayu")
    notes = []
    for number, (status, body) in enumerate(
        [
            (200, b"<html>welcome</html>"),
            (200, b"[1]"),
            (302, b""),
            (200, b'{"agent_id": "zaki", "reason": "vip"}'),
            (503, b'{"agent_id": "ayu"}'),
            (200, b'{"agent_id": "' + b"x" * 70_000),
            (200, b'{"agent_id": null, "reason": "new customer"}'),
            (204, b""),
        ]
    ):
        team.desk.says(status, body)
        offer = await (await team.writes(f"customer {number}")).offered(team.id("ayu"))
        notes.append((offer.explanation.note or "").removeprefix("allocation hook"))
    assert notes == [
        ": answered what is no JSON",
        ": answered JSON that is no object",
        ": answered 302",
        f" chose zaki, who is not in pool {team.name}: vip",
        ": answered 503",
        ": answered more than 64 KiB",
        ": no opinion: new customer",
        ": no opinion",
    ]
