"""Caps by channel, and channels that interrupt others: one conversation above the capacity, never two."""

from collections.abc import Mapping

import pytest

from libs.contracts.vocabulary import Channel
from services.router.assignment.domain.capacity import Limits, Load
from services.router.assignment.domain.decisions import Queued
from tests.unit.router.assignment.pool import Pool, facts, only, policy, rejections, spec

WHATSAPP, WEBCHAT, CUSTOM = Channel.WHATSAPP, Channel.WEBCHAT, Channel.CUSTOM
MAIL_YIELDS = {CUSTOM: frozenset({WEBCHAT})}


def load(**held: tuple[int, int]) -> Load:
    """channel=(conversations, units each)"""
    made = Load()
    for channel, (conversations, units) in held.items():
        for _ in range(conversations):
            made.add(Channel(channel), units)
    return made


@pytest.mark.parametrize(
    ("capacity", "caps", "held", "channel", "units", "words"),
    [
        (2, {}, load(whatsapp=(1, 1)), WHATSAPP, 1, None),
        (2, {}, load(whatsapp=(2, 1)), WHATSAPP, 1, "capacity 2/2"),
        (3, {}, load(whatsapp=(2, 1)), WEBCHAT, 2, "capacity 2/3, 2 needed"),
        (5, {WHATSAPP: 2}, load(whatsapp=(2, 1)), WHATSAPP, 1, "cap whatsapp 2/2"),
        (5, {WHATSAPP: 2}, load(whatsapp=(2, 1)), WEBCHAT, 1, None),
        (5, {WHATSAPP: 0}, load(), WHATSAPP, 1, "cap whatsapp 0/0"),
        # full of what yields: one more
        (2, {}, load(custom=(2, 1)), WEBCHAT, 1, None),
        (2, {}, load(custom=(2, 1)), WHATSAPP, 1, "capacity 2/2"),
        (2, {}, load(custom=(1, 1), webchat=(1, 1)), WEBCHAT, 1, None),
        (2, {}, load(webchat=(2, 1)), WEBCHAT, 1, "capacity 2/2"),
        # above the capacity already: nothing more
        (2, {}, load(custom=(2, 1), webchat=(1, 1)), WEBCHAT, 1, "capacity 3/2"),
        (0, {}, load(), WEBCHAT, 1, "capacity 0/0"),
        (2, {WEBCHAT: 0}, load(custom=(2, 1)), WEBCHAT, 1, "cap webchat 0/0"),
    ],
)
def test_what_fits(
    capacity: int, caps: Mapping[Channel, int], held: Load, channel: Channel, units: int, words: str | None
) -> None:
    limits = Limits(capacity, caps, MAIL_YIELDS)
    assert limits.shortage(held, channel, units) == words
    if words is None:
        assert limits.may_fit_more(held)


def test_a_load_is_what_was_added_less_what_was_removed() -> None:
    held = load(custom=(2, 1), webchat=(1, 2))
    held.remove(CUSTOM, 1)
    held.remove(WEBCHAT, 2)
    assert (held, held.conversations(WEBCHAT)) == (load(custom=(1, 1)), 0)


def test_an_agent_at_the_cap_of_a_channel_gets_work_of_others() -> None:
    pool = Pool(policy(spec("ayu", 5, caps={WHATSAPP: 1})))
    pool.available("ayu")
    pool.request("wki_1")
    queued = only(pool.request("wki_2"), Queued)
    assert rejections(queued.explanation) == {"ayu": "cap whatsapp 1/1"}
    assert facts(pool.request("wki_3", channel=WEBCHAT)) == ["queued", "offered ayu"]
    pool.take("ayu")
    assert facts(pool.withdraw("wki_1")) == ["completed ayu", "offered ayu"]


def busy_with_mail() -> Pool:
    pool = Pool(policy(spec("ayu", 2), interruptible=MAIL_YIELDS))
    pool.available("ayu")
    for number in (1, 2):
        pool.request(f"mail_{number}", channel=CUSTOM)
    pool.take("ayu")
    return pool


def test_who_is_full_of_work_that_yields_takes_one_conversation_more() -> None:
    pool = busy_with_mail()
    assert facts(pool.request("chat_1", channel=WEBCHAT)) == ["queued", "offered ayu"]
    second = only(pool.request("chat_2", channel=WEBCHAT), Queued)
    assert rejections(second.explanation) == {"ayu": "capacity 3/2"}
    pool.take("ayu")
    assert facts(pool.withdraw("chat_1")) == ["completed ayu", "offered ayu"]


def test_what_yields_does_not_interrupt_itself() -> None:
    assert facts(busy_with_mail().request("mail_3", channel=CUSTOM)) == ["queued"]


def test_nothing_is_interrupted_while_somebody_has_room() -> None:
    pool = Pool(policy(spec("ayu", 1), spec("budi", 1), interruptible=MAIL_YIELDS))
    pool.available("ayu")
    pool.request("mail_1", channel=CUSTOM)
    pool.take("ayu")
    pool.available("budi")
    pool.request("mail_2", channel=CUSTOM)
    pool.take("budi")
    pool.withdraw("mail_2")
    assert facts(pool.request("chat_1", channel=WEBCHAT)) == ["queued", "offered budi"]
    assert facts(pool.request("chat_2", channel=WEBCHAT)) == ["queued", "offered ayu"]


def test_who_falls_below_full_by_an_end_takes_what_waits_in_its_order() -> None:
    pool = busy_with_mail()
    pool.request("chat_1", channel=WEBCHAT)
    pool.take("ayu")
    pool.request("mail_3", channel=CUSTOM)
    assert facts(pool.withdraw("mail_1")) == ["completed ayu"]
    assert facts(pool.withdraw("mail_2")) == ["completed ayu", "offered ayu"]
