"""This file names the one deed of this service, and the reminders it sets itself."""

from datetime import datetime

from libs.contracts.payloads.base import Content
from libs.contracts.vocabulary import Channel
from libs.flow.flow import Effect, Timer


class SendMessage(Effect):
    """One attempt to hand a message to its provider."""

    name = "send_message"
    message_id: str
    contact_point_id: str
    inbox_id: str
    channel: Channel
    address: str
    content: Content
    reply_to: str | None = None
    requested_at: datetime


class RetryDue(Timer):
    """A message that was put off may be tried again."""

    name = "retry_due"
    message_id: str
