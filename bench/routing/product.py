"""This file lets the engine that the router runs decide the benchmark's days: no second copy of it is measured.

What happens on the floor becomes the engine's inputs, its facts become assignments, its reminders become wakes:

arrival ─▶ Request │ finish, patience ends ─▶ Withdraw │ due reminder ─▶ its lapse │ Assigned ─▶ assignment
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from bench.routing.floor import Agent, Conversation, Finished, Floor, Staff
from bench.routing.policy import Assignment
from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain.decisions import Assigned, Forget, Remind
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.inputs import Input, Lapse, Request, SetPresence, Withdraw
from services.router.assignment.domain.policy import AgentSpec, Policy

DAY_BEGINS = datetime(2026, 1, 5, tzinfo=UTC)
LONGER_THAN_A_DAY = timedelta(days=2)
"""Desktops' heartbeats are no part of the benchmark: nobody's presence lapses."""
EVER = timedelta(days=100)
"""A head start that no wait makes up for: strict priority."""
QUEUE, ENGLISH = "floor", "english"


def vip_first(conversation: Conversation) -> int:
    return int(conversation.vip)


def chat_first(conversation: Conversation) -> int:
    """Any chat before any e-mail, VIPs first within each."""
    return 2 * (conversation.channel == 0) + conversation.vip


@dataclass(frozen=True, slots=True)
class Setting:
    """What a workspace would say. `deadlines` and `last_agent`: whether requests carry them."""

    order: str = "priority"
    pick: str = "longest_idle"
    priority: Callable[[Conversation], int] = vip_first
    late_behind: float = 0.0
    head_start: timedelta | None = None
    deadlines: bool = True
    last_agent: bool = True


class Product:
    """A policy of the benchmark that asks the router's engine. Offers are accepted at once, as the benchmark has it."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def start(self, floor: Floor) -> None:
        self._floor = floor
        self._engine = Engine(workspace(floor.staff, self._setting))
        self._reminders: list[tuple[str, Lapse]] = []
        self._current: dict[str, int] = {}
        for agent in reversed(
            floor.staff.agents
        ):  # the first to come has been idle for longest: the highest number
            if floor.on[agent.id]:
                self.on_agent_on(agent.id, 0.0)  # nothing waits yet

    def on_arrival(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        return self._tell(self._request(conversation), now)

    def on_finish(self, agent: int, done: Sequence[Finished], now: float) -> Iterator[Assignment]:
        for finished in done:
            yield from self._tell(Withdraw(item_id(finished.conversation.id), "resolved"), now)

    def on_abandon(self, conversation: Conversation, now: float) -> Iterable[Assignment]:
        return self._tell(Withdraw(item_id(conversation.id), "abandoned"), now)

    def on_agent_on(self, agent: int, now: float) -> Iterable[Assignment]:
        return self._tell(SetPresence(agent_id(agent), f"on-{agent}", Presence.AVAILABLE), now)

    def on_agent_off(self, agent: int, now: float) -> Iterable[Assignment]:
        return self._tell(SetPresence(agent_id(agent), f"off-{agent}", Presence.OFFLINE), now)

    def on_wake(self, token: int, now: float) -> Iterable[Assignment]:
        name, lapse = self._reminders[token]
        if self._current.get(name) != token:
            return ()
        del self._current[name]
        return self._tell(lapse, now)

    def _tell(self, what: Input, now: float) -> list[Assignment]:
        """What the engine assigns. Its rows are not written anywhere, so they are only dropped."""
        at = DAY_BEGINS + timedelta(seconds=now)
        found = []
        for decision in self._engine.apply(what, at=at, now=at):
            match decision:
                case Assigned(item=item, agent_id=agent):
                    found.append((self._floor.waiting[_number(item.work_item_id)], _number(agent)))
                case Remind(id=name, due=due, lapse=lapse):
                    self._remind(name, due, lapse)
                case Forget(id=name):
                    self._current.pop(name, None)
        self._engine.take_changes()
        return found

    def _remind(self, name: str, due: datetime, lapse: Lapse) -> None:
        if due - DAY_BEGINS >= LONGER_THAN_A_DAY:
            return
        self._current[name] = len(self._reminders)
        self._reminders.append((name, lapse))
        self._floor.wake((due - DAY_BEGINS).total_seconds(), self._current[name])

    def _request(self, conversation: Conversation) -> Request:
        setting, name = self._setting, item_id(conversation.id)
        known = setting.last_agent and conversation.last_agent >= 0
        arrived = DAY_BEGINS + timedelta(seconds=conversation.arrived_at)
        return Request(
            work_item_id=name,
            conversation_id=name,
            contact_point_id=name,
            queue=QUEUE,
            channel=Channel.CUSTOM,
            requested_at=arrived,
            skills={skill(conversation.topic): 1, **({ENGLISH: 1} if conversation.language else {})},
            priority=setting.priority(conversation),
            due_at=arrived + timedelta(seconds=conversation.sla) if setting.deadlines else None,
            last_agent_id=agent_id(conversation.last_agent) if known else None,
        )


def workspace(staff: Staff, setting: Setting) -> Policy:
    """The staff as a pool of one queue, topics and English as skills."""
    return Policy(
        pool="ccr1",
        version="1",
        order=setting.order,
        pick=setting.pick,
        head_start=setting.head_start,
        late_behind=setting.late_behind,
        presence_lease=LONGER_THAN_A_DAY,
        auto_accept=True,
        agents={agent_id(agent.id): _spec(agent, staff.capacity) for agent in staff.agents},
    )


def _spec(agent: Agent, capacity: int) -> AgentSpec:
    skills = {skill(topic): level for topic, level in agent.levels.items()}
    if 1 in agent.languages:
        skills[ENGLISH] = 1
    return AgentSpec(agent_id(agent.id), skills, frozenset({QUEUE}), capacity)


def skill(topic: int) -> str:
    return f"topic-{topic}"


def agent_id(number: int) -> str:
    return f"agt_{number:03d}"


def item_id(number: int) -> str:
    """Padded, so that ids have the order of arrival where all else is equal."""
    return f"wki_{number:08d}"


def _number(name: str) -> int:
    return int(name.partition("_")[2])


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "product": Setting("slack", "best_fit", late_behind=0.45),
        "product_keep": Setting("slack", "best_fit"),
        "product_lia": Setting("longest_wait", head_start=EVER, deadlines=False, last_agent=False),
        "product_lia_tuned": Setting(
            "longest_wait", head_start=EVER, priority=chat_first, deadlines=False, last_agent=False
        ),
    }
)
"""`product` is the router as it is; the others ask it for what a baseline does, to show that it does that."""
