"""Whatever happens to connections and processes, an agent's screen ends up as the desk knows things to be."""

import json
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import sla as s
from libs.contracts.payloads.base import Payload
from libs.contracts.payloads.conversations import ConversationEvent
from libs.contracts.vocabulary import Metric
from libs.flow.tail import Tailed
from libs.timesource import ManualTime
from services.desk.domain.conversation import Conversation, Message
from services.desk.fold import conversation_after
from services.desk.live.answers import Answers
from services.desk.live.cursor import Vector, parse
from services.desk.live.frames import agent_fields, conversation_text
from services.desk.live.hub import Hub
from services.desk.live.ring import Ring
from services.desk.live.subscriber import Subscriber
from services.desk.live.view import LiveView, Open
from tests.unit.desk.screen import Screen
from tests.unit.desk.story import POOLS, START, Log, Talk, agent_changed

AGENTS = ("ayu", "budi")


class World:
    """Some conversations whose histories are valid, whatever is chosen."""

    def __init__(self, conversations: int) -> None:
        self.talks = [Talk(str(n), contact=f"con_{n}") for n in range(conversations)]
        self._agent_versions: dict[str, int] = defaultdict(int)
        self._item: dict[str, int] = defaultdict(int)
        self._work: dict[str, tuple[str, str]] = {}
        """Conversation -> (state of its work item, agent)."""
        self._asked: dict[str, str] = {}
        """Conversation -> the agent to whom its work is offered besides."""
        self._idle: set[str] = set()
        self._open: dict[str, bool] = {}
        self._clock: dict[str, bool] = {}

    def next(self, talk: Talk, choice: int) -> Iterator[Payload]:
        """One step of a conversation: the events that a router would publish."""
        name = talk.conversation_id
        agent_id = AGENTS[choice % len(AGENTS)]
        item = str(self._item[name])
        state, holder = self._work.get(name, ("", ""))
        if not self._open.get(name):
            if state:  # wrapping up still
                yield talk.work(a.WorkCompleted, item, agent_id=holder)
                self._work.pop(name)
                return
            yield talk.opened() if talk.version == 0 else talk.reopened()
            self._open[name] = True
            self._item[name] += 1
            yield talk.received("halo")
            yield talk.work(a.WorkQueued, str(self._item[name]))
            self._work[name] = ("queued", "")
            return
        other, asked = AGENTS[AGENTS.index(holder or agent_id) - 1], self._asked.get(name)
        held = holder if state == "assigned" else None
        second: dict[str, Any] = {
            "agent_id": asked or other,
            "reservation_id": f"rsv_second_{name}_{item}",
            "held_by": held,
        }
        if asked and state != "queued" and choice % 9 in (3, 4, 5, 6, 7):
            yield from self._asked_answers(talk, item, second, taken=choice % 9 in (3, 4))
            return
        match choice % 9:
            case 0 | 1:
                yield talk.received(f"pesan {talk.version}")
            case 2:
                yield talk.answered(f"jawab {talk.version}")
            case 3 if state == "queued":
                yield talk.work(a.ReservationOffered, item, agent_id=agent_id)
                self._work[name] = ("offered", agent_id)
            case 6 if state == "offered":
                yield talk.work(a.ReservationOffered, item, **second)
                self._asked[name] = other
            case 3 if state == "assigned":
                yield talk.work(a.ReservationOffered, item, **second)
                self._asked[name] = other
            case 6 if state == "assigned":
                kind = a.WorkWoken if name in self._idle else a.WorkIdled
                self._idle ^= {name}
                yield talk.work(kind, item, agent_id=holder)
            case 3 | 4 if state == "offered":
                yield talk.work(a.ReservationAccepted, item, agent_id=holder)
                yield talk.work(a.WorkAssigned, item, agent_id=holder)
                yield self._changed(holder)
                self._work[name] = ("assigned", holder)
            case 5 if state == "offered":
                yield talk.work(a.ReservationExpired, item, agent_id=holder)
                self._work[name] = ("queued", "")
            case 5 if state == "assigned":
                yield talk.work(a.WorkQueued, item)
                self._idle.discard(name)
                yield self._changed(holder)
                self._work[name] = ("queued", "")
            case 6 if state == "queued":
                yield talk.work(a.WorkAssigned, item, agent_id=agent_id, forced_by="rina")
                self._work[name] = ("assigned", agent_id)
            case 7 if state == "assigned":
                yield talk.resolved()
                self._open[name] = False
                yield talk.work(a.WorkWrapping, item, agent_id=holder)
                self._idle.discard(name)
            case 7 if state == "queued":
                yield talk.resolved()
                self._open[name] = False
                yield talk.work(a.WorkCancelled, item)
                self._work.pop(name)
            case 8 if self._clock.get(name):
                yield talk.clock(s.ClockMet, Metric.NEXT_RESPONSE, str(self._clock_number(talk)))
                self._clock[name] = False
            case 8:
                talk.versions["clocks"] = talk.versions.get("clocks", 0) + 1
                yield talk.clock(s.ClockStarted, Metric.NEXT_RESPONSE, str(self._clock_number(talk)))
                if choice % 2:
                    yield talk.clock(s.ClockBreached, Metric.NEXT_RESPONSE, str(self._clock_number(talk)))
                self._clock[name] = True
            case _:
                yield talk.tagged(f"tag {talk.version}")

    def _asked_answers(
        self, talk: Talk, item: str, second: dict[str, Any], *, taken: bool
    ) -> Iterator[Payload]:
        """The second agent has it, and the offer to the first is gone; or the second declines."""
        name, who = talk.conversation_id, self._asked.pop(talk.conversation_id)
        state, holder = self._work[name]
        if not taken:
            yield talk.work(a.ReservationDeclined, item, **second)
            return
        yield talk.work(a.ReservationAccepted, item, **second)
        if state == "offered":
            yield talk.work(a.ReservationRescinded, item, agent_id=holder)
        yield talk.work(a.WorkAssigned, item, agent_id=who, taken_over_from=second["held_by"])
        self._work[name] = ("assigned", who)
        self._idle.discard(name)

    def _clock_number(self, talk: Talk) -> int:
        return talk.versions.get("clocks", 0)

    def _changed(self, agent_id: str) -> a.AgentChanged:
        self._agent_versions[agent_id] += 1
        return agent_changed(agent_id, self._agent_versions[agent_id], load=self._agent_versions[agent_id])


class Projection:
    """The tables, some events behind the log."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Conversation, tuple[Message, ...]]] = {}
        self.behind: deque[Payload] = deque()

    def catch_up(self, count: int) -> None:
        for _ in range(min(count, len(self.behind))):
            event = self.behind.popleft()
            if isinstance(event, ConversationEvent):
                known, latest = self.rows.get(event.conversation_id, (None, ()))
                self.rows[event.conversation_id] = conversation_after(
                    known, latest, event, cause="", pools=POOLS
                )


class Process:
    """One desk process: it reads each partition in order, and the partitions in an order of its own."""

    def __init__(self, projection: Projection, *, messages: int) -> None:
        view = LiveView(pools=POOLS, inboxes={"wa-main": "support"}, messages=messages)
        self.wanted: dict[str, Open] = {}
        self.projection = projection
        self.hub = Hub(
            view, Vector(), answers=Answers(), time=ManualTime(START), missing=self._want, ring=Ring(Vector())
        )
        self.unread: dict[tuple[str, int], deque[Tailed]] = defaultdict(deque)

    def _want(self, known: Open) -> None:
        if known.since is None:
            known.since = []
            self.wanted[known.conversation_id] = known

    def read(self, choice: int) -> bool:
        slots = sorted(slot for slot, waiting in self.unread.items() if waiting)
        if not slots:
            return False
        self.hub.take(self.unread[slots[choice % len(slots)]].popleft())
        return True

    def read_all(self) -> None:
        while self.read(0):
            pass

    def restore(self) -> None:
        for name in list(self.wanted):
            row = self.projection.rows.get(name)
            done = self.hub.view.restored(name, *row) if row else False
            if done is not False:
                del self.wanted[name]
            if done:
                self.hub.became_whole(self.hub.view.open[name])

    def state(self, agent_id: str) -> dict[str, Any]:
        """What the agent's screen should show: the projection's conversations, with the work and the clocks of the view."""
        agent = self.hub.view.agents.get(agent_id)
        whole = {}
        for known in self.hub.view.seen_by(agent_id):
            row = self.projection.rows[known.conversation_id]
            said = conversation_text(
                known.conversation_id, *row, known.work.values(), known.clocks.values(), partial=False
            )
            whole[known.conversation_id] = json.loads(said)
        return {"agent": agent_fields(agent) if agent else None, "conversations": whole}


class Desktop:
    """A screen with a connection that may be lost with frames still in it."""

    def __init__(self, agent_id: str) -> None:
        self.screen = Screen(agent_id)
        self.at: Process | None = None
        self.subscriber = Subscriber(agent_id)

    def connect(self, process: Process) -> None:
        self.lose()
        self.at, self.subscriber = process, Subscriber(self.screen.agent_id)
        hub = process.hub
        hub.attach(self.subscriber)
        cursor = parse(self.screen.cursor) if self.screen.cursor else None
        if cursor is None:
            first = [hub.snapshot(self.subscriber)]
        else:
            while not hub.vector.covers(cursor):
                assert process.read(0), "the log holds everything that a cursor covers"
            first = hub.resumed(self.subscriber, cursor)
        self.in_flight = deque(first)

    def receive(self, count: int) -> None:
        if self.at is None:
            return
        self.in_flight.extend(self.subscriber.take())
        for _ in range(min(count, len(self.in_flight))):
            self.screen.read(self.in_flight.popleft())

    def lose(self) -> None:
        if self.at is not None:
            self.at.hub.detach(self.subscriber)
            self.at = None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say and read", "say and read", "read", "receive", "receive", "connect", "lose", "project", "restore"]),
        st.integers(0, 9_999),
    ),
    min_size=30,
    max_size=150,
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, processes=st.integers(1, 2), messages=st.sampled_from([3, 60_000]))
def test_a_screen_shows_what_the_desk_knows_after_any_losses(
    steps: list[tuple[str, int]], processes: int, messages: int
) -> None:
    world, log, projection = World(3), Log(), Projection()
    desks = [Process(projection, messages=messages) for _ in range(processes)]
    flaky = [Desktop(agent_id) for agent_id in AGENTS]
    steady = Desktop("ayu")
    steady.connect(desks[0])

    def say(choice: int) -> None:
        for payload in world.next(world.talks[choice % len(world.talks)], choice // 3):
            tailed = log.add(payload)
            projection.behind.append(payload)
            for desk in desks:
                desk.unread[(tailed.topic, tailed.partition)].append(tailed)

    for step, choice in steps:
        desk, desktop = desks[choice % len(desks)], flaky[choice % len(flaky)]
        match step:
            case "say" | "say and read":
                say(choice)
                for reading in desks if step == "say and read" else ():
                    reading.read_all()
            case "read":
                for _ in range(choice % 4 + 1):
                    desk.read(choice)
            case "receive":
                desktop.receive((1, 1, 2, 5, 30)[choice % 5])
            case "lose":
                desktop.lose()
            case "connect":
                desktop.connect(desks[choice // 2 % len(desks)])
            case "project":
                projection.catch_up(choice % 10)
            case "restore":
                desk.restore()

    for desk in desks:
        desk.read_all()
    for n, desktop in enumerate(flaky):
        if desktop.at is None:
            desktop.connect(desks[n % len(desks)])
    projection.catch_up(10_000)
    for desk in desks:
        desk.restore()
    for desktop in (*flaky, steady):
        assert desktop.at is not None
        desktop.receive(100_000)
        assert desktop.screen.state() == desktop.at.state(desktop.screen.agent_id)
        assert len(set(desktop.screen.events)) == len(desktop.screen.events), "an event came twice"
        for entity in {e for e, _ in desktop.screen.versions}:
            versions = [v for e, v in desktop.screen.versions if e == entity]
            assert versions == sorted(set(versions)), "events of one entity came out of order"
        assert desktop.screen.snapshots <= 1
    if processes == 1 and flaky[0].screen.snapshots and steady.screen.events:
        # Whoever lost the connection saw every event that the other saw, from the moment of his snapshot on.
        assert steady.screen.events[len(steady.screen.events) - len(flaky[0].screen.events) :] == (
            flaky[0].screen.events
        )
