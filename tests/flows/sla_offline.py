"""This file computes a conversation's clocks from the whole of its log, at leisure: what the service must come to, however it read it.

It shares the calendar's arithmetic with the service, and nothing else: the rules are written down a second time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from libs.contracts.ids import ConversationId, clock_id
from libs.contracts.vocabulary import AuthorKind
from libs.workspace import SlaPolicy, Workspace
from services.sla.domain.calendar import Calendar

DECISIONS = ("conversation.opened", "conversation.reopened", "conversation.resolved", "conversation.snoozed",
             "conversation.transferred")  # fmt: skip


@dataclass(frozen=True)
class Logged:
    """An event of a conversation, as it lies on the log, and when it was written there."""

    recorded_at: datetime
    event: Any

    @property
    def kind(self) -> str:
        """What it means to clocks: a decision's name, asked, answered, or nothing."""
        name = str(self.event.type).removesuffix(".v1")
        if name in DECISIONS:
            return name.removeprefix("conversation.")
        if name not in ("message.received", "message.queued"):
            return ""
        if self.event.author.kind is AuthorKind.AGENT:
            return "answered"
        return "asked" if (name, self.event.author.kind) == ("message.received", AuthorKind.CUSTOMER) else ""


@dataclass
class Clock:
    """`runs` are [from, to) of the time that counts; the last one has no end while it goes on."""

    metric: str
    started_at: datetime
    terms: list[tuple[datetime, SlaPolicy]]
    """From when each policy held."""
    runs: list[list[datetime | None]]
    end: tuple[str, datetime] | None = None

    def pause(self, at: datetime) -> None:
        if self.runs[-1][1] is None:
            self.runs[-1][1] = at

    def go_on(self, at: datetime) -> None:
        if self.runs[-1][1] is not None:
            self.runs.append([at, None])

    def finish(self, how: str, at: datetime) -> None:
        self.go_on(at)
        self.runs[-1][1] = at
        self.end = (how, at)


@dataclass(frozen=True)
class Verdict:
    """What there is to say of a clock at last."""

    metric: str
    started_at: datetime
    warned: Mapping[float, datetime]
    breached: datetime | None
    end: tuple[str, datetime] | None


@dataclass
class _Walk:
    """Where the computation is in one conversation."""

    queue: str = ""
    phase: str = "unseen"
    policy: SlaPolicy | None = None
    answered: bool = False
    asked: bool = False
    """And nobody has answered."""
    running: dict[str, Clock] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)


def verdicts(
    log: Sequence[Logged], workspace: Workspace, calendars: Mapping[str | None, Calendar], until: datetime
) -> dict[str, Verdict]:
    """By clock id, the clocks of one conversation whose events are given in the order of their versions."""
    walk = _Walk()
    for at, logged in _in_event_time(log):
        _take(walk, at, logged, workspace)
    return {name: _verdict(clock, calendars, until) for name, clock in walk.clocks.items()}


def _in_event_time(log: Sequence[Logged]) -> list[tuple[datetime, Logged]]:
    """Each event with the moment from which it counts: nobody speaks before the conversation, and no decision counts from
    before the decision that it followed."""
    found, decided, opened, first = [], *[datetime.min.replace(tzinfo=log[0].recorded_at.tzinfo)] * 3
    for logged in log:
        at = min(logged.event.occurred_at, logged.recorded_at)
        if logged.kind == "asked":
            at = max(at, opened)
        elif logged.kind == "answered":
            at = max(at, first)
        elif logged.kind:
            at = decided = max(at, decided)
            if logged.kind in ("opened", "reopened"):
                first = at if opened == first and opened.year == 1 else first
                opened = at
        found.append((at, logged))
    return sorted(found, key=lambda one: (one[0], one[1].event.version))


def _take(walk: _Walk, at: datetime, logged: Logged, workspace: Workspace) -> None:
    kind, event = logged.kind, logged.event
    if kind in ("opened", "reopened"):
        if kind == "reopened" and walk.phase == "snoozed":
            walk.phase = "open"
            for clock in walk.running.values():
                clock.go_on(at)
            _come(walk, at, event, workspace)
        elif walk.phase in ("unseen", "resolved") and (kind == "reopened" or walk.phase == "unseen"):
            walk.phase, walk.asked = "open", False
            walk.policy = workspace.sla_policies.get(workspace.queues[event.queue].sla or "")
            if not walk.answered:
                _start(walk, "first_response", at, event)
            _start(walk, "resolution", at, event)
    elif kind == "resolved":
        for metric, clock in walk.running.items():
            clock.finish("met" if metric == "resolution" else "cancelled", at)
        walk.running, walk.phase = {}, "resolved"
    elif kind == "transferred" and walk.phase in ("open", "snoozed"):
        _come(walk, at, event, workspace)
    elif kind == "snoozed" and walk.phase == "open":
        walk.phase = "snoozed"
        if "resolution" in walk.running:
            walk.running["resolution"].pause(at)
    elif kind == "asked" and walk.phase in ("open", "snoozed"):
        walk.asked = True
        if walk.answered and "next_response" not in walk.running:
            _start(walk, "next_response", at, event)
    elif kind == "answered":
        walk.answered, walk.asked = True, False
        for metric in ("first_response", "next_response"):
            if metric in walk.running:
                walk.running.pop(metric).finish("met", at)


def _come(walk: _Walk, at: datetime, event: Any, workspace: Workspace) -> None:
    """To a queue: what runs goes on under its policy, and what that alone promises starts now."""
    policy = walk.policy = workspace.sla_policies.get(workspace.queues[event.queue].sla or "")
    owed = {
        "first_response": not walk.answered,
        "next_response": walk.answered and walk.asked,
        "resolution": True,
    }
    for metric, wanted in owed.items():
        target = getattr(policy, metric) if policy else None
        clock = walk.running.get(metric)
        if clock is None and wanted:
            _start(walk, metric, at, event)
            if metric == "resolution" and walk.phase == "snoozed" and metric in walk.running:
                walk.running[metric].pause(at)
        elif clock is not None and (policy is None or target is None):
            walk.running.pop(metric).finish("cancelled", at)
        elif clock is not None and policy is not None and clock.terms[-1][1].id != policy.id:
            clock.terms.append((at, policy))


def _start(walk: _Walk, metric: str, at: datetime, event: Any) -> None:
    target = getattr(walk.policy, metric) if walk.policy else None
    if walk.policy is None or target is None:
        return
    clock = walk.running[metric] = Clock(metric, at, [(at, walk.policy)], [[at, None]])
    walk.clocks[clock_id(ConversationId(event.conversation_id), metric, event.version)] = clock


def _verdict(clock: Clock, calendars: Mapping[str | None, Calendar], until: datetime) -> Verdict:
    """Term by term, until one of them ends in a breach; the last word on each warning counts."""
    warned: dict[float, datetime] = {}
    used, breached = timedelta(0), None
    for number, (since, policy) in enumerate(clock.terms):
        last = number + 1 == len(clock.terms)
        limit = until if last else clock.terms[number + 1][0]
        calendar = calendars[policy.calendar]
        whole: timedelta = getattr(policy, clock.metric)
        breached = _crossed(clock, whole - used, since, calendar, limit)
        for share in policy.warn_at:
            assert isinstance(share, float)
            at = _crossed(clock, whole * share - used, since, calendar, until if breached else limit)
            if at is not None and not (at == since and number and share in warned):
                warned[share] = at
        if breached is not None or last:
            break
        used += _used(clock, since, limit, calendar)
    return Verdict(clock.metric, clock.started_at, warned, breached, clock.end)


def _crossed(
    clock: Clock, left: timedelta, since: datetime, calendar: Calendar, until: datetime
) -> datetime | None:
    """When so much was used up from `since` on, if it was before the end and by `until`; at the very end is in time."""
    left = max(left, timedelta(0))
    for begins, end in clock.runs:
        assert begins is not None
        if end is not None and end < since:
            continue
        start = max(begins, since)
        moment = calendar.after(start, left)
        if end is None or moment <= end:
            in_time = clock.end is not None and moment == end == clock.end[1]
            return moment if moment <= until and not in_time else None
        left -= calendar.elapsed(start, end)
    return None


def _used(clock: Clock, since: datetime, until: datetime, calendar: Calendar) -> timedelta:
    used = timedelta(0)
    for begins, end in clock.runs:
        assert begins is not None
        start, stop = max(begins, since), until if end is None or end > until else end
        used += calendar.elapsed(start, stop) if start < stop else timedelta(0)
    return used


def told(events: Sequence[Any]) -> dict[str, Verdict]:
    """What a reader of the service's events holds at last, by clock id: the last word on each counts."""
    clocks: dict[str, dict[str, Any]] = {}
    for event in events:
        data, name = event.data, event.data.type.removeprefix("clock.").removesuffix(".v1")
        if name == "started":
            clocks[data.clock_id] = {"warned": {}, "breached": None, "end": None}
        clock = clocks[data.clock_id]
        clock |= {"metric": str(data.metric), "started_at": data.started_at}
        if data.corrects_breach:
            clock["breached"] = None
        if name == "warned":
            clock["warned"][data.fraction] = data.occurred_at
        elif name == "breached":
            clock["breached"] = data.occurred_at
        elif name == "met":
            clock["end"] = ("met", data.occurred_at)
        elif name == "cancelled":
            clock["end"] = (name, data.occurred_at)
            if data.reason == "superseded":
                del clocks[data.clock_id]
    return {name: _read(clock) for name, clock in clocks.items()}


def _read(clock: dict[str, Any]) -> Verdict:
    """A warning that the end turned out to have come before is none."""
    end = clock["end"]
    warned = {share: at for share, at in clock["warned"].items() if end is None or at < end[1]}
    return Verdict(clock["metric"], clock["started_at"], warned, clock["breached"], end)
