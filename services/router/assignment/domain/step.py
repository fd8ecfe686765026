"""This file is one input's effect on the book: the moves of work items, then settling, then what agents are told.

rule ─▶ moves (offer, assign, give back, wrap, complete …) ─▶ settle: match all that the moves set free ─▶ agent changes
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.contracts.ids import WorkItemId, reservation_id
from libs.contracts.vocabulary import WorkState
from services.router.assignment.domain import asking, loans, relaxing, settling
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.book import Book
from services.router.assignment.domain.decisions import (
    AgentChange,
    Answer,
    Assigned,
    Cancelled,
    Candidate,
    Code,
    Completed,
    Decision,
    Ending,
    Explanation,
    Forget,
    Idled,
    Ignored,
    Offered,
    Queued,
    Remind,
    ReservationEnded,
    Settled,
    Woken,
    Wrapping,
)
from services.router.assignment.domain.inputs import (
    Lapse,
    ReservationLapsed,
    WrapUpEnded,
)
from services.router.assignment.domain.matching import best_agent, explain
from services.router.assignment.domain.waiting import Line
from services.router.assignment.domain.work import TRANSITIONS, Move, Reservation, WorkItem


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
        self.loose: dict[str, str] = {}
        """Waiting items to be matched -> why they are back, where that must be told if nobody takes them; else empty."""
        self.freed: dict[str, None] = {}
        self.offered: dict[str, None] = {}
        """Items that were offered to a first agent in this step."""
        self._heard: dict[str, asking.Heard] = {}
        """Item -> what its allocation hook said, until it is told with what became of the item."""

        self.loosen_lines(book.learn(now))

    # -- telling ------------------------------------------------------------------------------------------------------

    def ignore(self, reason: str) -> None:
        self.decisions.append(Ignored(reason))

    def tell(self, agent_id: str) -> None:
        """Publish the agent's state at the end of this step."""
        self._changed.setdefault(agent_id, None)

    def answer(
        self, agent_id: str, command_id: str, code: Code, text: str = "", *, gave: str | None = None
    ) -> None:
        """`gave` is the work item that the command gave the agent."""
        self._changed[agent_id] = Answer(command_id, code, text, gave)

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
        item = relaxing.relaxed(self, item)
        if self.has_hook(item):
            self.ask(item, None, self.at, reason, note)
            return
        chosen = self.match(item)
        explanation = self.explain(item, chosen, note)
        item = self.next(item, None, self.at)
        self.decisions.append(Queued(item, reason, explanation))
        if chosen:
            self._give(item, chosen, explanation)
        else:
            relaxing.watch(self, item)

    def end_offer(
        self, item: WorkItem, offer: Reservation, ending: Ending, at: datetime, reason: str | None = None
    ) -> WorkItem:
        """Declined, expired or rescinded: the agent's units are free again.

        Once no offer stands, work that nobody holds is back in its place; held work stays with its holder, who is told.
        """
        if item.loan:
            return loans.let_go(self, item)
        left = item.without(offer.reservation_id)
        back = item.state is WorkState.OFFERED and not left
        item = self.next(item, Move.RETURN if back else None, at, reservations=left)
        self._ended(item, offer, ending, reason)
        if back:
            self.loose[item.work_item_id] = ending.value
        if item.agent_id is not None:
            self.tell(item.agent_id)
        self.free(offer.agent_id)
        return item

    def rescind(self, item: WorkItem, at: datetime, reason: str) -> WorkItem:
        """Take back every standing offer of an item."""
        for offer in item.reservations:
            item = self.end_offer(item, offer, Ending.RESCINDED, at, reason)
        return item

    def rescind_offers(self, agent_id: str, at: datetime, reason: str) -> None:
        """Nobody waits for the lease of an agent who is known not to be there."""
        for item in self.book.ledger.offered(agent_id):
            offer = item.offer_to(agent_id)
            if offer is not None:
                self.end_offer(item, offer, Ending.RESCINDED, at, reason)

    def accept(self, item: WorkItem, offer: Reservation, at: datetime) -> None:
        """The first to accept has it: the offer becomes an assignment, offers to others are rescinded at once."""
        item = self.next(item, None, at)
        self._ended(item, offer, Ending.ACCEPTED)
        for other in item.reservations:
            if other is not offer:
                item = self.end_offer(item, other, Ending.RESCINDED, at, "taken")
        note = f"accepted reservation {offer.reservation_id}"
        explanation = self.because(offer.agent_id, note)
        self.assign(item, offer.agent_id, at, explanation, reservation=offer.reservation_id)

    def because(self, agent_id: str, note: str, *candidates: Candidate) -> Explanation:
        """Why an agent gets work that no strategy gave them."""
        policy = self.policy
        return Explanation(policy.pool, policy.version, policy.strategy, agent_id, candidates, 1, note)

    def offer(self, item: WorkItem, agent_id: str, explanation: Explanation) -> WorkItem:
        """Reserve the item for the agent until the lease ends; besides the offers of it that stand."""
        number = item.offers + 1
        name = reservation_id(WorkItemId(item.work_item_id), number)
        expires_at = max(self.now, item.changed_at) + self.policy.reservation_lease
        offer = Reservation(name, agent_id, expires_at, self.book.next_turn())
        offers = (*item.reservations, offer)
        item = self.next(item, Move.OFFER, self.now, reservations=offers, offers=number)
        self.decisions.append(Offered(item, offer, explanation))
        self.remind(f"reservation/{name}", expires_at, ReservationLapsed(name))
        if self.policy.interruptible:
            self.book.settle_over(agent_id, raised=True)
        self.tell(agent_id)
        return item

    def assign(
        self,
        item: WorkItem,
        agent_id: str,
        at: datetime,
        explanation: Explanation,
        *,
        reservation: str | None = None,
        forced_by: str | None = None,
        by_request: bool = False,
    ) -> None:
        previous = item.agent_id
        item = self.next(
            item,
            Move.ASSIGN,
            at,
            agent_id=agent_id,
            reservations=(),
            released=False,
            assigned_at=max(at, item.changed_at),
        )
        self.loose.pop(item.work_item_id, None)
        taken_over_from = previous if reservation else None
        self.decisions.append(
            Assigned(item, agent_id, explanation, reservation, forced_by, taken_over_from, by_request)
        )
        if forced_by or self.policy.interruptible:
            self.book.settle_over(agent_id, raised=True)
        self.touch(agent_id, item.changed_at, given=True)
        if previous is not None and previous != agent_id:
            self.touch(previous, item.changed_at)
            self.free(previous)

    def give_back(self, item: WorkItem, at: datetime, reason: str) -> None:
        """Take assigned work from an agent who is gone; its customer has waited since the first request."""
        holder = _of(item.agent_id)
        item = replace(self.rescind(item, at, reason), last_agent_id=holder)
        if self.has_hook(item):
            self.ask(item, Move.RETURN, at, reason, agent_id=None, released=False)
        else:
            item = self.next(item, Move.RETURN, at, agent_id=None, released=False)
            self.decisions.append(Queued(item, reason, self.explain(item, self.match(item))))
            # At home it must be told again: only there can it be found now.
            self.loose[item.work_item_id] = "returned" if item.home is not None else ""
        self.free(holder)

    def take_back(self, item: WorkItem, reason: str) -> None:
        """Put an item of which it is not known to whom it is offered back into its place."""
        if self.has_hook(item):
            self.ask(item, Move.RETURN, self.now, reason, agent_id=None, reservations=())
            return
        item = self.next(item, Move.RETURN, self.now, agent_id=None, reservations=())
        self.decisions.append(Queued(item, reason, self.explain(item, self.match(item))))
        self.loosen(item)

    def go_on(self, item: WorkItem, heard: asking.Heard, chosen: str | None) -> None:
        """The item's allocation hook has answered, or its time is over: to whom it chose, else as matching decides."""
        item = replace(item, hook_until=None)
        self.book.put_item(item)
        self._heard[item.work_item_id] = heard
        if chosen is not None:
            self._give(item, chosen, self.explain(item, chosen))
            # Whom it chose is asked alone, also where the pool offers its work to several.
            self.offered.pop(item.work_item_id, None)
        else:
            self.loose[item.work_item_id] = "allocation_hook"

    def wrap(self, item: WorkItem, at: datetime) -> None:
        holder = _of(item.agent_id)
        self._learn(item, at)
        until = max(at, item.changed_at) + self.policy.wrap_up[item.queue]
        released = item.released or item.queue in self.policy.wrap_up_releases
        item = self.next(item, Move.WRAP, at, wrap_until=until, released=released)
        self.decisions.append(Wrapping(item, holder, until))
        self.remind(f"wrap-up/{item.work_item_id}", until, WrapUpEnded(item.work_item_id))
        self.free(holder)

    def idle(self, item: WorkItem, at: datetime, since: datetime) -> None:
        """The holder's units are free until the customer writes again."""
        holder = _of(item.agent_id)
        item = self.next(item, None, at, released=True)
        self.decisions.append(Idled(item, holder, since))
        self.free(holder)

    def wake(self, item: WorkItem, at: datetime) -> None:
        """The units are taken again, above the capacity if need be: the customer is not sent to somebody else."""
        holder = _of(item.agent_id)
        item = self.next(item, None, at, released=False)
        self.book.settle_over(holder, raised=True)
        self.decisions.append(Woken(item, holder))
        self.tell(holder)

    def complete(self, item: WorkItem, at: datetime, reason: str) -> None:
        holder = _of(item.agent_id)
        if item.state is WorkState.WRAPPING:
            self.forget(f"wrap-up/{item.work_item_id}")
        else:
            self._learn(item, at)
        item = self.next(item, Move.COMPLETE, at, agent_id=None, released=False)
        self._end(item)
        self.decisions.append(Completed(item, holder, reason))
        self.remember(holder, item.work_item_id, "completed")
        self.touch(holder, item.changed_at)
        self.free(holder)

    def cancel(self, item: WorkItem, at: datetime, reason: str) -> None:
        item = self.next(item, Move.CANCEL, at)
        self._end(item)
        self.decisions.append(Cancelled(item, reason))

    def loosen(self, item: WorkItem, reason: str = "") -> None:
        """Something that kept agents from a waiting item is gone: match it. With a reason it is told if nobody takes it."""
        self.loose.setdefault(item.work_item_id, reason)

    def give(self, item: WorkItem, agent_id: str) -> None:
        """Offer it to the agent, or assign it where the pool does not ask; the work of another pool is claimed first."""
        if item.loan:
            loans.claim(self, item, agent_id)
        else:
            self._give(item, agent_id, self.explain(item, agent_id))

    def loosen_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            for key in line.keys:
                self.loose.setdefault(key.work_item_id, "")

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
        self.free(agent_id)
        if before.connected and not agent.connected:
            relaxing.loosen_deserted(self, agent_id)
        return agent

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self) -> list[Decision]:
        settling.settle(self)
        settling.broaden(self)
        if self.book.lends:
            loans.tell(self)
        for agent_id, answer in self._changed.items():
            self.decisions.append(self._agent_change(agent_id, answer))
        return self.decisions

    def has_hook(self, item: WorkItem) -> bool:
        """Whether somebody's own system is asked about the item first; never where a person chose the agent, nor about guests."""
        return item.queue in self.policy.hooks and item.only_agent_id is None and item.home is None

    def ask(
        self,
        item: WorkItem,
        move: Move | None,
        at: datetime,
        reason: str,
        note: str | None = None,
        **changes: Any,
    ) -> None:
        """Tell the item as queued, and have its allocation hook asked before anybody is matched with it."""
        until = self.now + self.policy.hooks[item.queue]
        item = self.next(item, move, at, hook_until=until, hook_asks=item.hook_asks + 1, **changes)
        self.decisions += asking.ask(self.book, item, self.now, reason, note)

    def _learn(self, item: WorkItem, at: datetime) -> None:
        learning, group = self.book.learning, self.book.roster.group(_of(item.agent_id))
        if learning is not None and group is not None and item.assigned_at is not None:
            learning.handled(item.skills, group.levels, at - item.assigned_at)

    def interrupts(self, item: WorkItem, agent_id: str) -> bool:
        """Whether the agent has room for it only by putting other work aside."""
        if not self.policy.interruptible:
            return False
        return not self.book.fits(agent_id, item.channel, item.units, interrupting=False)

    def match(self, item: WorkItem) -> str | None:
        """Who gets a waiting item now; nobody where its queue does not offer work by itself."""
        return best_agent(self.book, item, self.now) if self._offered_by_itself(item) else None

    def _offered_by_itself(self, item: WorkItem) -> bool:
        return self.book.offers_itself(item.queue, item.only_agent_id)

    def explain(self, item: WorkItem, chosen: str | None, note: str | None = None) -> Explanation:
        if note is None and chosen is None and not self._offered_by_itself(item):
            note = f"queue {item.queue} is {self.policy.mode(item.queue)}: waits to be taken"
        if note is None and chosen is not None and self.interrupts(item, chosen):
            note = "goes past the capacity: interrupts other work"
        if note is None:
            note = loans.note(self.policy, item, chosen)
        explanation = explain(self.book, item, self.now, chosen, note)
        heard = self._heard.pop(item.work_item_id, None)
        return heard.added_to(explanation) if heard is not None else explanation

    def _give(self, item: WorkItem, agent_id: str, explanation: Explanation) -> None:
        if self.policy.auto_accept:
            self.assign(item, agent_id, self.now, explanation)
            return
        self.offered[item.work_item_id] = None
        self.offer(item, agent_id, explanation)

    def next(self, item: WorkItem, move: Move | None, at: datetime, **changes: Any) -> WorkItem:
        """The item after one more fact. Raises KeyError for a move that its state does not have."""
        state = item.state if move is None else TRANSITIONS[item.state, move]
        if item.wake_at is not None and state is not WorkState.QUEUED:
            self.forget(f"wait/{item.work_item_id}")
            changes["wake_at"] = None
        if item.hook_until is not None and state is not WorkState.QUEUED:
            self.forget(f"hook/{item.work_item_id}")
            changes["hook_until"] = None
        item = replace(
            item, state=state, version=item.version + 1, changed_at=max(at, item.changed_at), **changes
        )
        self.book.put_item(item)
        return item

    def _ended(self, item: WorkItem, offer: Reservation, ending: Ending, reason: str | None = None) -> None:
        name = offer.reservation_id
        self.decisions.append(ReservationEnded(item, name, offer.agent_id, ending, reason))
        self.forget(f"reservation/{name}")
        agent = self.book.agents[offer.agent_id]
        self.book.put_agent(replace(agent, offered_turn=max(agent.offered_turn, offer.turn)))
        self.remember(offer.agent_id, name, ending)

    def _end(self, item: WorkItem) -> None:
        self.loose.pop(item.work_item_id, None)
        loans.forget_declines(self, item)
        if item.home is not None:
            self.decisions.append(Settled(item, item.home, self.now))

    def free(self, agent_id: str) -> None:
        self.freed[agent_id] = None
        self.tell(agent_id)

    def _agent_change(self, agent_id: str, answer: Answer | None) -> AgentChange:
        book = self.book
        agent = book.agents.get(agent_id)
        if agent is None:
            # Nobody of this pool: answered, but not recorded; version 0 yields to any state that is.
            return AgentChange(book.newcomer(agent_id), 0, (), self.now, answer)
        agent = replace(agent, version=agent.version + 1 if agent.version else int(self.now.timestamp()))
        book.put_agent(agent)
        held = tuple(item.work_item_id for item in book.ledger.of(agent_id))
        return AgentChange(agent, book.load(agent_id), held, self.now, answer)


def _of(value: str | None) -> str:
    """A field that the item's state says is set."""
    if value is None:
        raise ValueError("a held work item lacks its agent")
    return value
