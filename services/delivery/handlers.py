"""This file takes one message after another through its attempts, and reports its end.

message.requested ─▶ WAITING ─▶ SENDING ─▶ delivery.reported (accepted | failed) ─▶ the next of the line
                                 │   ▲
             turned down, put off│   │retry_due
                                 ▼   │
                         RETRYING or UNCERTAIN ─ a receipt names it ─▶ delivery.reported (accepted)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from libs.contracts.envelope import Event
from libs.contracts.payloads.base import ProviderError
from libs.contracts.payloads.conversations import DeliveryReported, MessageRequested, MessageStatusChanged
from libs.contracts.vocabulary import Channel, MessageStatus
from libs.flow.flow import Drop, Fired, Outcome, Performed, Turn
from services.delivery import metrics
from services.delivery.domain.answers import Accepted, Fault, PutOff, Refused, RetryLater, Unknown
from services.delivery.domain.backoff import wait_before_retry
from services.delivery.effects import RetryDue, SendMessage
from services.delivery.store import DeliveryStore, Dispatch, State

HAD_IT = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ)


@dataclass(frozen=True)
class Handlers:
    """`give_up_after`: a message older than that fails. `doubt`: how long to wait for a receipt after an attempt that may
    have arrived. `repeatable`: channels on which such an attempt is simply repeated."""

    give_up_after: timedelta
    doubt: timedelta
    repeatable: Mapping[Channel, bool]

    def on_message_requested(
        self, turn: Turn[DeliveryStore], event: Event[MessageRequested]
    ) -> Outcome | None:
        asked = event.data
        if asked.channel is Channel.WEBCHAT:
            _report_shown(turn, event)
            return None
        line = turn.store.line(asked.contact_point_id)
        if any(row.message_id == asked.message_id for row in line):
            return Drop("already_waiting")
        row = Dispatch(
            message_id=asked.message_id,
            contact_point_id=asked.contact_point_id,
            conversation_id=asked.conversation_id,
            inbox_id=asked.inbox_id,
            channel=asked.channel,
            address=asked.address,
            content=asked.content,
            reply_to=asked.reply_to,
            number=line[-1].number + 1 if line else 1,
            state=State.WAITING,
            attempts=0,
            tries=0,
            receipt=None,
            last_fault=None,
            requested_at=asked.requested_at,
            due_at=None,
        )
        turn.store.dispatch.put(row)
        if not line:
            self._send(turn, row)
        return None

    def on_sent(self, turn: Turn[DeliveryStore], performed: Performed) -> Outcome | None:
        row = turn.store.dispatch.get(performed.key, performed.effect.message_id)
        if row is None or row.state is not State.SENDING:
            return Drop("already_ended")
        answer, at = performed.result.answer, performed.result.at
        if not isinstance(answer, PutOff):
            row = replace(row, attempts=row.attempts + 1)
        match answer:
            case Accepted(provider_message_id):
                self._end(turn, row, at, provider_message_id=provider_message_id)
            case _ if row.receipt is not None:
                self._end(
                    turn, row, at, error=row.last_fault if row.receipt is MessageStatus.FAILED else None
                )
            case Refused(fault):
                self._end(turn, row, at, error=_error(fault, retryable=False))
            case RetryLater(fault, after):
                self._later(
                    turn, _retrying(row, fault), at, wait_before_retry(row.message_id, row.attempts, after)
                )
            case Unknown(fault) if self.repeatable.get(Channel(row.channel), False):
                self._later(turn, _retrying(row, fault), at, wait_before_retry(row.message_id, row.attempts))
            case Unknown(fault):
                self._later(turn, replace(_retrying(row, fault), state=State.UNCERTAIN), at, self.doubt)
            case PutOff(wait):
                self._later(turn, replace(row, state=State.RETRYING), at, wait)
            case _:
                assert_never(answer)
        return None

    def on_retry_due(self, turn: Turn[DeliveryStore], fired: Fired[Any]) -> Outcome | None:
        row = turn.store.dispatch.get(fired.key, fired.timer.message_id)
        if row is None or row.state not in (State.RETRYING, State.UNCERTAIN):
            return Drop("already_ended")
        self._send(turn, row)
        return None

    def on_message_status_changed(
        self, turn: Turn[DeliveryStore], event: Event[MessageStatusChanged]
    ) -> Outcome | None:
        """A receipt settles an attempt that ended in doubt."""
        row = turn.store.dispatch.get(event.key, event.data.message_id)
        if row is None or row.state is State.WAITING:
            return None
        status, error = event.data.status, None
        if status is MessageStatus.FAILED:
            error = event.data.error or ProviderError(code="failed")
        elif status not in HAD_IT:
            return None
        if row.state is State.SENDING:
            # The provider's own answer is on its way and names the message; this counts if it says anything else.
            turn.store.dispatch.put(replace(row, receipt=status, last_fault=error or row.last_fault))
        else:
            self._end(turn, row, event.data.occurred_at, error=error)
        return None

    def _send(self, turn: Turn[DeliveryStore], row: Dispatch) -> None:
        row = replace(row, state=State.SENDING, tries=row.tries + 1, due_at=None)
        turn.store.dispatch.put(row)
        effect = SendMessage(
            message_id=row.message_id,
            contact_point_id=row.contact_point_id,
            inbox_id=row.inbox_id,
            channel=Channel(row.channel),
            address=row.address,
            content=row.content,
            reply_to=row.reply_to,
            requested_at=row.requested_at,
        )
        turn.perform(effect, id=f"{row.message_id}/{row.tries}", key=row.contact_point_id)

    def _later(self, turn: Turn[DeliveryStore], row: Dispatch, at: datetime, wait: timedelta) -> None:
        """Try again after the wait, or for the last time when the message's own time is up."""
        last = row.requested_at + self.give_up_after
        if at >= last:
            timed_out = ProviderError(code="rate_limited", text="no free place within the time limit")
            self._end(turn, row, at, error=row.last_fault or timed_out)
            return
        due = min(at + wait, last)
        turn.store.dispatch.put(replace(row, due_at=due))
        turn.set_timer(RetryDue(message_id=row.message_id), id=_timer(row), key=row.contact_point_id, due=due)

    def _end(
        self,
        turn: Turn[DeliveryStore],
        row: Dispatch,
        at: datetime,
        *,
        provider_message_id: str | None = None,
        error: ProviderError | None = None,
    ) -> None:
        """Report it and send the next of the line."""
        turn.store.dispatch.delete(row)
        turn.cancel_timer(_timer(row))
        report = DeliveryReported(
            message_id=row.message_id,
            conversation_id=row.conversation_id,
            contact_point_id=row.contact_point_id,
            status=MessageStatus.FAILED if error else MessageStatus.ACCEPTED,
            provider_message_id=provider_message_id,
            error=error,
            attempts=row.attempts,
            occurred_at=at,
        )
        turn.emit(report, key=row.contact_point_id, at=at, correlation=row.conversation_id)
        metrics.ENDED.labels(row.channel, report.status).observe(
            max((at - row.requested_at).total_seconds(), 0.0)
        )
        line = turn.store.line(row.contact_point_id)
        if line and line[0].state is State.WAITING:
            self._send(turn, line[0])


def _report_shown(turn: Turn[DeliveryStore], event: Event[MessageRequested]) -> None:
    """Web chat: visitors' sockets read `outbound` themselves, so being there is being accepted."""
    asked = event.data
    report = DeliveryReported(
        message_id=asked.message_id,
        conversation_id=asked.conversation_id,
        contact_point_id=asked.contact_point_id,
        status=MessageStatus.ACCEPTED,
        provider_message_id=asked.message_id,
        attempts=1,
        occurred_at=event.envelope.time,
    )
    turn.emit(report, key=asked.contact_point_id, at=event.envelope.time, correlation=asked.conversation_id)


def _retrying(row: Dispatch, fault: Fault) -> Dispatch:
    return replace(row, state=State.RETRYING, last_fault=_error(fault, retryable=True))


def _error(fault: Fault, *, retryable: bool) -> ProviderError:
    return ProviderError(code=fault.code, text=fault.text, retryable=retryable)


def _timer(row: Dispatch) -> str:
    return f"retry/{row.message_id}"
