"""This file says to which conversation of its contact point a message belongs."""

from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.vocabulary import ConversationState
from services.router.conversations.domain.conversation import Conversation


class Place(StrEnum):
    """`go_on`: the latest conversation, as it is; `reopen`: the latest, open again; `begin`: a new one."""

    GO_ON = "go_on"
    REOPEN = "reopen"
    BEGIN = "begin"


def place_of_message(latest: Conversation | None, at: datetime, window: timedelta) -> Place:
    """Where a customer's message of the time `at` goes.

    Exactly at the end of the window it still reopens. One that was written before the end of the conversation and
    arrives after it reopens too: no agent has seen it.
    """
    if latest is None or _is_over(latest, at, window):
        return Place.BEGIN
    return Place.GO_ON if latest.state is ConversationState.OPEN else Place.REOPEN


def place_of_echo(latest: Conversation | None, at: datetime, window: timedelta) -> Place:
    """Where a message goes that the business wrote in the provider's own app.

    It never asks for attention: it neither reopens nor wakes. Where there is nothing to go on with, it begins a
    conversation that is resolved at once, which the customer's answer reopens.
    """
    return Place.BEGIN if latest is None or _is_over(latest, at, window) else Place.GO_ON


def _is_over(latest: Conversation, at: datetime, window: timedelta) -> bool:
    ended = latest.resolved_at
    return latest.state is ConversationState.RESOLVED and ended is not None and at - ended > window
