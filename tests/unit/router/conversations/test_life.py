"""This file proves the life of a conversation: its states, its claim on attention, its deadlines."""

from datetime import timedelta

import pytest

from libs.contracts.ids import conversation_id, work_item_id
from libs.contracts.vocabulary import ConversationState
from services.router.conversations.domain.conversation import (
    MOVES,
    Conversation,
    Forbidden,
    begin,
    claim,
    hear,
    held_by,
    reopen,
    resolve,
    snooze,
    transfer,
    unclaim,
    watch,
)
from services.router.conversations.domain.threading import Place, place_of_echo, place_of_message
from tests.unit.router.conversations.examples import HOUR, NOON, contact_point, conversation

OPEN, SNOOZED, RESOLVED = ConversationState.OPEN, ConversationState.SNOOZED, ConversationState.RESOLVED
DAY = timedelta(days=1)


def moved(c: Conversation, to: ConversationState) -> Conversation:
    if to is OPEN:
        return reopen(c, queue="umum", pool="layanan", at=NOON + HOUR)
    if to is SNOOZED:
        return snooze(c, until=NOON + 5 * HOUR, at=NOON + HOUR)
    return resolve(c, NOON + HOUR)


@pytest.mark.parametrize("to", [OPEN, SNOOZED, RESOLVED])
@pytest.mark.parametrize("state", [OPEN, SNOOZED, RESOLVED])
def test_states_follow_one_another_as_the_table_says(state: ConversationState, to: ConversationState) -> None:
    c = conversation(state)
    if to in MOVES[state]:
        assert (moved(c, to).state, moved(c, to).changed_at) == (to, NOON + HOUR)
    else:
        with pytest.raises(Forbidden):
            moved(c, to)


def test_only_a_snoozed_conversation_has_an_hour_to_come_back() -> None:
    slept = moved(conversation(), SNOOZED)
    assert slept.snoozed_until == NOON + 5 * HOUR
    assert moved(slept, OPEN).snoozed_until is None
    assert moved(slept, RESOLVED).snoozed_until is None


def test_next_conversation_is_numbered_and_carries_on_what_outlives_the_last() -> None:
    last = conversation(RESOLVED, last_agent_id="ayu", tags=("vip",))
    point, made = begin(contact_point(), last, queue="umum", pool="layanan", at=NOON + DAY)
    assert made.conversation_id == point.conversation_id == conversation_id(point.contact_point_id, 1)
    assert (made.number, point.conversations, made.version) == (1, 1, 0)
    assert (made.customer_wrote_at, made.last_agent_id, made.tags) == (NOON, "ayu", ())
    point, made = begin(point, made, queue="umum", pool="layanan", at=NOON + 2 * DAY)
    assert made.conversation_id == conversation_id(point.contact_point_id, 2)


def test_late_message_does_not_move_the_customers_last_word_back() -> None:
    assert hear(conversation(), NOON - HOUR).customer_wrote_at == NOON
    assert hear(conversation(), NOON + HOUR).customer_wrote_at == NOON + HOUR


def test_each_claim_is_another_work_item_and_nobody_holds_it() -> None:
    first = held_by(claim(conversation(), NOON), "ayu")
    second = claim(unclaim(first), NOON + HOUR)
    assert first.work_item_id == work_item_id(first.conversation_id, 1)
    assert second.work_item_id == work_item_id(first.conversation_id, 2)
    assert (second.agent_id, second.last_agent_id) == (None, "ayu")


def test_work_taken_back_remembers_who_held_it_and_a_transfer_forgets() -> None:
    back = held_by(held_by(claim(conversation(), NOON), "ayu"), None)
    assert (back.agent_id, back.last_agent_id) == (None, "ayu")
    assert transfer(back, queue="gudang", pool="logistik").last_agent_id is None


def test_deadline_is_the_nearest_of_the_clocks_and_ends_with_them() -> None:
    c = watch(watch(conversation(), "a", NOON + 2 * HOUR), "b", NOON + HOUR)
    assert c.due_at == NOON + HOUR
    assert watch(c, "b", None).due_at == NOON + 2 * HOUR
    assert resolve(c, NOON).due_at is None
    assert watch(c, "never", None) is c


@pytest.mark.parametrize(
    ("state", "after", "place"),
    [
        (OPEN, 90 * DAY, Place.GO_ON),
        (SNOOZED, HOUR, Place.REOPEN),
        (RESOLVED, DAY, Place.REOPEN),
        (RESOLVED, DAY + timedelta(microseconds=1), Place.BEGIN),
        (RESOLVED, -HOUR, Place.REOPEN),
    ],
)
def test_message_goes_on_reopens_or_begins(state: ConversationState, after: timedelta, place: Place) -> None:
    assert place_of_message(conversation(state), NOON + after, DAY) is place


def test_first_message_begins() -> None:
    assert place_of_message(None, NOON, DAY) is Place.BEGIN
    assert place_of_echo(None, NOON, DAY) is Place.BEGIN


@pytest.mark.parametrize("state", [OPEN, SNOOZED, RESOLVED])
def test_echo_changes_no_state_within_the_window(state: ConversationState) -> None:
    assert place_of_echo(conversation(state), NOON + DAY, DAY) is Place.GO_ON


def test_echo_long_after_the_end_begins_a_conversation() -> None:
    assert place_of_echo(conversation(RESOLVED), NOON + 2 * DAY, DAY) is Place.BEGIN
