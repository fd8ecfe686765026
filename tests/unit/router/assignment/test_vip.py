"""This file proves what being a VIP is worth to waiting work, and that it comes and goes with the tag."""

import pytest

from services.router.assignment.domain import inputs
from services.router.assignment.domain.decisions import Ignored
from services.router.assignment.domain.work import WorkItem
from tests.unit.router.assignment.pool import Pool, only, policy, seconds, spec


def item_of(pool: Pool, name: str) -> WorkItem:
    return pool.engine.book.items[name]


def test_without_a_setting_a_vip_waits_like_everybody_and_is_known_as_one() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.request("first")
    pool.advance(seconds(1))
    pool.request("vip", vip=True)
    assert (item_of(pool, "vip").vip, item_of(pool, "vip").priority) == (True, 0)
    pool.available("ayu")
    assert pool.take("ayu") == ["first"]


def test_a_vips_work_is_raised_above_its_queues_priority() -> None:
    pool = Pool(policy(spec("ayu"), vip_priority=2))
    pool.request("first", priority=1)
    pool.advance(seconds(1))
    pool.request("vip", vip=True)
    assert item_of(pool, "vip").priority == 2
    pool.available("ayu")
    assert pool.take("ayu") == ["vip"]


def test_a_conversation_that_is_tagged_while_it_waits_moves_ahead_and_back_again() -> None:
    pool = Pool(policy(spec("ayu"), vip_priority=2))
    pool.request("first")
    pool.advance(seconds(1))
    pool.request("second")
    pool.tell(inputs.Reprioritise("second", vip=True))
    assert [item.work_item_id for item in pool.engine.book.items.values() if item.vip] == ["second"]
    assert item_of(pool, "second").priority == 2
    assert only(pool.tell(inputs.Reprioritise("second", vip=True)), Ignored).reason == "no_change"
    pool.tell(inputs.Reprioritise("second", vip=False))
    assert (item_of(pool, "second").vip, item_of(pool, "second").priority) == (False, 0)
    pool.tell(inputs.Reprioritise("second", vip=True))
    pool.available("ayu")
    assert pool.take("ayu") == ["second"]


@pytest.mark.parametrize("least", [1, 5])
def test_what_an_escalation_raised_stays_when_the_tag_goes(least: int) -> None:
    pool = Pool(policy(spec("ayu"), vip_priority=2))
    pool.request("vip", vip=True)
    pool.tell(inputs.Reprioritise("vip", least_priority=least))
    assert item_of(pool, "vip").priority == least + 2
    pool.tell(inputs.Reprioritise("vip", vip=False))
    assert item_of(pool, "vip").priority == least


def test_a_raise_that_the_workspace_no_longer_has_is_taken_back_as_it_was_given() -> None:
    pool = Pool(policy(spec("ayu"), vip_priority=2))
    pool.request("vip", vip=True, priority=3)
    pool.rebuild(policy(spec("ayu"), vip_priority=9))
    pool.tell(inputs.Reprioritise("vip", vip=False))
    assert item_of(pool, "vip").priority == 3
