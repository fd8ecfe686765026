"""What each event changes in what agents see."""

import json
from typing import Any

import pytest

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Location, Media, ProviderError
from libs.contracts.vocabulary import ContentKind, ConversationState, MessageStatus, Metric, WorkState
from services.desk.content import CONTENT_BYTES, TEXT_BYTES, compact_content
from services.desk.domain.clock import Clock, ClockState, superseded
from services.desk.domain.conversation import LATEST, REMEMBERED, Conversation, Message
from services.desk.domain.work import Work, concerned, granted
from services.desk.fold import (
    agent_after,
    clock_after,
    conversation_after,
    refusal_remembered,
    work_after,
)
from tests.unit.desk.story import POOLS, Talk, agent_changed, text


def told(*events: c.ConversationEvent, cause: str = "") -> tuple[Conversation, tuple[Message, ...]]:
    known: Conversation | None = None
    latest: tuple[Message, ...] = ()
    for event in events:
        known, latest = conversation_after(known, latest, event, cause=cause, pools=POOLS)
    assert known is not None
    return known, latest


def worked(*events: a.WorkEvent) -> Work | None:
    known: Work | None = None
    for event in events:
        known = work_after(known, event)
    return known


def test_a_conversation_opens_with_what_its_first_event_says() -> None:
    talk = Talk()
    known, latest = told(talk.opened(), talk.received("halo"))
    assert (known.state, known.queue, known.pool, known.customer_name) == (
        ConversationState.OPEN, "general", "support", "Sari",
    )  # fmt: skip
    assert known.complete
    assert known.version == 2
    assert [json.loads(m.content)["text"] for m in latest] == ["halo"]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        (["opened", "snoozed"], ConversationState.SNOOZED),
        (["opened", "snoozed", "reopened"], ConversationState.OPEN),
        (["opened", "resolved"], ConversationState.RESOLVED),
        (["opened", "resolved", "reopened"], ConversationState.OPEN),
    ],
)
def test_states_follow_the_events(steps: list[str], state: ConversationState) -> None:
    talk = Talk()
    known, _ = told(*[getattr(talk, step)() for step in steps])
    assert known.state is state
    assert (known.snoozed_until is not None) == (state is ConversationState.SNOOZED)


def test_an_event_that_is_behind_changes_nothing() -> None:
    talk = Talk()
    opened, received = talk.opened(), talk.received()
    known, latest = told(opened, received)
    again = conversation_after(known, latest, received, cause="", pools=POOLS)
    assert again[0] is known
    assert again[1] is latest


def test_a_conversation_whose_beginning_was_not_seen_says_so() -> None:
    talk = Talk()
    talk.opened()
    known, _ = told(talk.tagged("vip"))
    assert not known.complete
    assert known.state is ConversationState.UNKNOWN
    known, _ = conversation_after(known, (), talk.received(), cause="", pools=POOLS)
    assert known.state is ConversationState.OPEN


def test_a_transfer_moves_the_conversation_to_the_pool_of_its_new_queue() -> None:
    talk = Talk()
    known, _ = told(talk.opened(), talk.transferred("loans"))
    assert (known.queue, known.pool) == ("loans", "finance")


def test_only_the_latest_messages_are_kept_in_their_order() -> None:
    talk = Talk()
    _, latest = told(talk.opened(), *[talk.received(str(n)) for n in range(LATEST + 7)])
    assert [json.loads(m.content)["text"] for m in latest] == [str(n) for n in range(7, LATEST + 7)]


def test_notes_stand_among_the_messages() -> None:
    talk = Talk()
    _, latest = told(talk.opened(), talk.received(), talk.noted("minta invoice"))
    assert [m.note for m in latest] == [False, True]
    assert latest[1].author_id == "ayu"


def test_a_message_shows_its_receipts_edits_and_reactions() -> None:
    talk = Talk()
    events: list[c.ConversationEvent] = [talk.opened(), talk.answered("baik")]
    name = events[1].message_id  # type: ignore[attr-defined]
    _, (message,) = told(*events)
    assert message.status is MessageStatus.QUEUED
    failed = c.MessageStatusChanged(
        **talk._common(), message_id=name, status=MessageStatus.FAILED, error=ProviderError(code="131047")
    )
    _, (message,) = told(*events, failed, talk.edited(name, "baik sekali"), talk.reacted(name, "👍"))
    assert (message.status, message.error) == (MessageStatus.FAILED, "131047")
    assert message.edited
    assert json.loads(message.content)["text"] == "baik sekali"
    assert message.reaction == "👍"
    assert message.number == 2
    assert message.version == 5


def test_a_withdrawn_message_keeps_its_place_and_loses_its_words() -> None:
    talk = Talk()
    opened, received = talk.opened(), talk.received("rahasia")
    _, (message,) = told(opened, received, talk.edited(received.message_id, None))
    assert message.withdrawn
    assert "rahasia" not in message.content


def test_a_change_of_a_message_that_is_no_longer_kept_only_moves_the_version() -> None:
    talk = Talk()
    known, latest = told(talk.opened(), talk.received(), talk.status("msg_gone", MessageStatus.READ))
    assert known.version == 3
    assert len(latest) == 1


@pytest.mark.parametrize("said", ["a" * 10_000, "é" * 10_000, "你" * 10_000, "👍" * 10_000, '"' * 10_000])
def test_long_texts_are_cut_at_a_whole_character_and_marked(said: str) -> None:
    kept = json.loads(compact_content(text(said)))
    assert kept["cut"] is True
    assert said.startswith(kept["text"])
    assert TEXT_BYTES - 4 < len(kept["text"].encode()) <= TEXT_BYTES


def test_content_that_is_large_otherwise_is_kept_without_its_details() -> None:
    content = text("daftar").model_copy(
        update={
            "kind": ContentKind.ORDER,
            "details": {"items": ["x" * 100] * 200},
            "media": (Media(url="https://media.example/1"),),
            "location": Location(latitude=1.0, longitude=2.0),
        }
    )
    whole = compact_content(content)
    assert len(whole) <= CONTENT_BYTES
    assert json.loads(whole) == {"kind": "order", "text": "daftar", "cut": True}


def test_ordinary_content_is_kept_whole() -> None:
    content = text("foto").model_copy(update={"media": (Media(provider_id="123", mime_type="image/jpeg"),)})
    assert json.loads(compact_content(content)) == {
        "kind": "text", "text": "foto", "media": [{"provider_id": "123", "mime_type": "image/jpeg"}],
    }  # fmt: skip


def test_nul_in_what_people_wrote_does_not_reach_the_database() -> None:
    talk = Talk()
    opened = talk.opened().model_copy(update={"customer_name": "Sa\0ri"})
    received = talk.received("a\0b").model_copy(update={"reply_to": "x\0"})
    known, (message,) = told(opened, received, talk.reacted(talk.received().message_id, "\0"))
    assert known.customer_name == "Sari"
    assert "\0" not in message.content
    assert message.reply_to == "x"


def test_the_latest_commands_of_the_desk_are_remembered_with_what_they_led_to() -> None:
    talk = Talk()
    known, latest = told(talk.opened())
    for n in range(REMEMBERED + 3):
        known, latest = conversation_after(
            known, latest, talk.answered(), cause=f"/desk/ayu#{n}", pools=POOLS
        )
    known, _ = conversation_after(known, latest, talk.received(), cause="/ingest/wa-main#wamid", pools=POOLS)
    assert [d.name for d in known.commands] == [f"/desk/ayu#{n}" for n in range(3, REMEMBERED + 3)]
    assert {d.type for d in known.commands} == {"message.queued.v1"}


def test_a_refusal_is_remembered_without_a_new_version() -> None:
    talk = Talk()
    known, _ = told(talk.opened())
    after = refusal_remembered(known, talk.refused("k1", "window_closed"), cause="/desk/ayu#k1")
    assert after.version == known.version
    assert [(d.name, d.refused) for d in after.commands] == [("/desk/ayu#k1", "window_closed")]


def test_the_first_result_of_a_command_stays_its_result() -> None:
    talk = Talk()
    opened, reopened = talk.opened(), talk.reopened()
    known, _ = told(opened, reopened, talk.answered(), cause="/desk/ayu#k1")
    assert [d.type for d in known.commands] == ["conversation.opened.v1"]


WORK: list[tuple[list[tuple[type[a.WorkEvent], dict[str, Any]]], WorkState | None, str | None]] = [
    ([(a.WorkQueued, {})], WorkState.QUEUED, None),
    ([(a.WorkQueued, {}), (a.ReservationOffered, {"agent_id": "ayu"})], WorkState.OFFERED, "ayu"),
    (
        [(a.ReservationOffered, {"agent_id": "ayu"}), (a.ReservationAccepted, {"agent_id": "ayu"})],
        WorkState.OFFERED,
        "ayu",
    ),
    (
        [(a.ReservationOffered, {"agent_id": "ayu"}), (a.ReservationDeclined, {"agent_id": "ayu"})],
        WorkState.QUEUED,
        None,
    ),
    (
        [(a.ReservationOffered, {"agent_id": "ayu"}), (a.ReservationExpired, {"agent_id": "ayu"})],
        WorkState.QUEUED,
        None,
    ),
    (
        [(a.ReservationOffered, {"agent_id": "ayu"}), (a.ReservationRescinded, {"agent_id": "ayu"})],
        WorkState.QUEUED,
        None,
    ),
    ([(a.WorkQueued, {}), (a.WorkAssigned, {"agent_id": "budi"})], WorkState.ASSIGNED, "budi"),
    ([(a.WorkAssigned, {"agent_id": "budi"}), (a.WorkQueued, {})], WorkState.QUEUED, None),
    (
        [(a.WorkAssigned, {"agent_id": "budi"}), (a.WorkWrapping, {"agent_id": "budi"})],
        WorkState.WRAPPING,
        "budi",
    ),
    ([(a.WorkAssigned, {"agent_id": "budi"}), (a.WorkCompleted, {"agent_id": "budi"})], None, None),
    ([(a.WorkQueued, {}), (a.WorkCancelled, {})], None, None),
    (
        [(a.WorkAssigned, {"agent_id": "budi"}), (a.WorkIdled, {"agent_id": "budi"})],
        WorkState.ASSIGNED,
        "budi",
    ),
    ([(a.WorkWoken, {"agent_id": "budi"})], WorkState.ASSIGNED, "budi"),
]


@pytest.mark.parametrize(("events", "state", "agent_id"), WORK)
def test_a_work_item_is_with_whom_its_events_say(
    events: list[tuple[type[a.WorkEvent], dict[str, Any]]], state: WorkState | None, agent_id: str | None
) -> None:
    talk = Talk()
    known = worked(*[talk.work(kind, **more) for kind, more in events])
    assert (known.state if known else None) is state
    assert (known.agent_id if known else None) == agent_id
    if known is not None and state is not WorkState.OFFERED:
        assert known.expires_at is None
        assert known.reservation_id is None


def test_an_offer_carries_its_deadline_and_a_forced_assignment_its_author() -> None:
    talk = Talk()
    offered = worked(talk.work(a.ReservationOffered, agent_id="ayu"))
    assert offered is not None
    assert offered.expires_at is not None
    assert offered.reservation_id is not None
    forced = worked(talk.work(a.WorkAssigned, agent_id="budi", forced_by="rina"))
    assert forced is not None
    assert forced.forced_by == "rina"


def offer(
    talk: Talk, agent_id: str, kind: type[a.ReservationEvent] = a.ReservationOffered, **more: Any
) -> Any:
    return talk.work(kind, agent_id=agent_id, reservation_id=f"rsv_{agent_id}", **more)


def test_work_offered_to_several_is_with_all_of_them_until_the_last_offer_ends() -> None:
    talk = Talk()
    events = [offer(talk, "ayu"), offer(talk, "budi")]
    both = worked(*events)
    assert both is not None
    assert (both.state, both.agents, both.reservation_id) == (WorkState.OFFERED, ("ayu", "budi"), "rsv_ayu")
    events.append(offer(talk, "ayu", a.ReservationDeclined))
    one = worked(*events)
    assert one is not None
    assert (one.state, one.agents, one.reservation_id) == (WorkState.OFFERED, ("budi",), "rsv_budi")
    assert concerned(both, one) == ("ayu", "budi")
    events.append(offer(talk, "budi", a.ReservationExpired))
    none = worked(*events)
    assert none is not None
    assert (none.state, none.agents, none.offers) == (WorkState.QUEUED, (), ())


def test_a_consultation_leaves_the_work_with_its_holder() -> None:
    talk = Talk()
    events = [talk.work(a.WorkAssigned, agent_id="ayu", forced_by="rina"), offer(talk, "budi", held_by="ayu")]
    asked = worked(*events)
    assert asked is not None
    assert (asked.state, asked.agent_id, asked.forced_by) == (WorkState.ASSIGNED, "ayu", "rina")
    assert (asked.agents, asked.reservation_id) == (("ayu", "budi"), None)
    assert granted(worked(events[0]), asked) == "budi"
    declined = worked(*events, offer(talk, "budi", a.ReservationDeclined, held_by="ayu"))
    assert declined is not None
    assert (declined.agent_id, declined.offers) == ("ayu", ())


def test_idle_work_stays_with_its_holder_and_its_offers() -> None:
    talk = Talk()
    events = [talk.work(a.WorkAssigned, agent_id="ayu", forced_by="rina")]
    events += [talk.work(a.WorkIdled, agent_id="ayu"), offer(talk, "budi", held_by="ayu")]
    idle = worked(*events)
    assert idle is not None
    assert (idle.idle, idle.forced_by, idle.agents) == (True, "rina", ("ayu", "budi"))
    woken = worked(*events, talk.work(a.WorkWoken, agent_id="ayu"))
    assert woken is not None
    assert (woken.idle, woken.agents) == (False, ("ayu", "budi"))


def test_whom_a_change_of_work_concerns() -> None:
    talk = Talk()
    offered = worked(talk.work(a.ReservationOffered, agent_id="ayu"))
    queued = work_after(offered, talk.work(a.ReservationExpired, agent_id="ayu"))
    forced = work_after(offered, talk.work(a.WorkAssigned, agent_id="budi", forced_by="rina"))
    assert granted(None, offered) == "ayu"
    assert granted(offered, queued) is None
    assert concerned(offered, queued) == ("ayu",)
    assert granted(offered, forced) == "budi"
    assert concerned(offered, forced) == ("ayu", "budi")
    assert concerned(offered, None) == ("ayu",)


def clocked(*events: s.ClockEvent) -> Clock | None:
    known: Clock | None = None
    for event in events:
        known = clock_after(known, event)
    return known


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ([s.ClockStarted], ClockState.RUNNING),
        ([s.ClockStarted, s.ClockPaused], ClockState.PAUSED),
        ([s.ClockStarted, s.ClockPaused, s.ClockResumed], ClockState.RUNNING),
        ([s.ClockStarted, s.ClockWarned, s.ClockPaused, s.ClockResumed], ClockState.WARNED),
        ([s.ClockStarted, s.ClockWarned, s.ClockBreached], ClockState.BREACHED),
        ([s.ClockStarted, s.ClockMet], None),
        ([s.ClockStarted, s.ClockBreached, s.ClockMet], None),
        ([s.ClockStarted, s.ClockCancelled], None),
    ],
)
def test_a_clock_is_as_its_events_say(kinds: list[type[s.ClockEvent]], state: ClockState | None) -> None:
    talk = Talk()
    known = clocked(*[talk.clock(kind) for kind in kinds])
    assert (known.state if known else None) is state


def test_a_new_clock_replaces_a_breached_one_of_its_metric_only() -> None:
    talk = Talk()
    breached = clocked(talk.clock(s.ClockBreached, Metric.NEXT_RESPONSE, "1"))
    other = clocked(talk.clock(s.ClockBreached, Metric.RESOLUTION, "1"))
    running = clocked(talk.clock(s.ClockStarted, Metric.NEXT_RESPONSE, "2"))
    newer = clocked(talk.clock(s.ClockStarted, Metric.NEXT_RESPONSE, "3"))
    assert breached is not None
    assert other is not None
    assert running is not None
    assert newer is not None
    assert superseded((breached, other, running), newer) == (breached,)


def test_an_agent_is_as_matching_last_said_and_remembers_answers() -> None:
    ok, no = (
        a.CommandAnswer(command_id="k1", code="ok"),
        a.CommandAnswer(command_id="k2", code="expired", text="late"),
    )
    known = agent_after(None, agent_changed("ayu", 1, ok), cause="/desk/ayu#k1")
    known = agent_after(known, agent_changed("ayu", 2, no, load=3), cause="/desk/ayu#k2")
    known = agent_after(known, agent_changed("ayu", 3, load=4), cause="/desk/ayu#k3")
    assert known.load == 4
    assert [(d.name, d.refused) for d in known.commands] == [
        ("/desk/ayu#k1", None),
        ("/desk/ayu#k2", "expired"),
    ]
