"""This file proves what is announced of a clock, and what is taken back when something comes late."""

from dataclasses import replace
from datetime import datetime

from libs.contracts.vocabulary import Metric
from services.sla.domain.clock import Clock, State
from services.sla.domain.standing import Happened, Happening, Standing, alarms, news, standing, superseded
from tests.unit.sla.test_conversation import ALL_HOURS, FIRST, NINE, SOLVED, Story, minute


def one(story: Story, metric: Metric = FIRST) -> Clock:
    (clock,) = story.clocks(metric)
    return clock


def told(found: list[Happening]) -> list[tuple[Happened, datetime]]:
    return [(happening.what, happening.at) for happening in found]


def step(before: Standing | None, clock: Clock, reached: datetime) -> tuple[list[Happening], Standing]:
    after = standing(clock, reached, ALL_HOURS)
    return news(before, clock, after, ALL_HOURS), after


def test_what_happened_unseen_is_told_in_the_order_of_event_time() -> None:
    found, _ = step(None, one(Story().answered(20)), minute(20))
    assert told(found) == [
        (Happened.STARTED, NINE),
        (Happened.WARNED, minute(7.5)),
        (Happened.WARNED, minute(12)),
        (Happened.BREACHED, minute(15)),
        (Happened.MET, minute(20)),
    ]
    assert [happening.fraction for happening in found] == [None, 0.5, 0.8, None, None]


def test_nothing_is_told_twice() -> None:
    clock = one(Story())
    _, warned = step(None, clock, minute(8))
    found, after = step(warned, clock, minute(14))
    assert told(found) == [(Happened.WARNED, minute(12))]
    assert step(after, clock, minute(14.5)) == ([], after)


def test_an_answer_in_time_that_comes_late_takes_the_breach_back() -> None:
    _, breached = step(None, one(Story()), minute(15))
    assert breached.breached
    found, after = step(breached, one(Story().answered(14)), minute(15))
    assert [(h.what, h.at, h.corrects_breach) for h in found] == [(Happened.MET, minute(14), True)]
    assert not after.breached


def test_a_breach_that_other_terms_move_takes_the_place_of_the_one_that_was_told() -> None:
    clock = one(Story())
    _, breached = step(None, clock, minute(16))
    sooner = clock.under(replace(clock.terms, target=minute(10) - minute(0)), minute(5))
    found, after = step(breached, sooner, minute(16))
    assert [(h.at, h.corrects_breach) for h in found if h.what is Happened.BREACHED] == [(minute(10), True)]
    assert after.breached
    assert sum(h.corrects_breach for h in found) == 1


def test_an_answer_after_the_deadline_leaves_the_breach() -> None:
    _, breached = step(None, one(Story()), minute(15))
    found, after = step(breached, one(Story().answered(16)), minute(16))
    assert [(h.what, h.at, h.corrects_breach) for h in found] == [(Happened.MET, minute(16), False)]
    assert after.breached


def test_an_earlier_answer_that_comes_late_is_told_as_a_second_end() -> None:
    _, met = step(None, one(Story().answered(10)), minute(10))
    found, _ = step(met, one(Story().answered(10).answered(5)), minute(10))
    assert told(found) == [(Happened.MET, minute(5))]


def test_a_resolution_in_time_that_comes_late_takes_the_breach_of_the_first_response_back() -> None:
    _, breached = step(None, one(Story()), minute(15))
    found, after = step(breached, one(Story().resolved(14)), minute(15))
    assert [(h.what, h.corrects_breach) for h in found] == [(Happened.CANCELLED, True)]
    assert after.reason == "resolved"


def test_a_snooze_that_comes_late_takes_the_breach_of_the_resolution_back() -> None:
    _, breached = step(None, one(Story(), SOLVED), minute(480))
    found, after = step(breached, one(Story().snoozed(479), SOLVED), minute(480))
    assert [(h.what, h.corrects_breach) for h in found] == [(Happened.PAUSED, True)]
    assert not after.breached


def test_each_event_carries_the_deadline_as_it_was_then() -> None:
    found, _ = step(None, one(Story().snoozed(10).reopened(70).snoozed(80), SOLVED), minute(80))
    assert [(h.what, h.due_at) for h in found] == [
        (Happened.STARTED, minute(480)),
        (Happened.PAUSED, minute(480)),
        (Happened.RESUMED, minute(540)),
        (Happened.PAUSED, minute(540)),
    ]


def test_the_end_of_a_paused_clock_is_told_without_a_resumption() -> None:
    _, paused = step(None, one(Story().snoozed(10), SOLVED), minute(10))
    found, _ = step(paused, one(Story().snoozed(10).resolved(70), SOLVED), minute(70))
    assert told(found) == [(Happened.MET, minute(70))]


def test_a_superseded_clock_that_comes_back_is_told_from_its_start() -> None:
    clock = one(Story())
    _, warned = step(None, clock, minute(8))
    found, _ = step(superseded(warned), clock, minute(8))
    assert told(found) == [(Happened.STARTED, NINE), (Happened.WARNED, minute(7.5))]


def test_only_a_running_clock_has_timers_and_only_for_what_is_still_to_come() -> None:
    clock = one(Story())
    assert alarms(clock, standing(clock, NINE, ALL_HOURS), ALL_HOURS) == {
        0.5: minute(7.5),
        0.8: minute(12),
        1.0: minute(15),
    }
    assert alarms(clock, standing(clock, minute(9), ALL_HOURS), ALL_HOURS) == {
        0.8: minute(12),
        1.0: minute(15),
    }
    assert alarms(clock, standing(clock, minute(15), ALL_HOURS), ALL_HOURS) == {}
    paused = one(Story().snoozed(10), SOLVED)
    assert alarms(paused, standing(paused, minute(10), ALL_HOURS), ALL_HOURS) == {}
    met = one(Story().answered(1))
    assert met.state is State.MET
    assert alarms(met, standing(met, minute(1), ALL_HOURS), ALL_HOURS) == {}
