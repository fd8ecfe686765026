"""This file proves the rules of each metric: what starts, pauses, meets and cancels a clock."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.vocabulary import Metric
from services.sla.domain.calendar import ALWAYS_OPEN, Calendars
from services.sla.domain.clock import Clock, Pause, State
from services.sla.domain.conversation import Conversation, fold
from services.sla.domain.facts import Fact, Kind
from services.sla.domain.policy import Policy

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALL_HOURS: Calendars = {ALWAYS_OPEN.version: ALWAYS_OPEN}
FIRST, NEXT, SOLVED = Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE, Metric.RESOLUTION

POLICY = Policy(
    "gold",
    "v1",
    first_response=timedelta(minutes=15),
    next_response=timedelta(minutes=10),
    resolution=timedelta(hours=8),
    warn_at=(0.5, 0.8),
)


def minute(n: float) -> datetime:
    return NINE + timedelta(minutes=n)


class Story:
    """Facts in the order in which the router decided them; `at` is minutes after nine."""

    def __init__(self, policy: Policy | None = POLICY) -> None:
        self.facts: list[Fact] = []
        self.opened(0, policy=policy)

    def _add(self, kind: Kind, at: float, queue: str | None = None, policy: Policy | None = None) -> "Story":
        self.facts.append(Fact(kind, minute(at), len(self.facts) + 1, queue, policy))
        return self

    def opened(self, at: float, policy: Policy | None = POLICY) -> "Story":
        return self._add(Kind.OPENED, at, "general", policy)

    def reopened(self, at: float, queue: str = "general", policy: Policy | None = POLICY) -> "Story":
        return self._add(Kind.REOPENED, at, queue, policy)

    def resolved(self, at: float) -> "Story":
        return self._add(Kind.RESOLVED, at)

    def snoozed(self, at: float) -> "Story":
        return self._add(Kind.SNOOZED, at)

    def transferred(self, at: float, queue: str) -> "Story":
        return self._add(Kind.TRANSFERRED, at, queue)

    def asked(self, at: float) -> "Story":
        return self._add(Kind.ASKED, at)

    def answered(self, at: float) -> "Story":
        return self._add(Kind.ANSWERED, at)

    def clocks(self, metric: Metric) -> list[Clock]:
        return [
            clock
            for clock in fold(Conversation(), tuple(self.facts)).conversation.clocks
            if clock.metric is metric
        ]


def ends(clocks: list[Clock]) -> list[tuple[State, datetime | None]]:
    return [(clock.state, clock.ended_at) for clock in clocks]


def test_first_response_runs_from_the_opening_to_the_first_answer() -> None:
    story = Story().asked(0).answered(4).answered(5)
    (clock,) = story.clocks(FIRST)
    assert (clock.started_at, clock.state, clock.ended_at) == (NINE, State.MET, minute(4))
    assert clock.due_at(ALL_HOURS) == minute(15)


def test_first_response_of_a_conversation_resolved_unanswered_is_cancelled() -> None:
    (clock,) = Story().resolved(3).clocks(FIRST)
    assert (clock.state, clock.ended_at, clock.reason) == (State.CANCELLED, minute(3), "resolved")


def test_a_conversation_that_nobody_answered_yet_owes_a_first_response_when_it_is_reopened() -> None:
    story = Story().resolved(3).reopened(60).answered(64)
    assert ends(story.clocks(FIRST)) == [(State.CANCELLED, minute(3)), (State.MET, minute(64))]


def test_an_answered_conversation_owes_no_first_response_when_it_is_reopened() -> None:
    story = Story().answered(1).resolved(3).reopened(60)
    assert ends(story.clocks(FIRST)) == [(State.MET, minute(1))]


def test_a_snooze_does_not_stop_the_first_response() -> None:
    (clock,) = Story().snoozed(2).clocks(FIRST)
    assert (clock.state, clock.due_at(ALL_HOURS)) == (State.RUNNING, minute(15))


def test_next_response_runs_from_the_first_unanswered_message_after_the_first_response() -> None:
    story = Story().asked(0).answered(4).asked(10).asked(12).answered(18).asked(30)
    assert [clock.started_at for clock in story.clocks(NEXT)] == [minute(10), minute(30)]
    assert ends(story.clocks(NEXT)) == [(State.MET, minute(18)), (State.RUNNING, None)]


def test_messages_before_the_first_response_start_no_next_response() -> None:
    assert Story().asked(0).asked(5).answered(6).clocks(NEXT) == []


def test_next_response_is_cancelled_when_the_conversation_is_resolved() -> None:
    story = Story().answered(1).asked(2).resolved(5)
    assert ends(story.clocks(NEXT)) == [(State.CANCELLED, minute(5))]


def test_without_a_target_there_is_no_clock() -> None:
    policy = Policy("plain", "v1", first_response=timedelta(minutes=15))
    story = Story(policy).answered(1).asked(2)
    assert [clock.metric for clock in fold(Conversation(), tuple(story.facts)).conversation.clocks] == [FIRST]
    assert fold(Conversation(), tuple(Story(None).asked(1).facts)).conversation.clocks == ()


def test_resolution_runs_from_the_opening_to_the_resolution() -> None:
    (clock,) = Story().answered(1).resolved(90).clocks(SOLVED)
    assert (clock.state, clock.ended_at, clock.due_at(ALL_HOURS)) == (State.MET, minute(90), minute(480))


def test_a_snooze_pauses_the_resolution_until_the_conversation_is_reopened() -> None:
    story = Story().snoozed(10).reopened(70)
    (clock,) = story.clocks(SOLVED)
    assert clock.pauses == (Pause(minute(10), minute(70)),)
    assert (clock.state, clock.due_at(ALL_HOURS)) == (State.RUNNING, minute(480 + 60))


def test_a_paused_clock_shows_the_deadline_it_would_have_if_it_went_on_at_once() -> None:
    (clock,) = Story().snoozed(10).clocks(SOLVED)
    assert (clock.state, clock.due_at(ALL_HOURS)) == (State.PAUSED, minute(480))


def test_a_second_snooze_does_not_begin_a_second_pause() -> None:
    (clock,) = Story().snoozed(10).snoozed(20).clocks(SOLVED)
    assert clock.pauses == (Pause(minute(10)),)


def test_a_conversation_resolved_while_snoozed_is_met_with_what_had_run() -> None:
    (clock,) = Story().snoozed(10).resolved(1000).clocks(SOLVED)
    assert (clock.state, clock.ended_at) == (State.MET, minute(1000))
    assert not clock.crossed(1.0, minute(1000), ALL_HOURS)


def test_a_reopening_starts_a_new_resolution_with_the_whole_target_and_leaves_the_old_one() -> None:
    story = Story().answered(1).resolved(90).reopened(200)
    old, new = story.clocks(SOLVED)
    assert (old.state, old.ended_at, old.due_at(ALL_HOURS)) == (State.MET, minute(90), minute(480))
    assert (new.state, new.started_at, new.due_at(ALL_HOURS)) == (State.RUNNING, minute(200), minute(680))


def test_a_reopening_takes_the_policy_that_its_queue_has_now() -> None:
    quick = Policy("quick", "v2", resolution=timedelta(hours=1))
    _, new = Story().answered(1).resolved(90).reopened(200, "vip", quick).clocks(SOLVED)
    assert (new.policy, new.workspace_version, new.queue) == ("quick", "v2", "vip")
    assert new.due_at(ALL_HOURS) == minute(260)


def test_a_transfer_moves_running_clocks_and_keeps_their_targets() -> None:
    story = Story().answered(1).transferred(2, "vip")
    (first,), (solved,) = story.clocks(FIRST), story.clocks(SOLVED)
    assert (first.queue, solved.queue) == ("general", "vip")
    assert (solved.policy, solved.due_at(ALL_HOURS)) == ("gold", minute(480))


def test_an_answer_counts_from_when_it_was_given_however_late_it_comes() -> None:
    (clock,) = Story().resolved(20).answered(14).clocks(FIRST)
    assert (clock.state, clock.ended_at) == (State.MET, minute(14))


def test_a_decision_does_not_count_from_before_the_one_it_followed() -> None:
    """The message that reopened it was sent before the end of the conversation, but came after it."""
    story = Story().answered(1).resolved(20).reopened(15).asked(15)
    conversation = fold(Conversation(), tuple(story.facts)).conversation
    assert conversation.phase == "open"
    assert [clock.started_at for clock in story.clocks(SOLVED)] == [NINE, minute(20)]
    assert [(c.started_at, c.state) for c in story.clocks(NEXT)] == [(minute(20), State.RUNNING)]


def test_a_late_message_moves_the_start_of_the_next_response() -> None:
    before = Story().answered(1).asked(10)
    after = Story().answered(1).asked(10).asked(6)
    assert [clock.started_at for clock in before.clocks(NEXT)] == [minute(10)]
    assert [clock.started_at for clock in after.clocks(NEXT)] == [minute(6)]
    assert before.clocks(NEXT)[0].number != after.clocks(NEXT)[0].number


def test_nothing_counts_from_before_the_opening() -> None:
    (clock,) = Story().answered(-1).clocks(FIRST)
    assert (clock.state, clock.ended_at) == (State.MET, NINE)


def test_a_conversation_whose_opening_was_never_read_begins_with_its_reopening() -> None:
    facts = [Fact(Kind.REOPENED, minute(5), 7, "general", POLICY)]
    clocks = fold(Conversation(), tuple(facts)).conversation.clocks
    assert [(clock.metric, clock.started_at) for clock in clocks] == [(FIRST, minute(5)), (SOLVED, minute(5))]


@pytest.mark.parametrize(
    ("answer", "breached"), [(14.999, False), (15, False), (15.001, True)], ids=["before", "exactly", "after"]
)
def test_exactly_at_the_deadline_is_met(answer: float, breached: bool) -> None:
    (clock,) = Story().answered(answer).clocks(FIRST)
    assert clock.crossed(1.0, minute(60), ALL_HOURS) is breached


def test_a_clock_is_not_breached_before_time_has_come_to_its_deadline() -> None:
    (clock,) = Story().clocks(FIRST)
    assert not clock.crossed(1.0, minute(14.99), ALL_HOURS)
    assert clock.crossed(1.0, minute(15), ALL_HOURS)


def test_what_was_used_up_before_a_pause_stays_used_up() -> None:
    (clock,) = Story().snoozed(240).clocks(SOLVED)
    assert clock.crossed(0.5, minute(240), ALL_HOURS)
    assert not clock.crossed(0.8, minute(10_000), ALL_HOURS)
