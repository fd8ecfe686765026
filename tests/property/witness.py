"""This file judges a pool from outside: from what went in, what came out, the rows and the reminders, never from the engine's own indexes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.contracts.vocabulary import Presence, WorkState
from services.router.assignment.domain import decisions as made
from services.router.assignment.domain import inputs
from services.router.assignment.domain.decisions import Decision, Ending, Remind
from services.router.assignment.domain.fit import HELD_AT_MOST
from services.router.assignment.domain.policy import Mode, Policy
from services.router.assignment.domain.strategies import UNDATED_TARGET
from services.router.assignment.domain.work import WorkItem
from tests.unit.router.assignment.pool import Pool

BY_HAND = (inputs.Next, inputs.Take, inputs.Consult)
"""By which an agent may be given what matching would not offer them."""
CONNECTED = (Presence.AVAILABLE, Presence.BUSY, Presence.BREAK)


@dataclass
class Witness:
    """Remembers what was promised about each item, and says which promise a decision breaks."""

    since: dict[str, datetime] = field(default_factory=dict)
    """Work item -> when its customer began to wait."""
    turned_down: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(work item, agent) -> when the agent declined it."""
    orders: set[str] = field(default_factory=set)
    """Work items that a supervisor gave by hand and that nobody has given back."""

    def watch(
        self, what: inputs.Input, at: datetime, now: datetime, told: list[Decision], policy: Policy
    ) -> Iterator[str]:
        """Broken promises in one input's decisions, in words."""
        for fact in told:
            if not isinstance(fact, made.Fact):
                continue
            item = fact.item
            if isinstance(what, inputs.Request) and what.work_item_id == item.work_item_id:
                self.since.setdefault(item.work_item_id, min(what.requested_at, now))
            if item.waiting_since != self.since[item.work_item_id]:
                yield f"{item.work_item_id} has lost its age: {item.waiting_since}"
            yield from self._given(what, fact, now, policy)
            if isinstance(fact, made.ReservationEnded) and fact.ending is Ending.DECLINED:
                self.turned_down[item.work_item_id, fact.agent_id] = min(at, now)
            if isinstance(fact, made.Completed | made.Cancelled | made.Wrapping):
                self.orders.discard(item.work_item_id)

    def _given(self, what: inputs.Input, fact: made.Fact, now: datetime, policy: Policy) -> Iterator[str]:
        """Whom work was given to, by matching: never to one who just declined it, never away from where a person put it."""
        item = fact.item
        match fact:
            case made.Assigned() if fact.forced_by is not None:
                self.orders.add(item.work_item_id)
            case made.Assigned() if fact.taken_over_from is not None:
                self.orders.discard(item.work_item_id)
            case made.Queued():
                if item.work_item_id in self.orders and fact.reason not in ("agent_lost", "agent_removed"):
                    yield f"{item.work_item_id} was given by hand and is taken back: {fact.reason}"
                self.orders.discard(item.work_item_id)
            case made.Assigned() | made.Offered() if not isinstance(what, BY_HAND):
                to = fact.reservation.agent_id if isinstance(fact, made.Offered) else fact.agent_id
                if item.work_item_id in self.orders:
                    yield f"{item.work_item_id} was given by hand and is given to {to}"
                declined_at = self.turned_down.get((item.work_item_id, to))
                accepted = isinstance(fact, made.Assigned) and fact.reservation_id is not None
                if declined_at is not None and now < declined_at + policy.decline_memory and not accepted:
                    yield f"{item.work_item_id} comes back to {to}, who declined it at {declined_at}"
            case _:
                pass


def strays(pool: Pool) -> Iterator[str]:
    """What no row may say, and what nothing would ever end, in words."""
    policy = pool.engine.book.policy
    for item in pool.items.values():
        for who, _ in item.claims():
            if who not in policy.agents:
                yield f"{item.work_item_id} is with {who}, who is nobody of the pool"
        for reservation in item.reservations:
            if f"reservation/{reservation.reservation_id}" not in pool.reminders:
                yield f"the offer of {item.work_item_id} to {reservation.agent_id} has no end"
        if item.state is WorkState.WRAPPING and f"wrap-up/{item.work_item_id}" not in pool.reminders:
            yield f"the wrap-up of {item.work_item_id} has no end"
        asked = item.hook_until is not None
        if asked and f"hook/{item.work_item_id}" not in pool.reminders:
            yield f"the hook of {item.work_item_id} is waited for without an end"
        if asked and (item.state is not WorkState.QUEUED or item.reservations or item.only_agent_id):
            yield f"the hook of {item.work_item_id} is asked though it is {item.state} or for one agent alone"
        for agent_id in item.declined or ():
            if f"decline/{item.work_item_id}/{agent_id}" not in pool.reminders:
                yield f"{agent_id}'s refusal of {item.work_item_id} has no end"
        relaxes = len(policy.relaxations.get(item.queue, ())) > item.step
        pushed = policy.modes.get(item.queue, Mode.PUSH) is Mode.PUSH
        if (
            item.state is WorkState.QUEUED
            and pushed
            and relaxes
            and not asked
            and f"wait/{item.work_item_id}" not in pool.reminders
        ):
            yield f"{item.work_item_id} never relaxes"
    for agent in pool.agents.values():
        place = f"{policy.pool}/{agent.agent_id}"
        if agent.presence in CONNECTED and f"presence/{place}" not in pool.reminders:
            yield f"nobody watches {agent.agent_id}'s heartbeats"
        held = [i for i in pool.items.values() if i.agent_id == agent.agent_id]
        stuck = [i.work_item_id for i in held if i.state is WorkState.ASSIGNED]
        if agent.lost_at is not None and stuck and f"grace/{place}" not in pool.reminders:
            yield f"{agent.agent_id} is lost and {stuck} stay there"


def idle_beside_work(pool: Pool) -> Iterator[str]:
    """Each agent who could take an item that waits, by the rows and the policy alone."""
    policy = pool.engine.book.policy
    claims = [(who, units, item) for item in pool.items.values() for who, units in item.claims()]
    for agent_id, spec in policy.agents.items():
        row = pool.agents.get(agent_id)
        if row is None or row.presence is not Presence.AVAILABLE:
            continue
        room = spec.capacity - sum(units for who, units, _ in claims if who == agent_id)
        for item in pool.items.values():
            pushed = policy.modes.get(item.queue, Mode.PUSH) is Mode.PUSH
            if item.state is not WorkState.QUEUED or item.hook_until is not None or item.units > room:
                continue
            if not pushed and item.only_agent_id is None:
                continue
            alike = sum(who == agent_id and other.channel is item.channel for who, _, other in claims)
            if alike >= spec.caps.get(item.channel, alike + 1) or not _fits(policy, item, agent_id):
                continue
            reminder = pool.reminders.get(f"wait/{item.work_item_id}")
            late = reminder is not None and reminder.due <= pool.now
            if not late and pool.now >= item.waiting_since + _patience(policy, item, agent_id):
                yield f"{agent_id} could take {item.work_item_id}, which waits"


def _fits(policy: Policy, item: WorkItem, agent_id: str) -> bool:
    if agent_id in item.excluded_agent_ids or agent_id in (item.declined or {}):
        return False
    if item.only_agent_id is not None:
        return item.only_agent_id == agent_id
    spec, asked, queues = policy.agents[agent_id], dict(item.skills), {item.queue}
    for relaxation in policy.relaxations.get(item.queue, ())[: item.step]:
        queues |= set(relaxation.queues)
        asked |= {s: min(asked[s], least) for s, least in relaxation.skills.items() if s in asked}
    able = all(spec.skills.get(skill, 0) >= least for skill, least in asked.items())
    return able and bool(queues & spec.queues)


def _patience(policy: Policy, item: WorkItem, agent_id: str) -> timedelta:
    """For how long, at most, the item may wait beside this agent: the delay of the queue for them, or the longest hold."""
    if agent_id in (item.only_agent_id, item.last_agent_id):
        return timedelta(0)
    delay = max((terms.delay for terms in policy.agents[agent_id].terms.values()), default=timedelta(0))
    if not (policy.hold and policy.pick == "best_fit"):
        return delay
    target = UNDATED_TARGET if item.due_at is None else min(UNDATED_TARGET, item.due_at - item.waiting_since)
    return max(delay, HELD_AT_MOST * target)


def news(told: list[Decision], standing: Mapping[str, Remind]) -> list[Decision]:
    """Decisions without the reminders that stand already."""
    return [d for d in told if not (isinstance(d, Remind) and standing.get(d.id) == d)]
