"""This file is matching for one pool: an input goes in, decisions come out, in one order."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from services.router.assignment.domain import (
    asking,
    lending,
    presence,
    pulling,
    requests,
    reservations,
    transfers,
)
from services.router.assignment.domain.agents import AgentState
from services.router.assignment.domain.book import Book, Changes
from services.router.assignment.domain.decisions import Code, Decision
from services.router.assignment.domain.inputs import (
    Accept,
    CallBack,
    Claim,
    ClaimLapsed,
    Command,
    Complete,
    Consult,
    Decline,
    DeclineLapsed,
    FallSilent,
    ForceAssign,
    GraceEnded,
    Grant,
    Heartbeat,
    HookAnswered,
    HookLapsed,
    Input,
    Lend,
    Lending,
    Next,
    PresenceLapsed,
    Recall,
    Reprioritise,
    Request,
    ReservationLapsed,
    Resume,
    Return,
    SetPresence,
    Settle,
    Take,
    WaitLapsed,
    Withdraw,
    WrapUpEnded,
)
from services.router.assignment.domain.invariants import violations
from services.router.assignment.domain.learning import Cell
from services.router.assignment.domain.policy import Policy
from services.router.assignment.domain.reconcile import reconcile
from services.router.assignment.domain.step import Step
from services.router.assignment.domain.work import WorkItem


class Engine:
    """One pool's matching in memory: a pure function of the rows it was built from and the inputs since.

    The caller applies every input of the pool in its order, carries out the decisions (publishes facts, keeps
    reminders), and writes `take_changes` in the transaction that has the decisions. It never reads a clock: `now` is
    the time of the caller's batch. It raises for no input that its types allow.
    """

    def __init__(
        self,
        policy: Policy,
        lane: int = 0,
        items: Iterable[WorkItem] = (),
        agents: Iterable[AgentState] = (),
        cells: Iterable[Cell] = (),
    ) -> None:
        self.book = Book(policy, lane, items, agents, cells)
        self._reconciled = False

    def apply(self, what: Input, *, at: datetime, now: datetime) -> list[Decision]:
        """What follows from one input that happened `at` and is handled `now`.

        The first call also decides what follows from the rows themselves, where the workspace has changed since they
        were written.
        """
        decisions: list[Decision] = []
        if not self._reconciled:
            self._reconciled = True
            first = Step(self.book, now, now)
            reconcile(first)
            decisions += first.finish()
        step = Step(self.book, at, now)
        self._rule(step, what)
        return decisions + step.finish()

    def awaits(self, work_item_id: str, ask: int) -> bool:
        """Whether the answer of an allocation hook to this ask is still wanted."""
        item = self.book.items.get(work_item_id)
        return item is not None and item.awaits(ask)

    def take_changes(self) -> Changes:
        """Rows that changed since the last call."""
        return self.book.take_changes()

    def check(self) -> list[str]:
        """Every invariant that does not hold, in words; for tests."""
        return violations(self.book)

    def _rule(self, step: Step, what: Input) -> None:
        match what:
            case Request():
                requests.request(step, what)
            case Withdraw() | Reprioritise() | FallSilent() | Resume():
                lending.wish(step, what)
            case Lend() | Claim() | Grant() | Recall() | Return() | Settle() | CallBack():
                self._lending(step, what)
            case ClaimLapsed():
                lending.claim_lapsed(step, what)
            case (
                SetPresence()
                | Accept()
                | Decline()
                | Complete()
                | Next()
                | Take()
                | Consult()
                | ForceAssign()
            ):
                self._command(step, what)
            case Heartbeat():
                presence.heartbeat(step, what)
            case HookAnswered():
                asking.answered(step, what)
            case HookLapsed():
                asking.lapsed(step, what)
            case ReservationLapsed():
                reservations.reservation_lapsed(step, what)
            case PresenceLapsed():
                presence.presence_lapsed(step, what)
            case GraceEnded():
                presence.grace_ended(step, what)
            case WrapUpEnded():
                requests.wrap_up_ended(step, what.work_item_id)
            case DeclineLapsed():
                reservations.decline_lapsed(step, what)
            case WaitLapsed():
                requests.wait_lapsed(step, what)
            case _:
                assert_never(what)

    def _lending(self, step: Step, what: Lending) -> None:
        match what:
            case Lend():
                lending.lent(step, what)
            case Claim():
                lending.claimed(step, what)
            case Grant():
                lending.granted(step, what)
            case Recall():
                lending.recalled(step, what)
            case Return():
                lending.returned(step, what)
            case Settle():
                lending.settled(step, what)
            case CallBack():
                lending.called_back(step, what)
            case _:
                assert_never(what)

    def _command(self, step: Step, what: Command) -> None:
        if what.agent_id not in self.book.policy.agents:
            text = f"{what.agent_id} is not in pool {self.book.policy.pool}"
            step.answer(what.agent_id, what.command_id, Code.UNKNOWN_AGENT, text)
            return
        match what:
            case SetPresence():
                presence.set_presence(step, what)
            case Accept():
                reservations.accept(step, what)
            case Decline():
                reservations.decline(step, what)
            case Complete():
                reservations.complete(step, what)
            case Next():
                pulling.next_work(step, what)
            case Take():
                pulling.take(step, what)
            case Consult():
                transfers.consult(step, what)
            case ForceAssign():
                reservations.force_assign(step, what)
            case _:
                assert_never(what)
