"""Conversations that memory has in part are completed from the projection, however far behind it is."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads.conversations import ConversationEvent
from libs.flow.database import DatabaseAway
from libs.timesource import ManualTime
from services.desk.domain.conversation import Conversation, Message
from services.desk.fold import conversation_after
from services.desk.live import restoring
from services.desk.live.restoring import WAITS, Restorer
from services.desk.live.view import Open
from tests.unit.desk.story import POOLS, START, Talk
from tests.unit.desk.test_live import Desk

Row = tuple[Conversation, tuple[Message, ...]]


def row(events: Iterable[ConversationEvent]) -> Row:
    known: Conversation | None = None
    latest: tuple[Message, ...] = ()
    for event in events:
        known, latest = conversation_after(known, latest, event, cause="", pools=POOLS)
    assert known is not None
    return known, latest


class Tables:
    """The projection: each reading takes the next of what it will say."""

    def __init__(self, *readings: Row | Exception | None) -> None:
        self.readings = list(readings)

    async def conversations(self, _database: Any, ids: Iterable[str]) -> dict[str, Row]:
        said = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        if isinstance(said, Exception):
            raise said
        return {} if said is None else dict.fromkeys(ids, said)


class PassingTime(ManualTime):
    """Sleeping moves it."""

    async def sleep(self, seconds: float) -> None:
        await self.advance(timedelta(seconds=seconds))


class Case:
    """A conversation of which five events happened before this process began, and one since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self.talk, self.whole = Desk(), Talk(), list[Open]()
        self.before: list[ConversationEvent] = [
            self.talk.opened(),
            *[self.talk.received(str(n)) for n in range(3)],
        ]
        self.since = self.talk.received("baru")
        self.desk.say(self.since, self.talk.work(a.WorkAssigned, agent_id="ayu"))
        self.time = PassingTime(START)
        self._patch = monkeypatch
        self.restorer = Restorer(self.desk.view, None, self.time, self.whole.append)  # type: ignore[arg-type]

    @property
    def known(self) -> Open:
        return self.desk.view.open["cnv_1"]

    async def restore(self, *readings: Row | Exception | None) -> None:
        self._patch.setattr(restoring, "conversations", Tables(*readings).conversations)
        self.restorer.want(self.known)
        self.restorer.want(self.known)
        await self.restorer.settled([self.known])

    def texts(self) -> list[str]:
        return [json.loads(m.content)["text"] for m in self.known.latest]


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(monkeypatch)


async def test_what_is_in_the_tables_is_put_under_what_came_since(case: Case) -> None:
    await case.restore(row([*case.before, case.since]))
    assert case.known.whole
    assert case.texts() == ["0", "1", "2", "baru"]
    assert case.whole == [case.known]


async def test_tables_that_are_behind_are_read_again_until_they_are_not(case: Case) -> None:
    await case.restore(row(case.before[:2]), row(case.before), row([*case.before, case.since]))
    assert case.texts() == ["0", "1", "2", "baru"]
    assert case.time.monotonic() == pytest.approx(sum(WAITS[:3]))


async def test_tables_that_are_ahead_of_the_log_are_taken_and_their_events_still_told(case: Case) -> None:
    feed = case.desk.feed("ayu")
    ahead = case.talk.received("lebih baru")
    await case.restore(row([*case.before, case.since, ahead]))
    case.desk.say(ahead)
    assert case.texts() == ["0", "1", "2", "baru", "lebih baru"]
    assert [json.loads(f)["event"]["data"]["content"]["text"] for f in feed.take()] == ["lebih baru"]


async def test_events_that_come_while_it_is_read_are_not_lost(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [case.talk.received("4"), case.talk.edited(case.since.message_id, "diubah")]

    async def slow(_database: Any, ids: Iterable[str]) -> dict[str, Row]:
        case.desk.say(*late)
        return dict.fromkeys(ids, row([*case.before, case.since]))

    monkeypatch.setattr(restoring, "conversations", slow)
    case.restorer.want(case.known)
    await case.restorer.settled([case.known])
    assert case.texts() == ["0", "1", "2", "diubah", "4"]


@pytest.mark.parametrize("reading", [None, DatabaseAway("away")])
async def test_what_cannot_be_read_stays_partial_and_can_be_asked_for_again(
    case: Case, reading: Exception | None
) -> None:
    await case.restore(reading)
    assert not case.known.whole
    assert case.whole == []
    assert case.texts() == ["baru"]
    await case.restore(row([*case.before, case.since]))
    assert case.known.whole


async def test_a_conversation_that_ends_meanwhile_needs_nothing_more(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = case.known

    async def over(_database: Any, ids: Iterable[str]) -> dict[str, Row]:
        case.desk.say(case.talk.resolved(), case.talk.work(a.WorkCompleted, agent_id="ayu"))
        return dict.fromkeys(ids, row([*case.before, case.since]))

    monkeypatch.setattr(restoring, "conversations", over)
    case.restorer.want(known)
    await case.restorer.settled([known])
    assert case.whole == []
    assert case.desk.view.open == {}
