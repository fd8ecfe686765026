"""This file proves, for any story, that clocks depend on what happened and when, and not on how it came to us."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.vocabulary import VIP, Metric
from services.sla.domain.calendar import ALWAYS_OPEN, Calendars
from services.sla.domain.clock import WHOLE, Clock, State
from services.sla.domain.conversation import Conversation, Fold, fold, settle
from services.sla.domain.facts import Fact, Kind
from services.sla.domain.policy import WAITING_FOR_CUSTOMER, Policy, Step
from services.sla.domain.standing import (
    SUPERSEDED,
    Happened,
    Happening,
    Standing,
    alarms,
    news,
    passed,
    standing,
    superseded,
)

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LATE = timedelta(minutes=120)

ALL_HOURS: Calendars = {ALWAYS_OPEN.version: ALWAYS_OPEN}

UNHURRIED = settings(deadline=None)  # the machine is shared

POLICIES = [
    Policy("all", "v", timedelta(minutes=15), timedelta(minutes=10), timedelta(hours=2), (0.5, 0.8)),
    Policy("first", "v", first_response=timedelta(minutes=30), warn_at=(0.8,)),
    Policy("end", "v", resolution=timedelta(hours=1)),
    Policy(
        "rest",
        "v",
        first_response=timedelta(minutes=20),
        next_response=timedelta(minutes=10),
        time_to_assignment=timedelta(minutes=5),
        periodic_update=timedelta(minutes=40),
        by_priority=((Metric.FIRST_RESPONSE, ((5, timedelta(minutes=4)),)),),
        warn_before=(timedelta(minutes=1),),
        vip=True,
        pause_on=(
            (Metric.PERIODIC_UPDATE, (WAITING_FOR_CUSTOMER,)),
            (Metric.RESOLUTION, (WAITING_FOR_CUSTOMER,)),
        ),
        human_only=False,
        escalate=(
            Step(0, None, raise_priority=5),
            Step(1, WHOLE, notify=("pengawas",)),
            Step(2, WHOLE, timedelta(minutes=10), move_to_queue="q2"),
        ),
    ),
    None,
]

LEGAL = {
    "open": [
        *(Kind.ASKED, Kind.ANSWERED, Kind.ASKED, Kind.REPLIED, Kind.ASSIGNED, Kind.TAGGED, Kind.PRIORITISED),
        *(Kind.RESOLVED, Kind.SNOOZED, Kind.TRANSFERRED, Kind.TRANSFERRED, Kind.MERGED, Kind.MIGRATED),
    ],
    "snoozed": [Kind.REOPENED, Kind.RESOLVED, Kind.ANSWERED, Kind.TAGGED],
    "resolved": [Kind.REOPENED, Kind.ANSWERED, Kind.TAGGED],
}
LEADS_TO = {
    Kind.REOPENED: "open",
    Kind.RESOLVED: "resolved",
    Kind.MERGED: "resolved",
    Kind.SNOOZED: "snoozed",
}


@st.composite
def stories(draw: st.DrawFn, longest: int = 12) -> list[Fact]:
    """What a router may decide, in its order; messages, and what they lead to, may be up to LATE old when they come."""
    one = st.sampled_from(POLICIES)
    several = st.lists(
        st.sampled_from([policy for policy in POLICIES if policy]), max_size=3, unique=True
    ).map(tuple)
    facts = [Fact(Kind.OPENED, START, 1, "q1", draw(one), draw(several))]
    phase, now = "open", START
    for version in range(2, draw(st.integers(2, longest)) + 1):
        now += timedelta(minutes=draw(st.sampled_from([0, 1, 5, 10, 15, 40, 200])))
        kind = draw(st.sampled_from(LEGAL[phase]))
        late = draw(st.sampled_from([0, 0, 0, 1, 7, 30, 120]))
        may_be_late = kind in (Kind.ASKED, Kind.ANSWERED, Kind.REPLIED, Kind.ASSIGNED, Kind.REOPENED)
        at = now - timedelta(minutes=late) if may_be_late else now
        queue = draw(st.sampled_from(["q1", "q2"])) if kind in (Kind.REOPENED, Kind.TRANSFERRED) else None
        policy = draw(one) if kind is Kind.REOPENED else None
        policies = draw(several) if kind in (Kind.TRANSFERRED, Kind.MIGRATED) else None
        priority = draw(st.integers(0, 9)) if kind is Kind.PRIORITISED else None
        tags = draw(st.sampled_from([(), (VIP,), ("x",)])) if kind is Kind.TAGGED else None
        facts.append(Fact(kind, at, version, queue, policy, policies, priority, tags))
        phase = LEADS_TO.get(kind, phase)
    return facts


Name = tuple[Metric, int]


@dataclass
class Keeper:
    """Does what the service does with rows and events, in memory. `fire`: whether timers fire as soon as they are due."""

    fire: bool = True
    lateness: timedelta = timedelta(days=3650)
    kept: int = 10_000
    base: Conversation = field(default_factory=Conversation)
    facts: tuple[Fact, ...] = ()
    known: Fold | None = None
    reached: datetime = START - timedelta(days=3650)
    rows: dict[Name, Standing] = field(default_factory=dict)
    said: dict[Name, list[Happening]] = field(default_factory=dict)
    gone: dict[Name, Clock] = field(default_factory=dict)

    def take(self, fact: Fact) -> None:
        if self.fire:
            self.until(fact.at)
        self.reached = max(self.reached, fact.at)
        self.facts = (*self.facts, fact)
        self.fold()

    def until(self, moment: datetime) -> None:
        """Fire what is due before the moment, in order."""
        while due := [at for at in self.due() if self.reached < at < moment]:
            self.reached = min(due)
            foreseen, told = self.passed(), {name: len(said) for name, said in self.said.items()}
            self.fold()
            for name, (after, happenings) in foreseen.items():
                assert self.rows[name] == after, (
                    "the clock's row alone says how it stands when only time came"
                )
                assert [replace(h, policy=None) for h in self.said[name][told[name] :]] == happenings

    def passed(self) -> dict[Name, tuple[Standing, list[Happening]]]:
        """How the clocks stand, by their rows alone, of which shares without escalation are used up at this moment."""
        found: dict[Name, tuple[Standing, list[Happening]]] = {}
        for clock in fold(self.base, self.facts).conversation.clocks:
            name = (clock.metric, clock.number)
            after, said = self.rows[name], list[Happening]()
            terms = clock.numbered(len(after.changes))
            due = [share for share, at in alarms(clock, after, ALL_HOURS).items() if at == self.reached]
            if due and not {share for share, _ in terms.steps} & {*due}:
                for share in due:
                    after, happening = passed(after, share, self.reached, terms.warn_at)
                    said += [happening] if happening else []
                found[name] = (after, said)
        return found

    def due(self) -> list[datetime]:
        return [
            at
            for clock in fold(self.base, self.facts).conversation.clocks
            for at in alarms(clock, standing(clock, self.reached, ALL_HOURS), ALL_HOURS).values()
        ]

    def fold(self) -> None:
        left = {name: row for name, row in self.rows.items() if name not in self.gone}
        self.known = fold(self.base, self.facts, self.known)
        assert self.known == fold(self.base, self.facts), "going on from a known fold makes no difference"
        for clock in self.known.conversation.clocks:
            name = (clock.metric, clock.number)
            before, after = left.pop(name, None), standing(clock, self.reached, ALL_HOURS)
            self.said.setdefault(name, []).extend(news(before, clock, after, ALL_HOURS))
            self.rows[name] = after
        for name, row in left.items():
            if row.reason != SUPERSEDED:
                self.said[name].append(
                    Happening(Happened.CANCELLED, row.due_at, row.due_at, corrects_breach=row.breached)
                )
                self.rows[name] = superseded(row)
        found = settle(self.base, self.facts, self.reached, lateness=self.lateness, kept=self.kept)
        self.base, self.facts = found.base, found.facts
        self.gone |= {(clock.metric, clock.number): clock for clock in found.gone}

    def end_state(self) -> dict[Name, Standing]:
        return {name: row for name, row in self.rows.items() if row.reason != SUPERSEDED}


def in_the_order_of_the_log(facts: list[Fact], keeper: Keeper | None = None) -> Keeper:
    keeper = keeper or Keeper()
    for fact in facts:
        keeper.take(fact)
    return keeper


@UNHURRIED
@given(stories(), st.randoms(use_true_random=False), st.booleans())
def test_any_order_of_arrival_gives_the_end_state_of_the_log(
    facts: list[Fact], dice: object, fire: bool
) -> None:
    shuffled = list(facts)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        in_the_order_of_the_log(shuffled, Keeper(fire=fire)).end_state()
        == in_the_order_of_the_log(facts).end_state()
    )


@UNHURRIED
@given(stories())
def test_timers_make_no_difference_to_the_end_state(facts: list[Fact]) -> None:
    without = in_the_order_of_the_log(facts, Keeper(fire=False))
    assert without.end_state() == in_the_order_of_the_log(facts).end_state()


@UNHURRIED
@given(stories(), st.randoms(use_true_random=False))
def test_a_reader_who_takes_the_last_word_knows_how_each_clock_stands(
    facts: list[Fact], dice: object
) -> None:
    shuffled = list(facts)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    keeper = in_the_order_of_the_log(shuffled)
    for name, row in keeper.rows.items():
        state, breached, ended_at = as_told(keeper.said[name])
        assert (state, breached) == (row.state, row.breached)
        if row.reason != SUPERSEDED:
            assert ended_at == row.ended_at


def as_told(said: list[Happening]) -> tuple[State | None, bool, datetime | None]:
    state: State | None = None
    breached, ended_at = False, None
    for happening in said:
        breached = breached and not happening.corrects_breach
        match happening.what:
            case Happened.STARTED | Happened.RESUMED:
                state, ended_at = State.RUNNING, None
            case Happened.PAUSED:
                state = State.PAUSED
            case Happened.BREACHED:
                breached = True
            case Happened.MET:
                state, ended_at = State.MET, happening.at
            case Happened.CANCELLED:
                state, ended_at = State.CANCELLED, happening.at
            case Happened.WARNED | Happened.ESCALATED | Happened.RETARGETED:
                pass
    return state, breached, ended_at


@UNHURRIED
@given(stories())
def test_in_the_order_of_event_time_nothing_is_taken_back_and_nothing_said_twice(facts: list[Fact]) -> None:
    on_time = [fact for fact in facts if fact.at == max(f.at for f in facts[: facts.index(fact) + 1])]
    keeper = in_the_order_of_the_log(on_time)
    for said in keeper.said.values():
        # What else happened at the very moment of a deadline may be read before the answer that was given then.
        assert all(h.at == h.due_at for h in said if h.corrects_breach)
        assert [h.at for h in said] == sorted(h.at for h in said)
        words = [(h.what, h.at, h.fraction, h.step, h.terms) for h in said]
        assert len(words) == len(set(words))
        assert sum(h.what is Happened.BREACHED for h in said) <= 1
    assert all(row.reason != SUPERSEDED for row in keeper.rows.values())


@UNHURRIED
@given(stories())
def test_a_breach_is_stamped_with_the_deadline_and_an_end_in_time_is_no_breach(facts: list[Fact]) -> None:
    keeper = in_the_order_of_the_log(facts)
    for clock in fold(keeper.base, keeper.facts).conversation.clocks:
        row = keeper.rows[(clock.metric, clock.number)]
        breaches = [h for h in keeper.said[(clock.metric, clock.number)] if h.what is Happened.BREACHED]
        assert all(h.at == h.due_at for h in breaches)
        if row.ended_at is not None and row.state is State.MET:
            assert row.breached == (row.ended_at > row.due_at)
        if not clock.pauses and not clock.earlier:
            assert row.due_at == clock.started_at + clock.target
        assert row.breached == clock.crossed(WHOLE, keeper.reached, ALL_HOURS)


@UNHURRIED
@given(stories(longest=30), st.integers(2, 12), st.sampled_from([LATE, LATE * 3]))
def test_settling_changes_no_clock_where_nothing_is_later_than_allowed(
    facts: list[Fact], kept: int, lateness: timedelta
) -> None:
    by_age = in_the_order_of_the_log(facts, Keeper(lateness=lateness))
    everything = in_the_order_of_the_log(facts)
    assert by_age.end_state() == everything.end_state()
    on_time = sorted(facts, key=lambda fact: fact.version)
    on_time = [fact for i, fact in enumerate(on_time) if all(f.at <= fact.at for f in on_time[:i])]
    by_count = in_the_order_of_the_log(on_time, Keeper(kept=kept))
    assert len(by_count.facts) <= max(kept, by_count.facts.count(on_time[-1]) + most_at_once(on_time))
    assert by_count.end_state() == in_the_order_of_the_log(on_time).end_state()


def most_at_once(facts: list[Fact]) -> int:
    times = [fact.at for fact in facts]
    return max(times.count(at) for at in times) + 1
