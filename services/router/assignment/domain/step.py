"""This file is one input's effect on the book: the moves of work items, then settling, then what agents are told.

rule ─▶ moves (offer, assign, give back, wrap, complete …) ─▶ settle: match all that the moves set free ─▶ agent changes
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.ids import WorkItemId, reservation_id
from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import (
    AgentChange,
    Answer,
    Assigned,
    Cancelled,
    Code,
    Completed,
    Decision,
    Ending,
    Explanation,
    Forget,
    Ignored,
    Offered,
    Queued,
    Remind,
    ReservationEnded,
    Wrapping,
)
from services.router.assignment.domain.inputs import Lapse, ReservationLapsed, WaitLapsed, WrapUpEnded
from services.router.assignment.domain.matching import best_agent, best_item, explain, value, wakes_at
from services.router.assignment.domain.strategies import WaitingKey, micros
from services.router.assignment.domain.work import TRANSITIONS, Move, WorkItem


class Step:
    """Rules call the moves in any order; `finish` settles and returns the decisions in the order in which they hold.

    `at` is when the input happened (never later than `now`), `now` is when it is decided. What people did is stamped
    with `at`, what matching does with `now`; an item's times never go back.
    """

    def __init__(self, book: Book, at: datetime, now: datetime) -> None:
        self.book, self.policy = book, book.policy
        self.at, self.now = min(at, now), now
        self.decisions: list[Decision] = []
        self._changed: dict[str, Answer | None] = {}
        self._loose: dict[str, str] = {}
        """Waiting items to be matched -> why they are back, where that must be told if nobody takes them; else empty."""
        self._freed: dict[str, None] = {}

        if book.learning is not None:
            for line in book.learn(now):
                for key in line.keys:
                    self._loose.setdefault(key.work_item_id, "")

    # -- telling ------------------------------------------------------------------------------------------------------

    def ignore(self, reason: str) -> None:
        self.decisions.append(Ignored(reason))

    def tell(self, agent_id: str) -> None:
        """Publish the agent's state at the end of this step."""
        self._changed.setdefault(agent_id, None)

    def answer(self, agent_id: str, command_id: str, code: Code, text: str = "") -> None:
        self._changed[agent_id] = Answer(command_id, code, text)

    def remind(self, id: str, due: datetime, lapse: Lapse) -> None:
        self.decisions.append(Remind(id, due, lapse))

    def forget(self, id: str) -> None:
        self.decisions.append(Forget(id))

    # -- moves of work ------------------------------------------------------------------------------------------------

    def queue(self, item: WorkItem, reason: str, note: str | None = None) -> None:
        """A new item: told as queued, then placed at once where somebody can take it.

        It competes with nobody: had an item been waiting for the same agent, that agent would not be free.
        """
        if self.book.learning is not None:
            self.book.learning.asked((item.queue, tuple(sorted(item.skills.items()))))
        item = self._relaxed(item)
        chosen = best_agent(self.book, item, self.now)
        explanation = explain(self.book, item, self.now, chosen, note)
        item = self._next(item, None, self.at)
        self.decisions.append(Queued(item, reason, explanation))
        if chosen:
            self._give(item, chosen, explanation)
        else:
            self._watch(item)

    def end_offer(self, item: WorkItem, ending: Ending, at: datetime, reason: str | None = None) -> WorkItem:
        """Declined, expired or rescinded: the item is back in its place, the agent's units are free again."""
        agent_id, reservation = _of(item.agent_id), _of(item.reservation_id)
        item = self._next(item, Move.RETURN, at, agent_id=None, reservation_id=None, expires_at=None)
        self.decisions.append(ReservationEnded(item, reservation, agent_id, ending, reason))
        self.forget(f"reservation/{reservation}")
        self.remember(agent_id, reservation, ending)
        self._loose[item.work_item_id] = ending.value
        self._free(agent_id)
        return item

    def rescind_offers(self, agent_id: str, at: datetime, reason: str) -> None:
        """Nobody waits for the lease of an agent who is known not to be there."""
        for item in self.book.held_by(agent_id, WorkState.OFFERED):
            self.end_offer(item, Ending.RESCINDED, at, reason)

    def accept(self, item: WorkItem, at: datetime) -> None:
        agent_id, reservation = _of(item.agent_id), _of(item.reservation_id)
        item = self._next(item, None, at)
        self.decisions.append(ReservationEnded(item, reservation, agent_id, Ending.ACCEPTED))
        self.forget(f"reservation/{reservation}")
        self.remember(agent_id, reservation, Ending.ACCEPTED)
        note = f"accepted reservation {reservation}"
        explanation = Explanation(
            self.policy.pool, self.policy.version, self.policy.strategy, agent_id, (), 1, note
        )
        self.assign(item, agent_id, at, explanation, reservation=reservation)

    def assign(
        self,
        item: WorkItem,
        agent_id: str,
        at: datetime,
        explanation: Explanation,
        *,
        reservation: str | None = None,
        forced_by: str | None = None,
    ) -> None:
        previous = item.agent_id
        item = self._next(
            item,
            Move.ASSIGN,
            at,
            agent_id=agent_id,
            reservation_id=None,
            expires_at=None,
            assigned_at=max(at, item.changed_at),
        )
        self._loose.pop(item.work_item_id, None)
        self.decisions.append(Assigned(item, agent_id, explanation, reservation, forced_by))
        self.touch(agent_id, item.changed_at, given=True)
        if previous is not None and previous != agent_id:
            self.touch(previous, item.changed_at)
            self._free(previous)

    def give_back(self, item: WorkItem, at: datetime, reason: str) -> None:
        """Take assigned work from an agent who is gone; its customer has waited since the first request."""
        holder = _of(item.agent_id)
        item = self._next(item, Move.RETURN, at, agent_id=None, last_agent_id=holder)
        chosen = best_agent(self.book, item, self.now)
        self.decisions.append(Queued(item, reason, explain(self.book, item, self.now, chosen)))
        self._loose[item.work_item_id] = ""
        self._free(holder)

    def wrap(self, item: WorkItem, at: datetime) -> None:
        holder = _of(item.agent_id)
        self._learn(item, at)
        until = max(at, item.changed_at) + self.policy.wrap_up[item.queue]
        item = self._next(item, Move.WRAP, at, wrap_until=until)
        self.decisions.append(Wrapping(item, holder, until))
        self.remind(f"wrap-up/{item.work_item_id}", until, WrapUpEnded(item.work_item_id))
        self.tell(holder)

    def complete(self, item: WorkItem, at: datetime, reason: str) -> None:
        holder = _of(item.agent_id)
        if item.state is WorkState.WRAPPING:
            self.forget(f"wrap-up/{item.work_item_id}")
        else:
            self._learn(item, at)
        item = self._next(item, Move.COMPLETE, at, agent_id=None)
        self._end(item)
        self.decisions.append(Completed(item, holder, reason))
        self.remember(holder, item.work_item_id, "completed")
        self.touch(holder, item.changed_at)
        self._free(holder)

    def cancel(self, item: WorkItem, at: datetime, reason: str) -> None:
        item = self._next(item, Move.CANCEL, at)
        self._end(item)
        self.decisions.append(Cancelled(item, reason))

    def loosen(self, item: WorkItem) -> None:
        """Something that kept agents from a waiting item is gone: match it."""
        self._loose.setdefault(item.work_item_id, "")

    def relax(self, item: WorkItem) -> None:
        """Take the steps that are due; told when nobody takes the item even so."""
        relaxed = self._relaxed(item)
        if relaxed is not item:
            self.book.put_item(relaxed)
            self._loose[item.work_item_id] = "relaxed"

    # -- moves of agents ----------------------------------------------------------------------------------------------

    def touch(self, agent_id: str, at: datetime, *, given: bool = False) -> None:
        """To the end of the idle order; of the round as well where they were given work."""
        agent, turn = self.book.agents[agent_id], self.book.next_turn()
        self.book.put_agent(replace(agent, touched=turn, given=turn if given else agent.given, idle_since=at))
        self.tell(agent_id)

    def remember(self, agent_id: str, id: str, how: str) -> None:
        agent = self.book.agents[agent_id]
        self.book.put_agent(replace(agent, ended=agent.with_ending(id, str(how))))

    def change_agent(self, agent_id: str, **changes: Any) -> AgentState:
        before = self.book.agents[agent_id]
        agent = replace(before, **changes)
        self.book.put_agent(agent)
        self._free(agent_id)
        if before.connected and not agent.connected:
            self._loosen_deserted(agent_id)
        return agent

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self) -> list[Decision]:
        self._settle()
        for agent_id, answer in self._changed.items():
            self.decisions.append(self._agent_change(agent_id, answer))
        return self.decisions

    def _settle(self) -> None:
        """Match until no free agent can take a waiting item: the first in waiting order goes first, to its best agent."""
        book, items = self.book, self.book.items
        self._loosen_held()
        loose = sorted((self._worth(items[i]) for i in self._loose if i in items), reverse=True)
        while True:
            freed = [found for a in self._freed if (found := best_item(book, a, self.now))]
            first = min(freed, default=None)
            if loose and (first is None or loose[-1] <= first):
                first = loose.pop()
            if first is None:
                break
            item = items[first[1].work_item_id]
            if item.state is not WorkState.QUEUED:
                continue
            chosen = best_agent(book, item, self.now)
            if chosen:
                self._give(item, chosen, explain(book, item, self.now, chosen))
                continue
            relaxed = self._relaxed(item)
            if relaxed is not item:
                book.put_item(relaxed)
                self._loose[item.work_item_id] = self._loose.get(item.work_item_id) or "relaxed"
                loose.append(self._worth(relaxed))
                loose.sort(reverse=True)
                continue
            if reason := self._loose.get(item.work_item_id):
                explanation = explain(book, item, self.now, None)
                item = self._next(item, None, self.now)
                self.decisions.append(Queued(item, reason, explanation))
            self._watch(item)
        book.was_roomy = book.roomy

    def _worth(self, item: WorkItem) -> tuple[float, WaitingKey]:
        book, key = self.book, self.book.waiting.key(item)
        return value(book, book.waiting.line_of(item), key, None, micros(self.now)), key

    def _loosen_held(self) -> None:
        """So much is free that nobody is held back any more, or others are here for whom they were held."""
        if self.book.admits and self.book.roomy and not self.book.was_roomy:
            for line in self.book.waiting.open_lines():
                for key in line.keys:
                    self._loose.setdefault(key.work_item_id, "")

    def _loosen_deserted(self, agent_id: str) -> None:
        """Whoever waits for agents like this one, of whom the last has gone, may skip to the next step at once."""
        group = self.book.roster.group(agent_id)
        if group is not None and not group.connected and self.policy.relaxations:
            for line in group.lines:
                for key in line.keys:
                    self._loose.setdefault(key.work_item_id, "")

    def _relaxed(self, item: WorkItem) -> WorkItem:
        """The item with the steps whose wait is over, and those that are skipped for want of anybody."""
        steps = self.policy.relaxations.get(item.queue)
        if not steps:
            return item
        waited, taken = self.now - item.waiting_since, item.step
        while taken < len(steps) and (
            waited >= steps[taken].after
            or (steps[taken].skip_if_nobody and self._nobody(replace(item, step=taken)))
        ):
            taken += 1
        return replace(item, step=taken) if taken != item.step else item

    def _nobody(self, item: WorkItem) -> bool:
        return not any(group.connected for group in self.book.waiting.line_of(item).groups)

    def _watch(self, item: WorkItem) -> None:
        """Be reminded of a waiting item when its next step relaxes, or somebody is no longer held back."""
        due = wakes_at(self.book, item, self.now)
        if due is not None:
            self.remind(f"wait/{item.work_item_id}", max(due, self.now), WaitLapsed(item.work_item_id))

    def _learn(self, item: WorkItem, at: datetime) -> None:
        learning, group = self.book.learning, self.book.roster.group(_of(item.agent_id))
        if learning is not None and group is not None and item.assigned_at is not None:
            learning.handled(item.skills, group.levels, at - item.assigned_at)

    def _give(self, item: WorkItem, agent_id: str, explanation: Explanation) -> None:
        if self.policy.auto_accept:
            self.assign(item, agent_id, self.now, explanation)
            return
        number = item.offers + 1
        reservation = reservation_id(WorkItemId(item.work_item_id), number)
        expires_at = max(self.now, item.changed_at) + self.policy.reservation_lease
        item = self._next(
            item,
            Move.OFFER,
            self.now,
            agent_id=agent_id,
            reservation_id=reservation,
            offers=number,
            offer_turn=self.book.next_turn(),
            expires_at=expires_at,
        )
        self.decisions.append(Offered(item, explanation))
        self.remind(f"reservation/{reservation}", expires_at, ReservationLapsed(reservation))
        self.tell(agent_id)

    def _next(self, item: WorkItem, move: Move | None, at: datetime, **changes: Any) -> WorkItem:
        """The item after one more fact. Raises KeyError for a move that its state does not have."""
        state = item.state if move is None else TRANSITIONS[item.state, move]
        if item.state is WorkState.QUEUED and state is not item.state and self.book.wakes:
            self.forget(f"wait/{item.work_item_id}")
        item = replace(
            item, state=state, version=item.version + 1, changed_at=max(at, item.changed_at), **changes
        )
        self.book.put_item(item)
        return item

    def _end(self, item: WorkItem) -> None:
        self._loose.pop(item.work_item_id, None)
        for agent_id in item.declined or ():
            self.forget(f"decline/{item.work_item_id}/{agent_id}")

    def _free(self, agent_id: str) -> None:
        self._freed[agent_id] = None
        self.tell(agent_id)

    def _agent_change(self, agent_id: str, answer: Answer | None) -> AgentChange:
        book = self.book
        agent = book.agents.get(agent_id)
        if agent is None:
            # Nobody of this pool: answered, but not recorded; version 0 yields to any state that is.
            return AgentChange(book.newcomer(agent_id), 0, (), self.now, answer)
        agent = replace(agent, version=agent.version + 1 if agent.version else int(self.now.timestamp()))
        book.put_agent(agent)
        held = tuple(item.work_item_id for item in book.held_by(agent_id))
        return AgentChange(agent, book.load(agent_id), held, self.now, answer)


def _of(value: str | None) -> str:
    """A field that the item's state says is set."""
    if value is None:
        raise ValueError("an offered or held work item lacks its agent or reservation")
    return value
