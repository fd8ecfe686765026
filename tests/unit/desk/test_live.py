"""The live view, its ring, its cursor and its queues: what is kept, what is bounded, what is told."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.envelope import Envelope, Event
from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import ContactResolved
from libs.contracts.payloads.levels import ServiceLevelMeasured
from libs.contracts.vocabulary import Channel
from libs.flow.tail import Tailed
from libs.timesource import ManualTime
from services.desk.live import subscriber as bounds
from services.desk.live import view as limits
from services.desk.live.answers import Answers
from services.desk.live.cursor import LARGEST, TOPICS, NoCursor, Vector, parse
from services.desk.live.frames import event_body
from services.desk.live.hub import POOL_SNAPSHOT, Hub
from services.desk.live.ring import Entry, Ring
from services.desk.live.subscriber import Subscriber
from services.desk.live.view import LiveView, Open
from tests.unit.desk.story import POOLS, START, Log, Talk, agent_changed

SLOTS = 12 * len(TOPICS)


class Desk:
    """A hub, a log to feed it, and what it asked the projection for."""

    def __init__(self, *, messages: int = 60_000) -> None:
        self.log, self.missing, self.answers = Log(), list[Open](), Answers()
        self.view = LiveView(pools=POOLS, inboxes={"wa-main": "support"}, messages=messages)
        self.hub = Hub(
            self.view,
            Vector(),
            answers=self.answers,
            time=ManualTime(START),
            missing=self.missing.append,
        )

    def say(self, *payloads: Payload, cause: str = "") -> None:
        for payload in payloads:
            self.hub.take(self.log.add(payload, cause=cause))

    def feed(self, agent_id: str, pool: str | None = None) -> Subscriber:
        subscriber = Subscriber(agent_id, pool=pool)
        self.hub.attach(subscriber)
        return subscriber


def kinds(subscriber: Subscriber) -> list[str]:
    return [json.loads(f).get("event", {}).get("type", "") for f in subscriber.take()]


# Cursor


@given(st.lists(st.integers(0, LARGEST), min_size=SLOTS, max_size=SLOTS))
def test_a_cursor_read_back_is_the_same_place(offsets: list[int]) -> None:
    vector = Vector(offsets)
    again = parse(str(vector))
    assert str(again) == str(vector)
    assert again.covers(vector)
    assert vector.covers(again)


@given(st.text() | st.binary().map(lambda b: b.hex()))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        parse(text)
    except NoCursor:
        return
    assert len(text) >= SLOTS


def test_a_cursor_of_another_form_is_refused() -> None:
    good = str(Vector())
    for bad in ("", good[:-4], good + "AAAA", "B" + good[1:], good[:-2] + "_w", "é", "x" * 100_000):
        with pytest.raises(NoCursor):
            parse(bad)


def test_a_vector_moves_forward_only() -> None:
    vector = Vector()
    vector.move(("sla", 3), 300)
    vector.move(("sla", 3), 7)
    assert vector.get(("sla", 3)) == 300
    assert parse(str(vector)).get(("sla", 3)) == 300
    assert vector.covers(Vector())
    assert not Vector().covers(vector)


def test_a_cursor_is_short() -> None:
    vector = Vector([1_000_000] * SLOTS)
    assert len(str(vector)) < 4 * SLOTS + 3


# Ring


def entry(offset: int, *agents: str, body: bytes = b"{}", pool: str | None = None) -> Entry:
    return Entry(("conversations", 0), offset, body, agents, pool, None)


def test_the_ring_forgets_the_oldest_and_knows_how_far_it_reaches() -> None:
    ring = Ring(Vector(), events=3)
    at = Vector()
    for offset in range(5):
        ring.add(entry(offset, "ayu"))
    assert len(ring) == 3
    assert not ring.reaches(at)
    at.move(("conversations", 0), 2)
    assert ring.reaches(at)
    assert [e.offset for e in ring.after(at, agent_id="ayu", pool=None)] == [2, 3, 4]
    assert not list(ring.after(at, agent_id="budi", pool=None))


def test_the_ring_is_bounded_in_bytes_too() -> None:
    ring = Ring(Vector(), size=10_000)
    for offset in range(100):
        ring.add(entry(offset, "ayu", body=b"x" * 1000))
    assert len(ring) < 10
    assert list(ring.after(Vector(), agent_id="ayu", pool=None))[-1].offset == 99


def test_a_pools_reader_finds_all_of_the_pool_and_what_is_his_own() -> None:
    ring = Ring(Vector())
    ring.add(entry(0, "ayu", pool="support"))
    ring.add(entry(1, "dewi", pool="finance"))
    ring.add(entry(2, "rina"))
    found = ring.after(Vector(), agent_id="rina", pool="support")
    assert [e.offset for e in found] == [0, 2]


# Subscriber


def test_a_slow_reader_is_given_up_and_nothing_more_is_queued() -> None:
    slow = Subscriber("ayu")
    for _ in range(bounds.FRAMES + 5):
        slow.offer("{}")
    assert slow.overflowed
    assert slow.wake.is_set()
    assert slow.take() == []
    slow.restart()
    slow.offer("{}")
    assert slow.take() == ["{}"]
    slow.offer("x" * (bounds.BYTES + 1))
    assert slow.overflowed


# View: what is kept


def test_a_resolved_conversation_stays_until_its_work_has_ended() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.opened(), talk.received(), talk.work(a.WorkAssigned, agent_id="ayu"), talk.resolved())
    desk.say(talk.work(a.WorkWrapping, agent_id="ayu"))
    assert [o.conversation_id for o in desk.view.seen_by("ayu")] == ["cnv_1"]
    desk.say(talk.work(a.WorkCompleted, agent_id="ayu"))
    assert desk.view.open == {}
    assert desk.view.seen_by("ayu") == []
    assert desk.view.with_work("wki_cnv_1_1") is None


def test_clocks_of_unknown_conversations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRAYS", 3)
    desk = Desk()
    for n in range(10):
        desk.say(Talk(str(n)).clock(s.ClockStarted))
    assert set(desk.view.open) == {"cnv_7", "cnv_8", "cnv_9"}


def test_a_clock_that_comes_before_its_conversation_is_there_when_it_comes() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.clock(s.ClockStarted), talk.opened())
    assert len(desk.view.open["cnv_1"].clocks) == 1
    assert desk.view.open["cnv_1"].whole


def test_memory_keeps_a_bounded_number_of_messages() -> None:
    desk = Desk(messages=10)
    talks = [Talk(str(n)) for n in range(5)]
    for talk in talks:
        desk.say(talk.opened(), *[talk.received() for _ in range(4)])
    kept = {o.conversation_id: len(o.latest) for o in desk.view.open.values()}
    assert sum(kept.values()) <= 10
    assert kept["cnv_4"] == 4
    assert not desk.view.open["cnv_0"].whole


def test_a_conversation_forgotten_in_part_is_asked_for_when_somebody_gets_it() -> None:
    desk, talk = Desk(messages=1), Talk()
    feed = desk.feed("ayu")
    desk.say(talk.opened(), talk.received(), Talk("2").opened())
    other = Talk("3")
    desk.say(other.opened(), other.received())
    assert desk.missing == []
    desk.say(talk.work(a.WorkAssigned, agent_id="ayu"))
    assert [o.conversation_id for o in desk.missing] == ["cnv_1"]
    (frame,) = feed.take()
    assert json.loads(frame)["conversation"]["partial"] is True


def test_a_changed_contact_is_told_to_who_has_the_conversation() -> None:
    desk, talk = Desk(), Talk()
    feed = desk.feed("ayu")
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"))
    feed.take()
    merged = ContactResolved(
        contact_point_id=talk.contact_point_id, contact_id="con_2", inbox_id="wa-main", channel=Channel.WHATSAPP,
        address="+62", occurred_at=START,
    )  # fmt: skip
    desk.say(merged)
    assert kinds(feed) == ["contact.resolved.v1"]
    known = desk.view.open["cnv_1"].conversation
    assert known is not None
    assert known.contact_id == "con_2"


# Hub: who is told what


def test_an_agent_gets_what_he_is_offered_or_holds_and_nothing_else() -> None:
    desk, mine, other = Desk(), Talk("1"), Talk("2")
    ayu, budi = desk.feed("ayu"), desk.feed("budi")
    desk.say(mine.opened(), mine.received(), mine.work(a.WorkQueued), other.opened(), other.received())
    assert kinds(ayu) == []
    desk.say(mine.work(a.ReservationOffered, agent_id="ayu"), mine.received(), mine.clock(s.ClockStarted))
    desk.say(other.work(a.WorkAssigned, agent_id="budi"), agent_changed("ayu"))
    assert kinds(ayu) == [
        "reservation.offered.v1", "message.received.v1", "clock.started.v1", "agent.changed.v1",
    ]  # fmt: skip
    assert kinds(budi) == ["work.assigned.v1"]
    desk.say(mine.work(a.ReservationExpired, agent_id="ayu"), mine.received())
    assert kinds(ayu) == ["reservation.expired.v1"]


def test_who_loses_a_conversation_is_told_and_who_gets_it_gets_all_of_it() -> None:
    desk, talk = Desk(), Talk()
    ayu, budi = desk.feed("ayu"), desk.feed("budi")
    desk.say(talk.opened(), talk.received("satu"), talk.work(a.WorkAssigned, agent_id="ayu"))
    desk.say(talk.received("dua"), talk.work(a.WorkAssigned, agent_id="budi", forced_by="rina"))
    assert kinds(ayu) == ["work.assigned.v1", "message.received.v1", "work.assigned.v1"]
    (frame,) = map(json.loads, budi.take())
    assert [m["content"]["text"] for m in frame["conversation"]["messages"]] == ["satu", "dua"]
    assert frame["conversation"]["work"][0]["agent_id"] == "budi"


def test_a_refusal_goes_to_who_asked() -> None:
    desk, talk = Desk(), Talk()
    ayu, budi = desk.feed("ayu"), desk.feed("budi")
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"))
    ayu.take()
    desk.say(talk.refused("k1"), cause="/desk/budi#k1")
    assert kinds(budi) == ["command.refused.v1"]
    assert kinds(ayu) == []


def test_every_connection_of_an_agent_gets_the_same() -> None:
    desk, talk = Desk(), Talk()
    one, two = desk.feed("ayu"), desk.feed("ayu")
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"), talk.received())
    assert one.take() == two.take()
    desk.hub.detach(one)
    assert list(desk.hub.connected()) == ["ayu"]
    desk.say(talk.received())
    assert one.take() == []
    desk.hub.detach(two)
    assert list(desk.hub.connected()) == []


def test_a_pools_reader_gets_each_event_of_the_pool_once() -> None:
    desk, talk, loan = Desk(), Talk("1"), Talk("2")
    rina = desk.feed("rina", "support")
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="rina"), loan.opened("loans"))
    assert kinds(rina) == ["conversation.opened.v1", "work.assigned.v1"]


def test_the_snapshot_of_a_pool_is_bounded_and_says_of_how_many() -> None:
    desk = Desk()
    for n in range(POOL_SNAPSHOT + 3):
        desk.say(Talk(str(n)).opened())
    said = json.loads(desk.hub.snapshot(Subscriber("rina", pool="support")))
    assert len(said["conversations"]) == POOL_SNAPSHOT
    assert said["of"] == POOL_SNAPSHOT + 3


def test_a_snapshot_lists_offers_with_their_deadline() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.opened(), talk.work(a.ReservationOffered, agent_id="ayu"), agent_changed("ayu", load=1))
    said = json.loads(desk.hub.snapshot(Subscriber("ayu")))
    (offer,) = said["reservations"]
    assert offer["reservation_id"] == "rsv_wki_cnv_1_1"
    assert offer["expires_at"].endswith("Z")
    assert said["agent"]["load"] == 1
    desk.say(talk.work(a.WorkAssigned, agent_id="ayu"))
    assert json.loads(desk.hub.snapshot(Subscriber("ayu")))["reservations"] == []


def test_an_event_that_cannot_be_taken_in_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, talk = Desk(), Talk()
    feed = desk.feed("ayu")
    desk.say(talk.opened(), talk.work(a.WorkAssigned, agent_id="ayu"))
    with monkeypatch.context() as broken:
        broken.setattr(desk.view, "apply", lambda event: 1 / 0)
        desk.say(talk.received())
    desk.say(talk.received())
    assert kinds(feed) == ["work.assigned.v1", "message.received.v1"]


def test_an_event_on_the_feed_names_its_cause_only_where_the_desk_is_it() -> None:
    log, talk = Log(), Talk()
    ours = json.loads(event_body(log.add(talk.opened(), cause="/desk/ayu#k1").event))
    others = json.loads(event_body(log.add(talk.received(), cause="/ingest/wa-main#wamid").event))
    assert ours["cause"] == "/desk/ayu#k1"
    assert "cause" not in others
    assert others["version"] == 2
    assert others["at"] == "2026-03-02T08:00:00Z"


def test_why_a_decision_came_out_stays_off_the_screen() -> None:
    body = json.loads(event_body(Log().add(Talk().work(a.WorkQueued)).event))
    assert "explanation" not in body["data"]


# Answers


async def test_the_first_answer_to_a_command_is_its_answer() -> None:
    desk, talk = Desk(), Talk()
    desk.say(talk.opened())
    waiting = desk.answers.expect("/desk/ayu#k1")
    also = desk.answers.expect("/desk/ayu#k1")
    desk.say(talk.reopened(), talk.answered(), talk.tagged("x"), cause="/desk/ayu#k1")
    for future in (waiting, also):
        assert future.done()
        assert json.loads(future.result().event)["type"] == "message.queued.v1"
    remembered = desk.answers.known("/desk/ayu#k1")
    assert remembered is waiting.result()


async def test_what_other_agents_change_is_no_answer() -> None:
    desk = Desk()
    waiting = desk.answers.expect("/desk/ayu#k1")
    desk.say(agent_changed("budi"), cause="/desk/ayu#k1")
    assert not waiting.done()
    desk.say(
        agent_changed("ayu", answer=a.CommandAnswer(command_id="k1", code="expired", text="too late")),
        cause="/desk/ayu#k1",
    )
    assert waiting.result().refused == "expired"
    assert waiting.result().text == "too late"


async def test_remembered_answers_are_bounded_and_waits_leave_nothing_behind() -> None:
    log, answers, talk = Log(), Answers(keep=3), Talk()
    answers.expect("/desk/ayu#gone").cancel()
    for n in range(5):
        event = log.add(talk.answered(), cause=f"/desk/ayu#{n}").event
        answers.seen(event, b"{}")
    assert [n for n in range(5) if answers.known(f"/desk/ayu#{n}")] == [2, 3, 4]
    event = log.add(talk.answered(), cause="/desk/ayu#gone").event
    answers.seen(event, b"{}")
    assert answers.known("/desk/ayu#gone") is not None


# Service levels


def level(queue: str, waiting: int, *, after: int = 0) -> Tailed:
    payload = ServiceLevelMeasured(
        queue=queue,
        channel=Channel.WHATSAPP,
        as_of=START + timedelta(seconds=after),
        windows=(),
        waiting=waiting,
    )
    record = Envelope(id="1", source="/sla.live", type=payload.type, time=payload.as_of)
    return Tailed("service-levels", 0, 0, Event(record, payload, queue))


def told_levels(frames: list[str]) -> list[tuple[str, int]]:
    said = [frame["service_level"] for frame in map(json.loads, frames) if frame["type"] == "service_level"]
    return [(one["queue"], one["waiting"]) for one in said]


def test_service_levels_go_to_readers_of_the_pool_and_to_nobody_else() -> None:
    desk = Desk()
    everyone, other, agent = desk.feed("sup", "support"), desk.feed("fin", "finance"), desk.feed("ayu")
    desk.hub.take_level(level("general", 3))
    assert told_levels(everyone.take()) == [("general", 3)]
    assert other.take() == agent.take() == []
    assert desk.hub.levels(agent) == []


def test_only_the_latest_service_level_of_a_queue_and_channel_is_told_to_who_comes_later() -> None:
    desk = Desk()
    desk.hub.take_level(level("billing", 1))
    desk.hub.take_level(level("general", 3))
    desk.hub.take_level(level("general", 5, after=2))
    early = desk.feed("sup", "support")
    desk.hub.take_level(level("general", 4, after=1))
    assert early.take() == []
    assert told_levels(desk.hub.levels(early)) == [("billing", 1), ("general", 5)]
