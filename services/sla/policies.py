"""This file makes of the workspace's policies those that may hold for a conversation, with calendars and steps resolved."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from libs.contracts.vocabulary import Metric
from libs.workspace import Escalation, SlaPolicy, Workspace
from libs.workspace.reach import TARGETS
from services.sla.domain.clock import WHOLE
from services.sla.domain.policy import Policy, Step

Pin = Callable[[str | None], str]
"""From a calendar's id (None: all hours) to its version, which is kept from now on."""

METRICS = {name: Metric(name) for name in TARGETS}


class KnownPolicies:
    """The policies of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._made: dict[tuple[str, str, bool], Policy] = {}
        self._fitting: dict[tuple[str, str], tuple[tuple[SlaPolicy, bool], ...]] = {}

    def may_hold(self, inbox: str, queue: str, pin: Pin) -> tuple[Policy, ...]:
        """Those that fit inbox, channel and queue, in the order of the workspace; priority and tags may yet decide."""
        if (inbox, queue) not in self._fitting:
            self._fitting[inbox, queue] = tuple(self._those_of(inbox, queue))
        return tuple(
            self._policy(policy, pin(policy.calendar), named) for policy, named in self._fitting[inbox, queue]
        )

    def on_newest_calendars(self, pinned: Iterable[Policy], pin: Pin) -> tuple[Policy, ...]:
        """As they were pinned, but on the calendar that each has now; one that the workspace has no more keeps its own."""
        now = self._workspace.sla_policies
        return tuple(
            replace(policy, calendar=pin(now[policy.id].calendar)) if policy.id in now else policy
            for policy in pinned
        )

    def priority(self, queue: str) -> int:
        """That work has which comes into the queue; 0 where the workspace has no such queue any more."""
        known = self._workspace.queues.get(queue)
        return known.priority if known else 0

    def _those_of(self, inbox: str, queue: str) -> Iterator[tuple[SlaPolicy, bool]]:
        """With whether the queue names it: then nothing else is asked of the conversation."""
        known, account = self._workspace.queues.get(queue), self._workspace.inboxes.get(inbox)
        for policy in self._workspace.sla_policies.values():
            match = policy.match
            if known is not None and known.sla == policy.id:
                yield policy, True
            elif (
                match is not None
                and (not match.inbox or inbox in match.inbox)
                and (not match.queue or queue in match.queue)
                and (not match.channel or (account is not None and account.channel in match.channel))
            ):
                yield policy, False

    def _policy(self, policy: SlaPolicy, calendar: str, named: bool) -> Policy:
        key = policy.id, calendar, named
        if key not in self._made:
            plain = replace(policy, match=None) if named else policy
            self._made[key] = made(plain, self._workspace.version, calendar)
        return self._made[key]


def made(policy: SlaPolicy, workspace_version: str, calendar: str) -> Policy:
    """A policy as clocks pin it. `calendar` is a version."""
    match = policy.match
    return Policy(
        id=policy.id,
        workspace_version=workspace_version,
        first_response=policy.first_response,
        next_response=policy.next_response,
        resolution=policy.resolution,
        warn_at=tuple(step for step in policy.warn_at if isinstance(step, float)),
        calendar=calendar,
        time_to_assignment=policy.time_to_assignment,
        periodic_update=policy.periodic_update,
        by_priority=tuple(
            (METRICS[name], tuple(sorted(targets.items()))) for name, targets in policy.by_priority.items()
        ),
        warn_before=tuple(step for step in policy.warn_at if isinstance(step, timedelta)),
        priorities=match.priority if match else (),
        tags=match.tag if match else (),
        vip=match.vip if match else None,
        pause_on=tuple(
            (METRICS[name], tuple(reasons)) for name, reasons in policy.pause_on.items() if reasons
        ),
        human_only=policy.human_only,
        escalate=tuple(_step(number, step) for number, step in enumerate(policy.escalate)),
    )


def _step(number: int, step: Escalation) -> Step:
    share: float | None
    match step.at:
        case "warning":
            share, offset = None, timedelta(0)
        case "breach":
            share, offset = WHOLE, step.after
        case timedelta():
            share, offset = WHOLE, -step.at
        case _:
            share, offset = step.at, timedelta(0)
    return Step(
        number=number,
        share=share,
        offset=offset,
        metrics=tuple(METRICS[name] for name in step.metrics),
        raise_priority=step.raise_priority,
        move_to_queue=step.move_to_queue,
        notify=step.notify,
        assign_supervisor=step.assign_supervisor,
    )
