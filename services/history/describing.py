"""This file says what an event looks like on a timeline: its kind, one line for people, and the details worth keeping."""

from dataclasses import dataclass
from typing import Any

from libs.contracts.payloads import assignments as work
from libs.contracts.payloads import conversations as talk
from libs.contracts.payloads import identity, sla
from libs.contracts.payloads.base import Author, Content, Payload
from libs.contracts.vocabulary import ContentKind, EntryKind

LINE = 200
"""Characters of the line for people; the whole text is in the content."""

ELSEWHERE = {
    "contact_id",
    "contact_point_id",
    "conversation_id",
    "occurred_at",
    "message_id",
    "author",
    "by",
    "content",
}
"""Fields that have a column of their own."""


@dataclass(frozen=True, slots=True)
class Description:
    kind: EntryKind
    text: str
    author: Author | None = None
    content: Content | None = None


def details_of(event: Payload) -> dict[str, Any]:
    """What has no column of its own. Of a decision's candidates only their number is kept: the router keeps them all."""
    exclude: dict[str, Any] = dict.fromkeys(ELSEWHERE, True)
    if isinstance(event, talk.NoteAdded):
        exclude["text"] = True
    if vars(event).get("explanation") is not None:
        exclude["explanation"] = {"candidates"}
    return event.model_dump(mode="json", exclude=exclude, exclude_none=True)


def line(text: str) -> str:
    """On one line, cut where it is long."""
    joined = " ".join(text[: LINE * 4].split())
    return joined if len(joined) <= LINE else joined[: LINE - 1] + "…"


def describe(event: Payload) -> Description:
    match event:
        case talk.MessageReceived() | talk.MessageQueued():
            said = event.content.text or f"[{event.content.kind}]"
            return Description(EntryKind.MESSAGE, line(said), event.author, event.content)
        case talk.NoteAdded():
            note = Content(kind=ContentKind.TEXT, text=event.text)
            return Description(EntryKind.NOTE, line(event.text), event.author, note)
        case talk.MessageEdited():
            what = "Message edited" if event.content else "Message withdrawn"
            return Description(EntryKind.STATUS, what, content=event.content)
        case talk.MessageStatusChanged() | talk.MessageReacted():
            return Description(EntryKind.STATUS, line(_became_of_message(event)))
        case talk.ConversationEvent() | talk.CommandRefused():
            return Description(EntryKind.CONVERSATION, line(_conversation(event)), vars(event).get("by"))
        case work.WorkEvent():
            return Description(EntryKind.ASSIGNMENT, line(_work(event)))
        case sla.ClockEvent():
            return Description(EntryKind.SLA, line(_clock(event)))
        case _:
            return Description(EntryKind.IDENTITY, line(_identity(event)))


def _became_of_message(event: talk.MessageStatusChanged | talk.MessageReacted) -> str:
    if isinstance(event, talk.MessageReacted):
        return f"Reacted {event.emoji}" if event.emoji else "Reaction taken back"
    return f"Message {event.status}" + (f": {event.error.text or event.error.code}" if event.error else "")


def _conversation(event: Payload) -> str:
    match event:
        case talk.ConversationOpened():
            return f"Conversation opened in {event.queue}"
        case talk.ConversationReopened():
            return f"Conversation reopened in {event.queue}"
        case talk.ConversationResolved():
            return f"Conversation resolved{_because(event.reason)}"
        case talk.ConversationSnoozed():
            return f"Conversation snoozed until {event.until:%Y-%m-%d %H:%M %Z}"
        case talk.ConversationTransferred():
            return f"Conversation transferred to {event.agent_id or event.skill or event.queue}"
        case talk.ConversationTagged():
            return f"Tags: {', '.join(event.tags) or 'none'}"
        case talk.ConversationPrioritised():
            return f"Priority raised to {event.priority}"
        case talk.CommandRefused():
            return f"Command refused: {event.text or event.code}"
        case _:
            return _plainly(event)


def _work(event: work.WorkEvent) -> str:
    match event:
        case work.WorkQueued():
            return f"Waits in {event.queue}{_because(event.reason)}"
        case work.WorkAssigned():
            by = f" by {event.forced_by}" if event.forced_by else ""
            taken = f", taken over from {event.taken_over_from}" if event.taken_over_from else ""
            return f"Assigned to {event.agent_id}{by}{taken}"
        case work.WorkIdled():
            return f"Silent since {event.since:%Y-%m-%d %H:%M %Z}: takes no capacity of {event.agent_id}"
        case work.WorkWoken():
            return f"Goes on with {event.agent_id}"
        case work.WorkWrapping():
            return f"{event.agent_id} is wrapping up"
        case work.WorkCompleted():
            return f"Work completed{_because(event.reason)}"
        case work.WorkCancelled():
            return f"Work cancelled{_because(event.reason)}"
        case work.ReservationEvent():
            return f"{_plainly(event)}: {event.agent_id}"
        case _:
            return _plainly(event)


def _clock(event: sla.ClockEvent) -> str:
    metric = event.metric.replace("_", " ").capitalize()
    match event:
        case sla.ClockStarted():
            return f"{metric} due by {event.due_at:%Y-%m-%d %H:%M %Z}"
        case sla.ClockWarned():
            return f"{metric}: {event.fraction:.0%} of the time is used up"
        case sla.ClockRetargeted():
            return f"{metric} now due by {event.due_at:%Y-%m-%d %H:%M %Z}"
        case sla.ClockEscalated():
            return f"{metric} escalated: {_deeds(event)}"
        case sla.ClockBreached():
            return f"{metric} breached"
        case sla.ClockMet():
            return f"{metric} met" if event.occurred_at <= event.due_at else f"{metric} met late"
        case sla.ClockPaused() | sla.ClockCancelled():
            return f"{metric} {_verb(event)}{_because(event.reason)}"
        case _:
            return f"{metric} {_verb(event)}"


def _deeds(event: sla.ClockEscalated) -> str:
    told = {
        "priority": event.raise_priority,
        "queue": event.move_to_queue,
        "notified": ", ".join(event.notify) or None,
        "assigned to": event.assign_supervisor,
    }
    return ", ".join(f"{what} {whom}" for what, whom in told.items() if whom is not None)


def _identity(event: Payload) -> str:
    match event:
        case talk.ContactResolved():
            return f"Known as {event.name or event.address} on {event.channel}"
        case identity.ContactPointLinked():
            return f"Linked to {event.address} on {event.channel}"
        case identity.MergeSuggested():
            return f"May be the same person as {event.other_contact_id}{_because(event.reason)}"
        case _:
            return _plainly(event)


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _verb(event: Payload) -> str:
    """The past participle in the type's name."""
    return event.type.split(".")[1].replace("_", " ")


def _plainly(event: Payload) -> str:
    """A type that has no words of its own here, by its name: `conversation.merged.v1` is "Conversation merged"."""
    return f"{event.type.split('.')[0].replace('_', ' ').capitalize()} {_verb(event)}"
