"""This file proves timelines over HTTP on the real database: pages that join without gap or repeat, and who may read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from libs.contracts.payloads.base import Content, ProviderError
from libs.contracts.payloads.conversations import (
    MessageEdited,
    MessageReacted,
    MessageStatusChanged,
    NoteAdded,
)
from libs.contracts.vocabulary import ContentKind, MessageStatus
from libs.flow.harness import START, Harness
from libs.service.auth import Bearer, Role, issue
from libs.service.http import application
from services.history.api import routes
from services.history.flow import flow
from services.history.store import Reads
from services.history.streaming import Streams
from tests.flows.test_history import History, resolved_contact, second
from tests.unit.sla.story import AGENT, WORKSPACE, Talk

pytestmark = pytest.mark.postgres

SECRET = SecretStr("a secret of the tests, 32 bytes or more")


@pytest.fixture
async def history(postgres_dsn: str) -> AsyncIterator[History]:
    async with Harness(flow(), postgres_dsn) as harness:
        yield History(harness)


@pytest.fixture
async def client(history: History) -> AsyncIterator[httpx.AsyncClient]:
    time = history.h.time
    reads = Reads(history.h.database)
    bearer = Bearer(SECRET, workspace=WORKSPACE.id, time=time)
    app = application("history", routes(reads, Streams(reads, time, limit=0), bearer))
    life = timedelta(days=9)
    token = issue(SECRET, agent_id="ayu", workspace=WORKSPACE.id, role=Role.AGENT, now=START, lifetime=life)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://history",
        headers={"authorization": f"Bearer {token}"},
    ) as http:
        yield http


async def page(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [entry["entry_id"] for entry in found["entries"]]


async def talk_of(history: History, messages: int) -> Talk:
    """Several at the same second, as providers stamp them."""
    talk = Talk("ana")
    await history.give(resolved_contact(talk, "con_ana", START, "Ana"))
    said = [talk.asked(second(n // 3)).model_copy(update={"contact_id": "con_ana"}) for n in range(messages)]
    await history.give(*said)
    return talk


@pytest.mark.parametrize("limit", [1, 4, 200])
async def test_pages_backwards_and_forwards_join_without_gap_or_repeat(
    history: History, client: httpx.AsyncClient, limit: int
) -> None:
    await talk_of(history, 13)
    path = "/v1/contacts/con_ana/timeline"
    everything = await history.entries()
    found, backwards = await page(client, path, limit=limit), list[str]()
    latest = found
    while True:
        backwards = ids(found) + backwards
        if found["older"] is None:
            break
        found = await page(client, path, limit=limit, before=found["older"])
    assert backwards == everything
    forwards = ids(found)
    while rest := ids(found := await page(client, path, limit=limit, after=found["newer"])):
        forwards += rest
    assert forwards == everything
    assert ids(latest) == everything[-limit:]


async def test_the_end_of_a_timeline_gives_a_cursor_for_what_comes_later(
    history: History, client: httpx.AsyncClient
) -> None:
    talk = await talk_of(history, 2)
    path = "/v1/contacts/con_ana/timeline"
    newer = (await page(client, path))["newer"]
    assert (await page(client, path, after=newer))["newer"] == newer
    await history.give(talk.assigned(second(50)))
    assert [e["text"] for e in (await page(client, path, after=newer))["entries"]] == ["Assigned to ayu"]


async def test_kinds_choose_what_is_shown(history: History, client: httpx.AsyncClient) -> None:
    talk = await talk_of(history, 2)
    await history.give(talk.assigned(second(5)))
    path = "/v1/contacts/con_ana/timeline"
    assert [e["kind"] for e in (await page(client, path, kinds="identity,assignment"))["entries"]] == [
        "identity",
        "assignment",
    ]
    found = await page(client, path, kinds="message", limit=1)
    assert ids(await page(client, path, kinds="message", before=found["older"])) != []


async def test_the_timeline_of_a_conversation_holds_only_its_own_entries(
    history: History, client: httpx.AsyncClient
) -> None:
    ana, budi = Talk("ana"), Talk("budi")
    await history.give(ana.opened(START), budi.opened(START), ana.asked(second(1)), ana.assigned(second(2)))
    found = await page(client, f"/v1/conversations/{ana.id}/timeline")
    assert [e["event_type"] for e in found["entries"]] == [
        "conversation.opened.v1",
        "message.received.v1",
        "work.assigned.v1",
    ]
    assert {e["conversation_id"] for e in found["entries"]} == {ana.id}


async def test_a_contact_without_entries_has_an_empty_timeline(client: httpx.AsyncClient) -> None:
    found = await page(client, "/v1/contacts/con_nobody/timeline")
    assert (found["entries"], found["older"], found["newer"]) == ([], None, None)


async def test_a_message_shows_its_receipts_edits_and_reactions(
    history: History, client: httpx.AsyncClient
) -> None:
    talk = Talk("ana")
    await history.give(talk.opened(START))
    sent = talk.answered(second(1))
    got = talk.asked(second(2))
    ours, theirs = sent.message_id, got.message_id  # type: ignore[attr-defined]

    def about(message_id: str, at: float) -> dict[str, Any]:
        return talk._next(second(at)) | {"message_id": message_id}

    changed = Content(kind=ContentKind.TEXT, text="Halo!")
    await history.give(
        sent,
        got,
        MessageStatusChanged(**about(ours, 4), status=MessageStatus.DELIVERED),
        MessageStatusChanged(**about(ours, 3), status=MessageStatus.SENT),
        MessageEdited(**about(theirs, 5), content=changed),
        MessageReacted(**about(theirs, 6), emoji="👍"),
    )
    found = await page(client, f"/v1/conversations/{talk.id}/timeline", kinds="message")
    first, second_ = found["entries"]
    assert (first["message"]["status"], first["message"]["edited"]) == ("delivered", False)
    assert (first["message"]["content"]["text"], second_["message"]["status"]) == ("Selamat pagi", None)
    assert (second_["content"]["text"], second_["message"]["content"]["text"]) == ("Halo", "Halo!")
    assert second_["message"]["reaction"] == "👍"
    failed = MessageStatusChanged(
        **about(ours, 7),
        status=MessageStatus.FAILED,
        error=ProviderError(code="131026", text="undeliverable"),
    )
    await history.give(failed, MessageEdited(**about(theirs, 8)))
    found = await page(client, f"/v1/conversations/{talk.id}/timeline", kinds="message")
    first, second_ = found["entries"]
    assert first["message"]["status"] == "delivered"
    assert (second_["message"]["withdrawn"], second_["message"]["content"]) == (True, None)


async def test_a_failed_message_shows_why(history: History, client: httpx.AsyncClient) -> None:
    talk = Talk("ana")
    sent = talk.answered(START)
    failed = MessageStatusChanged(
        **talk._next(second(1)),
        message_id=sent.message_id,  # type: ignore[attr-defined]
        status=MessageStatus.FAILED,
        error=ProviderError(code="131026", text="undeliverable"),
    )
    await history.give(sent, failed)
    found = await page(client, f"/v1/conversations/{talk.id}/timeline")
    message, status = found["entries"]
    assert message["message"]["error"]["code"] == "131026"
    assert (status["text"], status["message"]) == ("Message failed: undeliverable", None)


async def test_a_note_is_shown_with_who_wrote_it(history: History, client: httpx.AsyncClient) -> None:
    talk = Talk("ana")
    await history.give(NoteAdded(**talk._next(START), author=AGENT, text="calls back\ntomorrow"))
    (note,) = (await page(client, f"/v1/conversations/{talk.id}/timeline"))["entries"]
    assert (note["kind"], note["text"], note["content"]["text"], note["author"]["agent_id"]) == (
        "note",
        "calls back tomorrow",
        "calls back\ntomorrow",
        "ayu",
    )


async def test_a_contact_point_leads_to_its_contact(history: History, client: httpx.AsyncClient) -> None:
    talk = await talk_of(history, 1)
    found = await page(client, f"/v1/contact-points/{talk.point}")
    assert found == {
        "contact_point_id": talk.point,
        "contact_id": "con_ana",
        "inbox_id": "wa-main",
        "channel": "whatsapp",
        "address": "+6281200000001",
        "name": "Ana",
    }
    answer = await client.get("/v1/contact-points/cpt_nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_contact_point")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"before": "nonsense"}, "bad_cursor"),
        ({"after": "bTEuZW50X2E"}, "bad_cursor"),
        ({"after": "cDEu", "before": "cDEu"}, "two_directions"),
        ({"kinds": "message,love"}, "unknown_kind"),
        ({"kinds": "unknown"}, "unknown_kind"),
        ({"limit": 201}, "invalid_request"),
        ({"before": "x" * 201}, "invalid_request"),
    ],
)
async def test_a_wrong_question_is_refused_with_a_problem(
    client: httpx.AsyncClient, params: dict[str, Any], code: str
) -> None:
    answer = await client.get("/v1/contacts/con_ana/timeline", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_is_shown_without_a_token_of_this_workspace(client: httpx.AsyncClient) -> None:
    other = issue(
        SECRET, agent_id="eve", workspace="other", role=Role.AGENT, now=START, lifetime=timedelta(days=9)
    )
    for path in (
        "/v1/contacts/con_ana/timeline",
        "/v1/conversations/cnv_x/timeline",
        "/v1/contact-points/cpt_x",
        "/v1/contacts/con_ana/timeline/stream",
    ):
        assert (await client.get(path, headers={"authorization": ""})).status_code == 401
        assert (await client.get(path, headers={"authorization": f"Bearer {other}"})).status_code == 403


async def test_more_streams_than_allowed_are_told_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/contacts/con_ana/timeline/stream")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
    assert answer.headers["retry-after"]
