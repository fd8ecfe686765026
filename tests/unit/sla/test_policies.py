"""This file proves which policy rules which metric, and what happens to a clock when another does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.contracts.vocabulary import VIP, Metric
from services.sla.domain.clock import WHOLE, Clock, State
from services.sla.domain.conversation import Conversation, fold
from services.sla.domain.definition import Definition, Offset, Span
from services.sla.domain.facts import Fact, Kind
from services.sla.domain.hours import OpenHours
from services.sla.domain.policy import ON_HOLD, WAITING_FOR_CUSTOMER, Policy, Step, ruling
from services.sla.domain.standing import Happened, Happening, Standing, news, standing
from tests.unit.sla.test_conversation import ALL_HOURS, FIRST, NEXT, NINE, SOLVED, minute

ASSIGNED, UPDATE = Metric.TIME_TO_ASSIGNMENT, Metric.PERIODIC_UPDATE
MINUTE = timedelta(minutes=1)

PLAIN = Policy("plain", "v1", 15 * MINUTE, 10 * MINUTE, 480 * MINUTE, (0.8,))
QUICK = Policy("quick", "v1", 5 * MINUTE)
LONG = Policy("long", "v1", 60 * MINUTE, warn_at=(0.5,))


class Story:
    """Facts in the order in which the router decided them; `at` is minutes after nine."""

    def __init__(self, *policies: Policy, priority: int = 0) -> None:
        self.facts: list[Fact] = []
        self.add(Kind.OPENED, 0, queue="general", policies=policies, priority=priority)

    def add(self, kind: Kind, at: float, **fields: object) -> "Story":
        self.facts.append(Fact(kind, minute(at), len(self.facts) + 1, **fields))  # type: ignore[arg-type]
        return self

    def clocks(self, metric: Metric) -> list[Clock]:
        conversation = fold(Conversation(), tuple(self.facts)).conversation
        return [clock for clock in conversation.clocks if clock.metric is metric]

    def one(self, metric: Metric = FIRST) -> Clock:
        (clock,) = self.clocks(metric)
        return clock


def spoken(clock: Clock, reached: float, known: Standing | None = None) -> list[tuple[Happened, float]]:
    found = news(known, clock, standing(clock, minute(reached), ALL_HOURS), ALL_HOURS)
    return [(one.what, (one.at - NINE) / MINUTE) for one in found]


def ends(clocks: list[Clock]) -> list[tuple[State, float | None, str | None]]:
    return [(c.state, (c.ended_at - NINE) / MINUTE if c.ended_at else None, c.reason) for c in clocks]


# -- which policy rules -----------------------------------------------------------------------------------------------


def test_of_several_policies_the_one_with_the_shortest_target_rules_a_metric_and_the_others_are_not_counted() -> (
    None
):
    story = Story(PLAIN, QUICK, LONG)
    assert [(clock.policy, clock.target) for clock in story.clocks(FIRST)] == [("quick", 5 * MINUTE)]
    assert [clock.policy for clock in story.clocks(SOLVED)] == ["plain"]


def test_of_equal_targets_the_policy_that_stands_first_rules() -> None:
    twin = replace(PLAIN, id="another")
    assert Story(twin, PLAIN).one().policy == "another"
    assert Story(PLAIN, twin).one().policy == "plain"


@pytest.mark.parametrize(
    ("policy", "priority", "tags", "fits"),
    [
        (PLAIN, 0, (), True),
        (replace(PLAIN, priorities=(5, 7)), 5, (), True),
        (replace(PLAIN, priorities=(5, 7)), 6, (), False),
        (replace(PLAIN, tags=("a", "b")), 0, ("b",), True),
        (replace(PLAIN, tags=("a", "b")), 0, ("c",), False),
        (replace(PLAIN, vip=True), 0, (VIP,), True),
        (replace(PLAIN, vip=True), 0, (), False),
        (replace(PLAIN, vip=False), 0, (VIP,), False),
        (replace(PLAIN, tags=("a",), priorities=(5,)), 5, ("b",), False),
    ],
)
def test_all_that_a_policy_asks_for_must_fit(
    policy: Policy, priority: int, tags: tuple[str, ...], fits: bool
) -> None:
    assert (ruling([policy], FIRST, priority, tags) is not None) is fits


@pytest.mark.parametrize(
    ("priority", "target"), [(-1, 15), (0, 15), (4, 15), (5, 4), (9, 4), (10, 2), (99, 2)]
)
def test_the_target_is_that_of_the_highest_priority_named_that_is_not_above(
    priority: int, target: int
) -> None:
    policy = replace(PLAIN, by_priority=((FIRST, ((5, 4 * MINUTE), (10, 2 * MINUTE))),))
    assert policy.target(FIRST, priority) == target * MINUTE
    assert policy.target(SOLVED, priority) == 480 * MINUTE


def test_a_warning_before_the_deadline_is_a_share_of_the_target() -> None:
    policy = replace(PLAIN, warn_before=(5 * MINUTE, MINUTE))
    clock = Story(policy).one()
    assert [(clock.moment(share, ALL_HOURS) - NINE) / MINUTE for share in clock.warn_at] == [10, 12, 14]


# -- metrics ----------------------------------------------------------------------------------------------------------


def test_time_to_assignment_runs_from_the_opening_until_an_agent_has_it() -> None:
    story = (
        Story(Policy("p", "v1", time_to_assignment=5 * MINUTE)).add(Kind.ASSIGNED, 3).add(Kind.ASSIGNED, 4)
    )
    assert ends(story.clocks(ASSIGNED)) == [(State.MET, 3, None)]


def test_a_transfer_of_what_somebody_had_starts_another_time_to_assignment() -> None:
    policy = Policy("p", "v1", time_to_assignment=5 * MINUTE)
    story = Story(policy).add(Kind.ASSIGNED, 3).add(Kind.TRANSFERRED, 10, queue="b", policies=(policy,))
    assert [(c.started_at, c.state) for c in story.clocks(ASSIGNED)] == [
        (NINE, State.MET),
        (minute(10), State.RUNNING),
    ]


def test_an_assignment_at_the_moment_of_the_opening_meets_its_clock() -> None:
    story = Story(Policy("p", "v1", time_to_assignment=5 * MINUTE)).add(Kind.ASSIGNED, 0)
    assert ends(story.clocks(ASSIGNED)) == [(State.MET, 0, None)]


def test_an_update_is_due_so_long_after_each_answer_for_as_long_as_the_conversation_is_open() -> None:
    story = (
        Story(Policy("p", "v1", periodic_update=30 * MINUTE)).add(Kind.ANSWERED, 10).add(Kind.ANSWERED, 50)
    )
    story.add(Kind.RESOLVED, 60)
    assert ends(story.clocks(UPDATE)) == [
        (State.MET, 10, None),
        (State.MET, 50, None),
        (State.CANCELLED, 60, "resolved"),
    ]
    assert [clock.crossed(WHOLE, minute(60), ALL_HOURS) for clock in story.clocks(UPDATE)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("human_only", [True, False])
def test_what_a_bot_says_is_an_answer_only_where_the_policy_says_so(human_only: bool) -> None:
    story = (
        Story(replace(PLAIN, human_only=human_only))
        .add(Kind.ASKED, 0)
        .add(Kind.REPLIED, 1)
        .add(Kind.ASKED, 2)
    )
    first = story.one()
    assert (first.state is State.RUNNING) is human_only
    assert [clock.started_at for clock in story.clocks(NEXT)] == ([] if human_only else [minute(2)])


def test_a_clock_pauses_while_we_wait_for_the_customer_where_the_policy_says_so() -> None:
    policy = replace(PLAIN, pause_on=((SOLVED, (ON_HOLD, WAITING_FOR_CUSTOMER)),))
    story = Story(policy).add(Kind.ASKED, 0).add(Kind.ANSWERED, 10).add(Kind.ASKED, 40).add(Kind.SNOOZED, 50)
    clock = story.one(SOLVED)
    assert [(p.start, p.end, p.reason) for p in clock.pauses] == [
        (minute(10), minute(40), WAITING_FOR_CUSTOMER),
        (minute(50), None, ON_HOLD),
    ]
    assert clock.due_at(ALL_HOURS) == minute(480 + 30)


def test_two_reasons_to_pause_that_overlap_are_one_pause() -> None:
    policy = replace(PLAIN, pause_on=((SOLVED, (ON_HOLD, WAITING_FOR_CUSTOMER)),))
    story = (
        Story(policy).add(Kind.ANSWERED, 10).add(Kind.SNOOZED, 20).add(Kind.REOPENED, 30).add(Kind.ASKED, 40)
    )
    assert [(p.start, p.end) for p in story.one(SOLVED).pauses] == [(minute(10), minute(40))]


# -- reopen, merge, transfer, policy, priority ------------------------------------------------------------------------


def test_a_reopening_takes_the_policies_that_there_are_then_and_leaves_the_old_clock_as_it_ended() -> None:
    newer = replace(PLAIN, workspace_version="v2", resolution=60 * MINUTE)
    story = Story(PLAIN).add(Kind.RESOLVED, 90).add(Kind.REOPENED, 200, queue="general", policies=(newer,))
    old, new = story.clocks(SOLVED)
    assert (old.state, old.due_at(ALL_HOURS), old.workspace_version) == (State.MET, minute(480), "v1")
    assert (new.state, new.due_at(ALL_HOURS), new.workspace_version) == (State.RUNNING, minute(260), "v2")


def test_a_reopening_out_of_a_snooze_goes_on_with_what_was_pinned() -> None:
    newer = replace(PLAIN, workspace_version="v2", resolution=60 * MINUTE)
    story = Story(PLAIN).add(Kind.SNOOZED, 10).add(Kind.REOPENED, 70, queue="general", policies=(newer,))
    clock = story.one(SOLVED)
    assert (clock.workspace_version, clock.due_at(ALL_HOURS), clock.changes) == ("v1", minute(540), ())


def test_the_clocks_of_a_conversation_that_was_merged_away_are_cancelled() -> None:
    story = Story(PLAIN).add(Kind.MERGED, 4).add(Kind.ANSWERED, 5)
    assert ends(story.clocks(FIRST)) == ends(story.clocks(SOLVED)) == [(State.CANCELLED, 4, "merged")]


def test_a_transfer_puts_a_clock_under_the_other_queues_policy_and_keeps_the_time_used_up() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 6, queue="b", policies=(LONG,))
    clock = story.one()
    assert (clock.queue, clock.policy, clock.due_at(ALL_HOURS)) == ("b", "long", minute(60))
    assert spoken(clock, 70) == [
        (Happened.STARTED, 0),
        (Happened.RETARGETED, 6),
        (Happened.WARNED, 30),
        (Happened.BREACHED, 60),
    ]


def test_a_transfer_to_a_queue_without_a_policy_cancels_the_clock() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 6, queue="b", policies=())
    assert ends(story.clocks(FIRST)) == [(State.CANCELLED, 6, "no_policy")]


def test_a_promise_that_a_transfer_brings_counts_from_the_transfer() -> None:
    story = Story(LONG).add(Kind.TRANSFERRED, 6, queue="b", policies=(PLAIN,))
    assert [(c.started_at, c.due_at(ALL_HOURS)) for c in story.clocks(SOLVED)] == [(minute(6), minute(486))]


def test_a_transfer_keeps_the_version_of_a_policy_that_held_before() -> None:
    newer = replace(PLAIN, workspace_version="v2", first_response=MINUTE)
    clock = Story(PLAIN).add(Kind.TRANSFERRED, 6, queue="b", policies=(newer,)).one()
    assert (clock.workspace_version, clock.due_at(ALL_HOURS)) == ("v1", minute(15))


def test_a_target_that_is_used_up_already_is_due_at_the_change_and_not_before() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 9, queue="b", policies=(QUICK,))
    assert story.one().due_at(ALL_HOURS) == minute(9)
    assert spoken(story.one(), 20)[-1] == (Happened.BREACHED, 9)


def test_an_answer_at_the_moment_of_such_a_change_is_in_time() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 9, queue="b", policies=(QUICK,)).add(Kind.ANSWERED, 9)
    assert not story.one().crossed(WHOLE, minute(60), ALL_HOURS)


def test_new_terms_do_not_move_a_breach_that_has_happened() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 16, queue="b", policies=(LONG,)).add(Kind.ANSWERED, 20)
    clock = story.one()
    assert (clock.due_at(ALL_HOURS), clock.crossed(WHOLE, minute(20), ALL_HOURS)) == (minute(15), True)
    assert [what for what, _ in spoken(clock, 20)] == [
        Happened.STARTED,
        Happened.WARNED,
        Happened.BREACHED,
        Happened.MET,
    ]


def test_a_raised_priority_stays_through_a_snooze_and_a_transfer_within_the_queue() -> None:
    policy = replace(PLAIN, by_priority=((FIRST, ((5, 8 * MINUTE),)),))
    story = Story(policy).add(Kind.PRIORITISED, 3, priority=7)
    story.add(Kind.TRANSFERRED, 4, queue="general", policies=(policy,), priority=0)
    assert story.one().due_at(ALL_HOURS) == minute(8)
    story.add(Kind.SNOOZED, 5).add(Kind.REOPENED, 6, queue="general", policies=(policy,), priority=0)
    assert story.one().changes == (minute(3),)


def test_a_change_of_priority_takes_its_target_and_keeps_the_time_used_up() -> None:
    policy = replace(PLAIN, by_priority=((FIRST, ((5, 8 * MINUTE),)),))
    story = Story(policy).add(Kind.PRIORITISED, 3, priority=7)
    assert story.one().due_at(ALL_HOURS) == minute(8)
    story.add(Kind.PRIORITISED, 4, priority=1)
    assert story.one().changes == (minute(3),), "raised, never lowered by it"
    story.add(Kind.TRANSFERRED, 5, queue="b", policies=(policy,), priority=0)
    assert story.one().due_at(ALL_HOURS) == minute(15)
    assert story.one().changes == (minute(3), minute(5))


def test_a_tag_brings_the_policy_that_asks_for_it() -> None:
    vip = replace(QUICK, vip=True)
    story = Story(PLAIN, vip)
    assert story.one().policy == "plain"
    story.add(Kind.TAGGED, 2, tags=(VIP,))
    assert (story.one().policy, story.one().due_at(ALL_HOURS)) == ("quick", minute(5))


def test_a_complaint_is_due_by_its_category_and_priority_and_is_warned_of_and_breached_like_anything_else() -> (
    None
):
    urgent = ((SOLVED, ((10, 120 * MINUTE),)),)
    goods = Policy(
        "goods", "v1", resolution=480 * MINUTE, by_priority=urgent, warn_at=(0.5,), tags=("complaint/goods",)
    )
    story = Story(goods)
    assert story.clocks(SOLVED) == []
    story.add(Kind.TAGGED, 5, tags=("complaint/goods",))
    assert story.one(SOLVED).due_at(ALL_HOURS) == minute(485)
    story.add(Kind.PRIORITISED, 35, priority=10)
    assert spoken(story.one(SOLVED), 200) == [
        (Happened.STARTED, 5),
        (Happened.RETARGETED, 35),
        (Happened.WARNED, 65),
        (Happened.BREACHED, 125),
    ]


def test_a_migration_takes_the_policies_that_there_are_now() -> None:
    newer = replace(PLAIN, workspace_version="v2", first_response=20 * MINUTE)
    clock = Story(PLAIN).add(Kind.MIGRATED, 6, policies=(newer,)).one()
    assert (clock.workspace_version, clock.due_at(ALL_HOURS), clock.changes) == (
        "v2",
        minute(20),
        (minute(6),),
    )


def test_open_time_used_up_under_one_calendar_stays_used_up_under_another() -> None:
    """Nine to ten o'clock was closed by the first, so that nothing was used up of the target when the second took over."""
    utc = (Offset(NINE, 0),)
    ten = OpenHours(Definition("UTC", utc, ((Span(600, 1440),),) * 7), "from-ten")
    calendars = {**ALL_HOURS, "from-ten": ten}
    late = replace(PLAIN, calendar="from-ten")
    story = Story(late).add(Kind.TRANSFERRED, 70, queue="b", policies=(replace(PLAIN, id="all"),))
    assert story.one().due_at(calendars) == minute(75)
    story = Story(late).add(Kind.TRANSFERRED, 50, queue="b", policies=(replace(PLAIN, id="all"),))
    assert story.one().due_at(calendars) == minute(65)


def test_pauses_before_a_change_do_not_count_as_used_up() -> None:
    policy = replace(PLAIN, by_priority=((SOLVED, ((5, 100 * MINUTE),)),))
    story = Story(policy).add(Kind.SNOOZED, 10).add(Kind.REOPENED, 60).add(Kind.PRIORITISED, 70, priority=5)
    assert story.one(SOLVED).due_at(ALL_HOURS) == minute(150)


def test_a_transfer_at_the_very_moment_of_the_breach_does_not_undo_it() -> None:
    story = Story(PLAIN).add(Kind.TRANSFERRED, 15, queue="b", policies=(LONG,))
    assert spoken(story.one(), 60)[-1] == (Happened.BREACHED, 15)


def test_a_warning_that_was_given_is_not_given_again_at_the_change_but_before_a_later_deadline() -> None:
    earlier = replace(PLAIN, by_priority=((FIRST, ((5, 14 * MINUTE),)),))
    story = Story(earlier).add(Kind.PRIORITISED, 13, priority=5)
    assert [at for what, at in spoken(story.one(), 20) if what is Happened.WARNED] == [12]
    story = Story(PLAIN).add(Kind.TRANSFERRED, 13, queue="b", policies=(replace(LONG, warn_at=(0.8,)),))
    assert [at for what, at in spoken(story.one(), 60) if what is Happened.WARNED] == [12, 48]


# -- escalation -------------------------------------------------------------------------------------------------------

STEPS = (
    Step(0, None, raise_priority=5),
    Step(1, WHOLE, -2 * MINUTE, notify=("ana",)),
    Step(2, WHOLE, metrics=(SOLVED,), move_to_queue="b"),
    Step(3, WHOLE, 30 * MINUTE, assign_supervisor="hendra"),
)


def steps(found: list[Happening]) -> list[tuple[int, float]]:
    return [(one.step.number, (one.at - NINE) / MINUTE) for one in found if one.step]


def test_steps_are_due_at_the_first_warning_before_the_deadline_at_the_breach_and_after_it() -> None:
    story = Story(replace(PLAIN, escalate=STEPS))
    for metric, due in (
        (FIRST, [(0, 12), (1, 13), (3, 45)]),
        (SOLVED, [(0, 384), (1, 478), (2, 480), (3, 510)]),
    ):
        clock = story.one(metric)
        found = news(None, clock, standing(clock, minute(1000), ALL_HOURS), ALL_HOURS)
        assert steps(found) == due


def test_no_step_is_due_once_the_clock_has_ended() -> None:
    story = Story(replace(PLAIN, escalate=STEPS)).add(Kind.ANSWERED, 20)
    clock = story.one()
    found = news(None, clock, standing(clock, minute(1000), ALL_HOURS), ALL_HOURS)
    assert steps(found) == [(0, 12), (1, 13)]
