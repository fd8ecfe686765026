"""Units that are free although the work is held: silent conversations, and wrap-ups that take none."""

from services.router.assignment.domain.decisions import AgentChange, Idled
from tests.unit.router.assignment.pool import BILLING, Pool, facts, only, policy, seconds, spec


def held() -> Pool:
    """ayu, of capacity 1, holds wki_1; wki_2 waits."""
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.request("wki_2")
    return pool


def test_a_silent_conversation_makes_room_and_stays_with_its_holder() -> None:
    pool = held()
    since = pool.now - seconds(600)
    decisions = pool.silent("ayu", "wki_1", since)
    assert facts(decisions) == ["idled ayu", "offered ayu"]
    assert only(decisions, Idled).since == since
    change = only(decisions, AgentChange)
    assert (change.load, change.work_item_ids) == (1, ("wki_1", "wki_2"))
    assert pool.where("wki_1") == ("assigned", "ayu")


def test_a_woken_conversation_takes_its_units_again_above_the_capacity() -> None:
    pool = held()
    pool.silent("ayu", "wki_1")
    pool.take("ayu")
    pool.request("wki_3")
    assert facts(pool.resume("wki_1")) == ["woken ayu"]
    assert pool.engine.book.load("ayu") == 2
    assert facts(pool.withdraw("wki_2")) == ["completed ayu"]
    assert facts(pool.withdraw("wki_1")) == ["completed ayu", "offered ayu"]


def test_falling_silent_twice_or_waking_what_is_awake_changes_nothing() -> None:
    pool = held()
    assert facts(pool.resume("wki_1")) == []
    pool.silent("ayu", "wki_1")
    assert facts(pool.silent("ayu", "wki_1")) == []
    assert facts(pool.resume("wki_9")) == []


def test_a_silence_under_another_holder_is_not_this_ones() -> None:
    pool = held()
    assert facts(pool.silent("budi", "wki_1")) == []
    assert facts(pool.silent("ayu", "wki_2")) == []


def test_idle_work_of_a_lost_agent_goes_back_like_any_other() -> None:
    pool = held()
    pool.silent("ayu", "wki_1")
    pool.tell_lost("ayu")
    assert {pool.where(name) for name in ("wki_1", "wki_2")} == {("queued", None)}
    assert not pool.items["wki_1"].released


def test_idle_work_that_is_resolved_wraps_up_without_units() -> None:
    pool = held()
    pool.silent("ayu", "wki_1")
    pool.take("ayu")
    assert facts(pool.withdraw("wki_1", wrap_up=True)) == ["wrapping ayu"]
    assert pool.engine.book.load("ayu") == 1


def test_idle_work_that_is_forced_on_another_takes_units_there() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.silent("ayu", "wki_1")
    pool.available("budi")
    pool.force("budi", "wki_1")
    assert [pool.engine.book.load(name) for name in ("ayu", "budi")] == [0, 1]


def test_a_wrap_up_that_releases_makes_room_at_once() -> None:
    pool = Pool(policy(spec("ayu"), wrap_up_releases=frozenset({BILLING})))
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.request("wki_2")
    assert facts(pool.withdraw("wki_1", wrap_up=True)) == ["wrapping ayu", "offered ayu"]
    assert pool.engine.book.load("ayu") == 1
    assert facts(pool.complete("ayu", "wki_1")) == ["completed ayu"]


def test_what_is_released_is_known_after_a_takeover() -> None:
    pool = held()
    pool.silent("ayu", "wki_1")
    pool.rebuild()
    assert pool.engine.book.load("ayu") == 1
    assert facts(pool.resume("wki_1")) == ["woken ayu"]
