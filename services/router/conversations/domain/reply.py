"""This file says when a reply may be sent, and how long a conversation may sleep."""

from datetime import datetime, timedelta

from libs.contracts.vocabulary import Channel, ConversationState
from services.router.conversations.domain.conversation import Conversation
from services.router.conversations.domain.refusal import Code, Refusal

REPLY_WINDOW: dict[Channel, timedelta] = {Channel.WHATSAPP: timedelta(hours=24)}
"""How long after the customer's last message a free-form message may be sent (Meta: customer service window, error 131047)."""

LONGEST_TEXT = 65_536
"""Characters. WhatsApp takes 4,096, Telegram 4,096; what a provider refuses is its own word. This keeps records small."""


def refuse_reply(conversation: Conversation, text: str, has_more: bool, at: datetime) -> Refusal | None:
    """Why a reply at `at` cannot be sent; None where it can. `has_more`: it carries something besides the text.

    A snoozed conversation takes a reply and stays snoozed: whoever snoozed it waits for something else, and the
    customer's answer wakes it.
    """
    if conversation.state is ConversationState.RESOLVED:
        return Refusal(Code.RESOLVED, "the conversation is resolved")
    if not text.strip() and not has_more:
        return Refusal(Code.EMPTY, "a reply needs a text or something else to show")
    if len(text) > LONGEST_TEXT:
        return Refusal(Code.TOO_LONG, f"a reply has at most {LONGEST_TEXT} characters")
    window = REPLY_WINDOW.get(conversation.channel)
    wrote = conversation.customer_wrote_at
    if window is not None and (wrote is None or at - wrote > window):
        return Refusal(
            Code.WINDOW_CLOSED,
            f"{conversation.channel} takes replies for {window // timedelta(hours=1)} hours after the customer's last message",
        )
    return None


LONGEST_SNOOZE = timedelta(days=366)


def refuse_snooze(conversation: Conversation, until: datetime, at: datetime) -> Refusal | None:
    """Why a conversation cannot be snoozed at `at`; None where it can."""
    if conversation.state is ConversationState.RESOLVED:
        return Refusal(Code.RESOLVED, "the conversation is resolved")
    if until <= at:
        return Refusal(Code.UNTIL_PAST, "the end of the snooze is past")
    if until - at > LONGEST_SNOOZE:
        return Refusal(Code.UNTIL_FAR, f"a snooze lasts at most {LONGEST_SNOOZE.days} days")
    return None
