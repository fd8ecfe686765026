"""This file invents what happens in a contact centre for an hour, and counts it afterwards the plain way."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from libs.contracts.payloads import assignments as a
from libs.contracts.payloads import conversations as c
from libs.contracts.payloads import sla as s
from libs.contracts.topics import partition_of, topic_map, topic_of_type
from libs.contracts.vocabulary import Channel, Metric

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
QUEUES = ("support", "sales")
CHANNELS = (Channel.WHATSAPP, Channel.WEBCHAT)
WHY = a.Explanation(policy="p", policy_version="1", strategy="s")
Told = c.ConversationEvent | a.WorkEvent | s.ClockEvent


def story(random: Random, *, conversations: int, start: datetime = START, span: timedelta) -> list[Told]:
    """Events of that many conversations in the order of their time, all in [start, start + span)."""
    told = [e for _ in range(conversations) for e in _conversation(random, start, span)]
    return sorted((e for e in told if e.occurred_at < start + span), key=lambda e: e.occurred_at)


def _conversation(random: Random, start: datetime, span: timedelta) -> list[Told]:
    name = f"{random.getrandbits(48):012x}"
    ids: dict[str, Any] = {"conversation_id": f"cnv_{name}", "contact_point_id": f"cpt_{name}"}
    queue, at = random.choice(QUEUES), start + random.random() * span
    if random.random() < 0.2:
        at = at.replace(microsecond=0)
    told: list[Told] = [
        c.ConversationOpened(
            **ids,
            contact_id=f"con_{name}",
            inbox_id="inbox",
            version=1,
            occurred_at=at,
            channel=random.choice(CHANNELS),
            queue=queue,
            pool="main",
        )
    ]
    while True:
        part, at, ending = _work(random, ids, queue, at, f"wki_{name}_{len(told)}")
        told += part
        if ending != "transferred":
            break
        queue = random.choice(QUEUES)
    return told + _clock(random, ids, queue, told[0].occurred_at, f"clk_{name}")


def _work(
    random: Random, ids: dict[str, Any], queue: str, at: datetime, item: str
) -> tuple[list[Told], datetime, str]:
    told: list[Told] = []
    since = at

    def base() -> dict[str, Any]:
        known = {"work_item_id": item, "pool": "main", "queue": queue, "occurred_at": at}
        return ids | known | {"version": len(told) + 1}

    told.append(a.WorkQueued(**base(), waiting_since=since, reason="requested", explanation=WHY))
    while True:
        at += timedelta(seconds=random.choice((0, 1, random.expovariate(1 / 60))))
        offer = {"reservation_id": f"rsv_{len(told)}", "agent_id": "ayu"}
        match random.choice(("decline", "take", "take", "cancel", "stay")):
            case "decline":
                told.append(
                    a.ReservationOffered(
                        **base(), **offer, expires_at=at, waiting_since=since, explanation=WHY
                    )
                )
                told.append(a.ReservationDeclined(**base(), **offer))
            case "take":
                told.append(
                    a.WorkAssigned(**base(), agent_id="ayu", waited_seconds=(at - since).total_seconds())
                )
                at += timedelta(seconds=random.expovariate(1 / 120))
                if random.random() < 0.3:
                    told.append(a.WorkQueued(**base(), waiting_since=since, reason="lost", explanation=WHY))
                    continue
                told.append(a.WorkWrapping(**base(), agent_id="ayu", until=at))
                told.append(a.WorkCompleted(**base(), agent_id="ayu", reason="resolved"))
                return told, at, "completed"
            case "cancel":
                reason = random.choice(("resolved", "snoozed", "transferred"))
                told.append(a.WorkCancelled(**base(), reason=reason))
                return told, at, reason
            case _:
                return told, at, "waits"


def _clock(random: Random, ids: dict[str, Any], queue: str, started_at: datetime, clock: str) -> list[Told]:
    due = started_at + timedelta(seconds=90)
    told: list[Told] = []
    known: dict[str, Any] = {"clock_id": clock, "policy": "standard", "queue": queue}
    known |= {"started_at": started_at, "due_at": due}
    known["metric"] = random.choice((Metric.FIRST_RESPONSE,) * 4 + (Metric.RESOLUTION,))

    def base(at: datetime) -> dict[str, Any]:
        return ids | known | {"occurred_at": at, "version": len(told) + 1}

    told.append(s.ClockStarted(**base(started_at), target_seconds=90))
    way = random.choice(("met", "exactly", "late", "corrected", "breached", "cancelled", "runs"))
    if way in ("late", "corrected", "breached"):
        told.append(s.ClockBreached(**base(due)))
    match way:
        case "met":
            told.append(s.ClockMet(**base(started_at + random.random() * (due - started_at))))
        case "exactly":
            told.append(s.ClockMet(**base(due)))
        case "late":
            told.append(s.ClockMet(**base(due + timedelta(seconds=random.expovariate(1 / 60)))))
        case "corrected":
            told.append(s.ClockMet(**base(due - timedelta(seconds=5)), corrects_breach=True))
        case "cancelled":
            told.append(s.ClockCancelled(**base(started_at + timedelta(seconds=9)), reason="resolved"))
        case _:
            pass
    return told


def as_read(random: Random, told: Sequence[Told]) -> list[Told]:
    """The events in one of the orders in which a reader of the log may get them: a partition of a topic in its order, the
    partitions and topics anyhow, and here and there a stretch again."""
    logs: dict[tuple[str, int], list[Told]] = defaultdict(list)
    for event in told:
        place = partition_of(event.contact_point_id.encode(), topic_map().partitions)
        logs[topic_of_type()[event.type].name, place].append(event)
    read: list[Told] = []
    while logs:
        slot = random.choice(list(logs))
        count = random.randint(1, 4)
        read += logs[slot][:count]
        again = random.random() < 0.1
        logs[slot] = logs[slot] if again else logs[slot][count:]
        if not logs[slot]:
            del logs[slot]
    return read


def batch(told: Iterable[Told], at: datetime) -> dict[tuple[str, str], dict[str, Any]]:
    """(queue, channel) -> figures, over the whole list at once."""
    channels = {e.conversation_id: e.channel.value for e in told if isinstance(e, c.ConversationOpened)}
    found: list[tuple[tuple[str, str], str, datetime, float]] = []
    waits: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    items: dict[str, list[Any]] = defaultdict(list)
    for event in told:
        items[getattr(event, "work_item_id", "") or getattr(event, "clock_id", "")].append(event)
    items.pop("", None)
    for name, events in items.items():
        events.sort(key=lambda e: e.version)
        first, last = events[0], events[-1]

        def say(what: str, event: Any, when: datetime, worth: float = 1) -> None:
            found.append(((event.queue, channels[event.conversation_id]), what, when, worth))

        if name.startswith("clk_"):
            if first.metric is not Metric.FIRST_RESPONSE:
                continue
            if isinstance(last, s.ClockMet) and last.occurred_at <= last.due_at:
                say("within_target", last, last.occurred_at)
            elif any(isinstance(e, s.ClockBreached) for e in events):
                say("missed_target", last, last.due_at)
            continue
        say("offered", first, first.waiting_since)
        assigned = [e for e in events if isinstance(e, a.WorkAssigned)]
        if assigned:
            say("answered", assigned[0], assigned[0].occurred_at)
            say("waited", assigned[0], assigned[0].occurred_at, assigned[0].waited_seconds)
        if isinstance(last, a.WorkCancelled) and last.reason == "resolved":
            say("abandoned", last, last.occurred_at)
        if isinstance(last, (a.WorkQueued, a.ReservationOffered, a.ReservationDeclined)):
            waits[last.queue, channels[last.conversation_id]].append(first.waiting_since)
    result: dict[tuple[str, str], dict[str, Any]] = {}
    for key in {k for k, *_ in found} | set(waits):
        figures: dict[str, Any] = {"waiting": len(waits[key]), "oldest": min(waits[key], default=None)}
        for seconds in (300, 1800):
            since = at - timedelta(seconds=seconds)
            here = [(what, worth) for k, what, when, worth in found if k == key and since <= when < at]
            for figure in ("offered", "answered", "abandoned", "within_target", "missed_target"):
                figures[f"{figure}_{seconds}"] = sum(1 for what, _ in here if what == figure)
            waited = [worth for what, worth in here if what == "waited"]
            figures[f"speed_{seconds}"] = round(sum(waited) / len(waited), 6) if waited else None
        result[key] = figures
    return result
