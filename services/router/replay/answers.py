"""This file finds, in recorded decisions, what allocation hooks had answered: decisions are made again by that, and nobody is asked."""

from collections.abc import Iterable

from libs.contracts.envelope import Event
from libs.contracts.payloads.assignments import Explanation, HookAnswer, WorkEvent
from libs.contracts.payloads.base import Payload
from services.router.assignment.effects import AskHook, AskOutcome, Heard

NO_OPINION = Heard(AskOutcome.NO_OPINION)


def recorded(payload: Payload) -> HookAnswer | None:
    """The answer from which an event followed."""
    explanation = getattr(payload, "explanation", None)
    return explanation.hook if isinstance(explanation, Explanation) else None


def answered(events: Iterable[Event[Payload]]) -> tuple[AskHook, Heard] | None:
    """What was asked and answered, where a decision followed from that."""
    for event in events:
        fact, answer = event.data, recorded(event.data)
        if answer is not None and isinstance(fact, WorkEvent):
            asked = AskHook(
                pool=fact.pool,
                queue=fact.queue,
                work_item_id=fact.work_item_id,
                ask=answer.ask,
                until=fact.occurred_at,
                body="",
            )
            return asked, heard(answer)
    return None


def heard(answer: HookAnswer) -> Heard:
    outcome = AskOutcome.ANSWERED if answer.agent_ids else AskOutcome.NO_OPINION
    return Heard(outcome, answer.agent_ids, answer.reason, answer.fault)
