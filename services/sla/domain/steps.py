"""This file says what each fact does to the clocks of a conversation.

first_response      opening ─▶ first answer. Resolved before: cancelled. A reopened conversation that is not answered yet
                    starts the next one.
next_response       first message of the customer that is not answered, once there was an answer at all ─▶ the next answer.
                    Resolved before: cancelled.
resolution          opening ─▶ resolved. A reopening starts a new one with the whole target; the one before stays as it
                    ended, so that no figure changes afterwards.
time_to_assignment  opening, reopening, or transfer of what somebody had ─▶ assigned. Resolved before: cancelled.
periodic_update     opening ─▶ answer, and from each answer ─▶ the next. Resolved before: cancelled.

An answer is what a person of ours says; with `human_only: false` what a bot or an automatic reply says too.

Reopening   of a resolved conversation: all policies are those that the workspace has then. Out of a snooze: clocks go on.
Transfer    the policies of the other queue hold from then on; one that held before keeps the version that was pinned.
Priority, tags    the policy that rules may be another, or its target.
Migration   calendars, or policies too, are those that the workspace has now.
Merge       the clocks of the conversation that was merged away are cancelled; those of the one it goes on in stay.

Where another policy or target rules after one of the last five, a running clock goes on under the new terms (`clock.py` says
how); where none does any more, it is cancelled; and where one does that did not, a clock starts at that moment, since what
was not promised could not be late.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from libs.contracts.vocabulary import Metric
from services.sla.domain.clock import Clock, State, terms_of
from services.sla.domain.facts import Fact, Kind
from services.sla.domain.policy import METRICS, ON_HOLD, Policy, ruling
from services.sla.domain.state import Conversation, Phase

NO_POLICY = "no_policy"
"""Why a clock was cancelled: no policy rules its metric any more."""


def step(before: Conversation, fact: Fact) -> Conversation:
    return STEPS[fact.kind](before, fact)


def _opened(before: Conversation, fact: Fact) -> Conversation:
    return before if before.phase is not Phase.UNSEEN else _begun(before, fact)


def _reopened(before: Conversation, fact: Fact) -> Conversation:
    match before.phase:
        case Phase.OPEN:
            return before
        case Phase.SNOOZED:
            return _transferred(replace(before, phase=Phase.OPEN), fact)
        case _:
            return _begun(before, fact)


def _begun(before: Conversation, fact: Fact) -> Conversation:
    found = replace(
        before,
        phase=Phase.OPEN,
        queue=fact.queue or before.queue,
        policy=None,
        policies=fact.may_hold or (),
        priority=before.priority if fact.priority is None else fact.priority,
        assigned=False,
        asked=False,
        unheard=False,
        last_word=False,
        last_reply=False,
    )
    return _under_new_terms(found, fact)


def _transferred(before: Conversation, fact: Fact) -> Conversation:
    """A priority that was raised stays while the queue is the same."""
    queue, may_hold = fact.queue or before.queue, fact.may_hold
    priority = before.priority if fact.priority is None else fact.priority
    if queue == before.queue:
        priority = max(priority, before.priority)
    moved = replace(
        _each(before, lambda clock: clock if clock.queue == queue else replace(clock, queue=queue)),
        queue=queue,
        priority=priority,
        assigned=False,
    )
    if may_hold is None:
        return _held(moved, fact)
    pinned = {policy.id: policy for policy in before.may_hold}
    policies = tuple(pinned.get(policy.id, policy) for policy in may_hold)
    return _held(_under_new_terms(replace(moved, policy=None, policies=policies), fact), fact)


def _changed(before: Conversation, fact: Fact) -> Conversation:
    """Other tags, or the priority is raised."""
    return _under_new_terms(
        replace(
            before,
            priority=before.priority if fact.priority is None else max(before.priority, fact.priority),
            tags=before.tags if fact.tags is None else fact.tags,
        ),
        fact,
    )


def _migrated(before: Conversation, fact: Fact) -> Conversation:
    return _under_new_terms(replace(before, policy=None, policies=fact.may_hold or ()), fact)


def _under_new_terms(before: Conversation, fact: Fact) -> Conversation:
    """Running clocks go on under what rules now, or are cancelled; what is owed and was not promised starts."""
    ended, running = list(before.ended), list(before.running)
    if before.phase not in (Phase.OPEN, Phase.SNOOZED):
        return before
    for metric in METRICS:
        rules = ruling(before.may_hold, metric, before.priority, before.tags)
        clock = before.running_of(metric)
        if clock is None:
            if rules is not None and before.owes(metric, human_only=rules[0].human_only):
                running.append(_clock(before, metric, fact, *rules))
            continue
        if rules is None:
            running.remove(clock)
            ended.append(clock.ended(fact.at, State.CANCELLED, NO_POLICY))
        else:
            running[running.index(clock)] = clock.under(terms_of(rules[0], metric, rules[1]), fact.at)
    return _held(replace(before, running=tuple(running), ended=tuple(ended)), fact)


def _resolved(before: Conversation, fact: Fact) -> Conversation:
    def end(clock: Clock) -> Clock:
        if clock.metric is Metric.RESOLUTION:
            return clock.ended(fact.at, State.MET)
        return clock.ended(fact.at, State.CANCELLED, "resolved")

    return replace(_each(before, end), phase=Phase.RESOLVED)


def _merged(before: Conversation, fact: Fact) -> Conversation:
    gone = _each(before, lambda clock: clock.ended(fact.at, State.CANCELLED, "merged"))
    return replace(gone, phase=Phase.RESOLVED)


def _snoozed(before: Conversation, fact: Fact) -> Conversation:
    if before.phase is not Phase.OPEN:
        return before
    return _held(replace(before, phase=Phase.SNOOZED), fact)


def _asked(before: Conversation, fact: Fact) -> Conversation:
    asked = before
    if not (before.asked and before.unheard) or before.last_reply:
        asked = replace(before, asked=True, unheard=True, last_word=False, last_reply=False)
    return _held(_started(asked, Metric.NEXT_RESPONSE, fact), fact)


def _answered(before: Conversation, fact: Fact) -> Conversation:
    said = replace(before, answered=True, asked=False, unheard=False, last_word=True, last_reply=True)
    return _heard(said, fact, by_person=True)


def _replied(before: Conversation, fact: Fact) -> Conversation:
    return _heard(replace(before, replied=True, unheard=False, last_reply=True), fact, by_person=False)


def _heard(before: Conversation, fact: Fact, *, by_person: bool) -> Conversation:
    waiting = (Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE, Metric.PERIODIC_UPDATE)

    def end(clock: Clock) -> Clock:
        counts = clock.metric in waiting and (by_person or not clock.human_only)
        return clock.ended(fact.at, State.MET) if counts else clock

    return _held(_started(_each(before, end), Metric.PERIODIC_UPDATE, fact), fact)


def _assigned(before: Conversation, fact: Fact) -> Conversation:
    def end(clock: Clock) -> Clock:
        return clock.ended(fact.at, State.MET) if clock.metric is Metric.TIME_TO_ASSIGNMENT else clock

    return before if before.phase is Phase.UNSEEN else replace(_each(before, end), assigned=True)


STEPS: dict[Kind, Callable[[Conversation, Fact], Conversation]] = {
    Kind.OPENED: _opened,
    Kind.REOPENED: _reopened,
    Kind.RESOLVED: _resolved,
    Kind.SNOOZED: _snoozed,
    Kind.TRANSFERRED: _transferred,
    Kind.TAGGED: _changed,
    Kind.PRIORITISED: _changed,
    Kind.MERGED: _merged,
    Kind.MIGRATED: _migrated,
    Kind.ASSIGNED: _assigned,
    Kind.ASKED: _asked,
    Kind.ANSWERED: _answered,
    Kind.REPLIED: _replied,
}


def _held(before: Conversation, fact: Fact) -> Conversation:
    """Clocks pause for as long as there is a reason that pauses them."""

    def pause_or_resume(clock: Clock) -> Clock:
        default = (ON_HOLD,) if clock.metric is Metric.RESOLUTION else ()
        reasons = default if clock.pause_on is None else clock.pause_on
        reason = before.holds(reasons, human_only=clock.human_only) if reasons else None
        return clock.resumed(fact.at) if reason is None else clock.paused(fact.at, reason)

    return _each(before, pause_or_resume)


def _each(before: Conversation, change: Callable[[Clock], Clock]) -> Conversation:
    """Change each clock that has not ended."""
    changed = tuple(change(clock) for clock in before.running)
    if all(new is old for new, old in zip(changed, before.running, strict=True)):
        return before
    return replace(
        before,
        running=tuple(clock for clock in changed if clock.open),
        ended=before.ended + tuple(clock for clock in changed if not clock.open),
    )


def _started(before: Conversation, metric: Metric, fact: Fact) -> Conversation:
    """With a clock of a metric that is owed, where a policy rules it and none runs."""
    if before.running_of(metric) is not None:
        return before
    rules = ruling(before.may_hold, metric, before.priority, before.tags)
    if rules is None or not before.owes(metric, human_only=rules[0].human_only):
        return before
    return replace(before, running=(*before.running, _clock(before, metric, fact, *rules)))


def _clock(before: Conversation, metric: Metric, fact: Fact, policy: Policy, target: timedelta) -> Clock:
    terms = terms_of(policy, metric, target)
    return Clock(
        metric=metric,
        number=fact.version,
        queue=before.queue,
        policy=terms.policy,
        workspace_version=terms.workspace_version,
        calendar=terms.calendar,
        target=terms.target,
        warn_at=terms.warn_at,
        started_at=fact.at,
        steps=terms.steps,
        pause_on=terms.pause_on,
        human_only=terms.human_only,
    )
