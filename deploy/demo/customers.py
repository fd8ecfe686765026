"""This file is who writes to the shop: what they say first, what next, and when they are content."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.demo.shapes import Person
from deploy.demo.texts import BACK_AGAIN, FIRST_NAMES, LAST_NAMES, TOPICS, Topic
from libs.contracts.vocabulary import Channel

PATIENCE = (0.4, 2.5)
"""Seconds until a customer reacts to an answer, from and to."""


@dataclass
class Customer:
    """One person on one channel with one concern."""

    channel: Channel
    inbox: str
    person: Person
    topic: Topic
    order: str
    remaining: list[str] = field(default_factory=list)
    """What is left to say, one after each answer."""
    answers: int = 0

    def opening(self) -> str:
        return self.topic.opening.format(order=self.order)

    def reply(self) -> str | None:
        """What an answer of the agent brings; None when there is nothing more to say."""
        self.answers += 1
        return self.remaining.pop(0).format(order=self.order) if self.remaining else None

    def comes_back(self) -> str:
        """A further concern some time after the end."""
        return BACK_AGAIN.format(order=self.order)


class Crowd:
    """Makes customers, the same ones for the same seed. `run` keeps the addresses of one run apart from another's."""

    def __init__(
        self, inboxes: Sequence[tuple[Channel, str]], weights: Sequence[float], rng: random.Random, run: int
    ) -> None:
        self._inboxes, self._weights, self._rng, self._run = inboxes, weights, rng, run
        self._count = 0

    def newcomer(self, channel: Channel | None = None) -> Customer:
        """Somebody who never wrote before."""
        self._count += 1
        wanted = [pair for pair in self._inboxes if channel in (None, pair[0])]
        weights = [w for pair, w in zip(self._inboxes, self._weights, strict=True) if pair in wanted]
        medium, inbox = self._rng.choices(wanted, weights)[0]
        name = f"{self._rng.choice(FIRST_NAMES)} {self._rng.choice(LAST_NAMES)}"
        topic = self._rng.choice(TOPICS)
        said = self._rng.randint(0, len(topic.more))
        order = f"TN-{self._rng.randint(100_000, 999_999)}"
        return Customer(
            medium, inbox, Person(self._address(medium), name), topic, order, list(topic.more[:said])
        )

    def _address(self, channel: Channel) -> str:
        number = self._run * 1_000_000 + self._count
        match channel:
            case Channel.WHATSAPP:
                return f"62812{number:09}"
            case Channel.TELEGRAM:
                return str(500_000_000 + number)
            case _:
                return f"{channel}-{number}"
