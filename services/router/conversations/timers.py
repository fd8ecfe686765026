"""This file lists what the flow wants to be reminded of."""

from libs.flow.flow import Timer


class SnoozeEnded(Timer):
    """A snoozed conversation is to come back."""

    name = "snooze_ended"
    conversation_id: str


class SilenceDue(Timer):
    """Nobody may have written in a held conversation for as long as its queue waits."""

    name = "silence_due"
    conversation_id: str


class ReceiptsLapsed(Timer):
    """Receipts came for a message that nobody reported in all this time: it is not ours."""

    name = "receipts_lapsed"
    lookup: str


def snooze_id(conversation_id: str) -> str:
    return f"snooze:{conversation_id}"


def silence_id(conversation_id: str) -> str:
    return f"silence:{conversation_id}"


def receipts_id(lookup: str) -> str:
    return f"receipts:{lookup}"
