"""This file makes up a month of conversations: office hours and others, answers, reopenings, pauses, answers that come late."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from libs.contracts.payloads.conversations import ConversationEvent
from libs.flow.harness import START
from libs.workspace import Calendar, Holidays, Pool, Queue, SlaPolicy, Span, Workspace
from tests.flows.sla_offline import Logged
from tests.unit.sla.story import BOT, Talk

OFFICE = Calendar(
    "office",
    "Asia/Jakarta",
    ((Span(480, 720), Span(780, 1020)),) * 5 + ((Span(480, 720),), ()),
    Holidays("ID"),
)
WORKSPACE = Workspace(
    id="shop",
    version="v1",
    pools={"support": Pool("support")},
    calendars={"office": OFFICE},
    queues={
        "general": Queue("general", "support", sla="office"),
        "quick": Queue("quick", "support", sla="always"),
        "free": Queue("free", "support"),
    },
    sla_policies={
        "office": SlaPolicy("office", first_response=timedelta(minutes=30), next_response=timedelta(minutes=45),
                            resolution=timedelta(hours=16), warn_at=(0.5, 0.8), calendar="office"),
        "always": SlaPolicy("always", first_response=timedelta(minutes=5), next_response=timedelta(minutes=10),
                            resolution=timedelta(hours=8), warn_at=(0.8,)),
    },
)  # fmt: skip
DAYS = 30
LONGEST_DELAY = timedelta(hours=3)
"""Between what a person said and its record; far below a day, after which it would not be counted from then any more."""


class Month:
    """Conversations, each with its events in the order of the log."""

    def __init__(self, seed: int, conversations: int) -> None:
        self._dice = random.Random(seed)
        self.talks = [self._talk(f"{seed}-{number}") for number in range(conversations)]

    def _talk(self, name: str) -> list[Logged]:
        dice = self._dice
        talk = Talk(name, dice.choices(["general", "quick", "free"], [6, 3, 1])[0])
        now, log = self._beginning(), list[Logged]()

        def say(make: Callable[[datetime], ConversationEvent], late: timedelta = timedelta(0)) -> None:
            occurred = max(now - late, START)
            log.append(Logged(now + timedelta(microseconds=dice.randrange(1, 2_000_000)), make(occurred)))

        def later(minutes: float) -> datetime:
            last = max([now, *(logged.recorded_at for logged in log)])
            return last + timedelta(seconds=dice.expovariate(1 / (60 * minutes)))

        say(talk.opened)
        say(talk.asked)
        for _ in range(dice.randrange(1, 7)):
            now = later(25)
            match dice.choices(["answer", "late answer", "ask", "late ask", "bot", "snooze", "resolve", "move", "on time"],
                               [8, 2, 5, 1, 1, 2, 3, 1, 1])[0]:  # fmt: skip
                case "answer":
                    say(talk.answered)
                case "late answer":
                    say(talk.answered, dice.random() * LONGEST_DELAY)
                case "ask":
                    say(talk.asked)
                case "late ask":
                    say(talk.asked, dice.random() * LONGEST_DELAY)
                case "bot":
                    say(lambda at: talk.answered(at, BOT))
                case "snooze":
                    say(talk.snoozed)
                    now = later(300)
                    say(talk.reopened)
                case "resolve":
                    say(talk.resolved)
                    if dice.random() < 0.5:
                        now = later(600)
                        say(talk.reopened)
                        say(talk.asked, dice.random() * LONGEST_DELAY)
                case "move":
                    say(lambda at: talk.transferred(at, "quick"))
                case "on time":  # at the very deadline of whoever asked last
                    now += timedelta(minutes=5)
                    say(talk.answered)
        if dice.random() < 0.8:
            now = later(200)
            say(talk.resolved)
        return _in_order(log)

    def _beginning(self) -> datetime:
        """Mostly in the office's hours: START is a Monday, 15:00 there."""
        day = START.replace(hour=0) + timedelta(days=self._dice.randrange(1, DAYS))
        hour = self._dice.uniform(1, 10) if self._dice.random() < 0.8 else self._dice.uniform(0, 24)
        return day + timedelta(seconds=round(hour * 3600))


def _in_order(log: list[Logged]) -> list[Logged]:
    """The log takes an event after the one before it."""
    found: list[Logged] = []
    for logged in log:
        at = logged.recorded_at
        if found and at <= found[-1].recorded_at:
            at = found[-1].recorded_at + timedelta(microseconds=1)
        found.append(Logged(at, logged.event))
    return found
