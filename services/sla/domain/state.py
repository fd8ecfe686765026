"""This file is what the facts of a conversation amount to, as far as its clocks depend on it."""

from dataclasses import dataclass
from enum import StrEnum

from libs.contracts.vocabulary import Metric
from services.sla.domain.clock import Clock
from services.sla.domain.facts import Floor
from services.sla.domain.policy import ON_HOLD, WAITING_FOR_CUSTOMER, Policy

NOTHING_SETTLED = Floor()


class Phase(StrEnum):
    UNSEEN = "unseen"
    """Its opening is not known yet."""
    OPEN = "open"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the facts so far amount to, without clocks that are settled."""

    phase: Phase = Phase.UNSEEN
    queue: str = ""
    policy: Policy | None = None
    """The only one that may hold, where `policies` names none."""
    answered: bool = False
    """By a person, ever."""
    running: tuple[Clock, ...] = ()
    """Those that have not ended, paused ones among them; one of a metric at most."""
    ended: tuple[Clock, ...] = ()
    floor: Floor = NOTHING_SETTLED
    policies: tuple[Policy, ...] = ()
    """All that may hold for its inbox, channel and queue, pinned since it was opened or came there."""
    priority: int = 0
    tags: tuple[str, ...] = ()
    replied: bool = False
    """By anybody or anything of ours, ever."""
    asked: bool = False
    """The customer wrote, and no person has answered."""
    unheard: bool = False
    """The customer wrote, and nothing of ours has replied."""
    last_word: bool = False
    """A person of ours wrote, and the customer has not since; of this opening."""
    last_reply: bool = False
    """Somebody or something of ours did."""
    assigned: bool = False
    """An agent got it since it was opened or transferred."""

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """Those of one metric in order of their start."""
        return (*self.ended, *self.running)

    @property
    def may_hold(self) -> tuple[Policy, ...]:
        return self.policies or (() if self.policy is None else (self.policy,))

    def running_of(self, metric: Metric) -> Clock | None:
        return next((clock for clock in self.running if clock.metric is metric), None)

    def owes(self, metric: Metric, *, human_only: bool) -> bool:
        """Whether it waits for what meets a clock of this metric; an answer is a person's, or with False anybody's."""
        answered = self.answered if human_only else self.answered or self.replied
        asked = self.asked if human_only else self.unheard
        if self.phase not in (Phase.OPEN, Phase.SNOOZED):
            return False
        match metric:
            case Metric.FIRST_RESPONSE:
                return not answered
            case Metric.NEXT_RESPONSE:
                return answered and asked
            case Metric.TIME_TO_ASSIGNMENT:
                return not self.assigned
            case Metric.RESOLUTION | Metric.PERIODIC_UPDATE:
                return True
            case _:
                return False

    def holds(self, reasons: tuple[str, ...], *, human_only: bool) -> str | None:
        """The first of these reasons to pause that there is."""
        if ON_HOLD in reasons and self.phase is Phase.SNOOZED:
            return ON_HOLD
        waits = self.last_word if human_only else self.last_reply
        return WAITING_FOR_CUSTOMER if WAITING_FOR_CUSTOMER in reasons and waits else None
