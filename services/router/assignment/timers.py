"""This file is the form in which the engine's reminders are kept by the kernel."""

from typing import assert_never

from libs.flow.flow import Timer
from services.router.assignment.domain.inputs import (
    ClaimLapsed,
    DeclineLapsed,
    GraceEnded,
    HookLapsed,
    Lapse,
    PresenceLapsed,
    ReservationLapsed,
    WaitLapsed,
    WrapUpEnded,
)


class ReservationDue(Timer):
    name = "reservation"
    reservation_id: str


class ClaimDue(Timer):
    name = "claim"
    work_item_id: str
    loan: int


class PresenceDue(Timer):
    name = "presence"
    agent_id: str


class GraceDue(Timer):
    name = "grace"
    agent_id: str


class WrapUpDue(Timer):
    name = "wrap_up"
    work_item_id: str


class DeclineDue(Timer):
    name = "decline"
    work_item_id: str
    agent_id: str


class WaitDue(Timer):
    name = "wait"
    work_item_id: str


class HookDue(Timer):
    name = "hook"
    work_item_id: str
    ask: int


def timer_of(lapse: Lapse) -> Timer:
    match lapse:
        case ClaimLapsed(work_item_id, loan):
            return ClaimDue(work_item_id=work_item_id, loan=loan)
        case ReservationLapsed(reservation_id):
            return ReservationDue(reservation_id=reservation_id)
        case PresenceLapsed(agent_id):
            return PresenceDue(agent_id=agent_id)
        case GraceEnded(agent_id):
            return GraceDue(agent_id=agent_id)
        case WrapUpEnded(work_item_id):
            return WrapUpDue(work_item_id=work_item_id)
        case DeclineLapsed(work_item_id, agent_id):
            return DeclineDue(work_item_id=work_item_id, agent_id=agent_id)
        case WaitLapsed(work_item_id):
            return WaitDue(work_item_id=work_item_id)
        case HookLapsed(work_item_id, ask):
            return HookDue(work_item_id=work_item_id, ask=ask)
        case _:
            assert_never(lapse)
