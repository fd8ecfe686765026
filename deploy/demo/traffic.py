"""This file lets customers write at a steady rate, whatever the system does: openings, and what answers bring."""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from deploy.demo.customers import PATIENCE, Crowd, Customer
from deploy.demo.ledger import Incoming, Ledger
from deploy.demo.organisation import CUSTOM, TELEGRAM, WEBCHAT, WHATSAPP, Organisation
from deploy.demo.posting import Posting, Webhook
from deploy.demo.shapes import CustomShape, Numbers, Said, TelegramShape, WhatsAppShape
from deploy.demo.visitors import Visitors
from libs.contracts.vocabulary import Channel

MIX = {Channel.WHATSAPP: 0.5, Channel.TELEGRAM: 0.2, Channel.WEBCHAT: 0.2, Channel.CUSTOM: 0.1}
INBOX = {
    Channel.WHATSAPP: WHATSAPP,
    Channel.TELEGRAM: TELEGRAM,
    Channel.WEBCHAT: WEBCHAT,
    Channel.CUSTOM: CUSTOM,
}
BATCHES = 0.15
"""Share of WhatsApp webhooks that carry messages of several customers."""
COME_BACK = 0.05
"""Share of customers who write once more after they were content."""
PICTURES, PLACES = 0.06, 0.03


@dataclass(order=True)
class _Next:
    """Something a customer will say at `due`."""

    due: float
    order: int
    customer: Customer = field(compare=False)
    text: str = field(compare=False)


class Traffic:
    """Open loop: message number n is due at start + n / rate, and its latency counts from then."""

    def __init__(
        self,
        organisation: Organisation,
        ledger: Ledger,
        posting: Posting,
        visitors: Visitors,
        numbers: Numbers,
        rng: random.Random,
        *,
        run: int,
    ) -> None:
        self.customers: dict[tuple[Channel, str], Customer] = {}
        self._ledger, self._posting, self._visitors = ledger, posting, visitors
        self._numbers, self._rng = numbers, rng
        self._crowd = Crowd([(c, INBOX[c]) for c in MIX], list(MIX.values()), rng, run)
        self._meta = WhatsAppShape(
            organisation.secret(WHATSAPP, "app_secret"), organisation.secret(WHATSAPP, "phone_number_id")
        )
        self._telegram = TelegramShape(organisation.secret(TELEGRAM, "secret_token"))
        self._custom = CustomShape(organisation.secret(CUSTOM, "signing_key"))
        self._waiting: list[_Next] = []
        self._order = count()
        self._ended = False

    async def run(self, rate: float, until: Callable[[], bool]) -> None:
        """Write `rate` messages a second until told to end; answers that come later stay unanswered."""
        start, sent = time.monotonic(), 0
        while not until():
            due = start + sent / rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            sent += self._say_something(due)
        self._ended = True

    def answered(self, channel: Channel, address: str) -> None:
        """An answer of the shop reached a customer, who may have more to say."""
        customer = self.customers.get((channel, address))
        if customer is None or self._ended:
            return
        text, wait = customer.reply(), self._rng.uniform(*PATIENCE)
        if text is None and self._rng.random() < COME_BACK:
            text, wait = customer.comes_back(), wait + self._rng.uniform(2, 6)
        if text is not None:
            heapq.heappush(self._waiting, _Next(time.monotonic() + wait, next(self._order), customer, text))

    def _say_something(self, due: float) -> int:
        """One webhook; returns how many messages were in it."""
        if self._waiting and self._waiting[0].due <= time.monotonic():
            following = heapq.heappop(self._waiting)
            self._say(following.customer, [following.text], due)
            return 1
        customer = self._newcomer()
        if customer.channel is Channel.WHATSAPP and self._rng.random() < BATCHES:
            group = [customer, *(self._newcomer(Channel.WHATSAPP) for _ in range(self._rng.randint(1, 4)))]
            messages = [self._whatsapp_message(one, one.opening()) for one in group]
            self._post_whatsapp(messages, due)
            return len(group)
        self._say(customer, [customer.opening()], due)
        return 1

    def _newcomer(self, channel: Channel | None = None) -> Customer:
        customer = self._crowd.newcomer(channel)
        self.customers[customer.channel, customer.person.address] = customer
        return customer

    def _say(self, customer: Customer, texts: list[str], due: float) -> None:
        match customer.channel:
            case Channel.WHATSAPP:
                self._post_whatsapp([self._whatsapp_message(customer, text) for text in texts], due)
            case Channel.TELEGRAM:
                for text in texts:
                    self._post_telegram(customer, text, due)
            case Channel.CUSTOM:
                said = [
                    Said(customer.person, self._numbers.item("tanya"), datetime.now(UTC), text)
                    for text in texts
                ]
                noted = [self._note(CUSTOM, one, one.provider_message_id, due) for one in said]
                self._posting.post(Webhook(CUSTOM, self._custom.messages(said), self._custom.headers, noted))
            case _:
                for text in texts:
                    self._visitors.say(customer, text, due)

    def _whatsapp_message(self, customer: Customer, text: str) -> Said:
        return Said(customer.person, self._numbers.wamid(), datetime.now(UTC), text, self._kind())

    def _post_whatsapp(self, said: list[Said], due: float) -> None:
        noted = [self._note(WHATSAPP, one, one.provider_message_id, due) for one in said]
        self._posting.post(Webhook(WHATSAPP, self._meta.messages(said), self._meta.headers, noted))

    def _post_telegram(self, customer: Customer, text: str, due: float) -> None:
        number, update = self._numbers.in_chat(customer.person.address), self._numbers.update()
        said = Said(customer.person, number, datetime.now(UTC), text, self._kind())
        noted = self._note(TELEGRAM, said, str(update), due)
        self._posting.post(
            Webhook(TELEGRAM, self._telegram.update(update, said), self._telegram.headers, [noted])
        )

    def _note(self, inbox: str, said: Said, item_id: str, due: float) -> Incoming:
        message = Incoming(inbox, said.person.address, said.provider_message_id, item_id, said.text, due)
        self._ledger.said(message)
        return message

    def _kind(self) -> str:
        roll = self._rng.random()
        return "image" if roll < PICTURES else "location" if roll < PICTURES + PLACES else "text"
