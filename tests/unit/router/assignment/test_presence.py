"""Presence: what agents say, what heartbeats say, who is lost, and what becomes of their work."""

import pytest

from libs.contracts.vocabulary import Presence
from services.router.assignment.domain import inputs
from services.router.assignment.domain.decisions import AgentChange, Queued
from tests.unit.router.assignment.pool import (
    Pool,
    code,
    every,
    facts,
    only,
    policy,
    rejections,
    seconds,
    spec,
)


def working(capacity: int = 1) -> Pool:
    """ayu holds wki_1; budi is available."""
    pool = Pool(policy(spec("ayu", capacity), spec("budi")))
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.available("budi")
    return pool


def keep_beating(pool: Pool, *agent_ids: str, times: int) -> list[str]:
    """Heartbeats every 15 s; returns what happened meanwhile."""
    happened: list[str] = []
    for _ in range(times):
        happened += facts(pool.advance(seconds(15)))
        pool.beat(*agent_ids)
    return happened


def test_heartbeats_keep_an_agent_connected_and_say_nothing() -> None:
    pool = working()
    before = len(pool.history)
    assert keep_beating(pool, "ayu", "budi", times=40) == []
    told = [d for *_, decisions in pool.history[before:] for d in decisions]
    assert every(told, AgentChange) == []
    assert pool.agent("ayu").presence is Presence.AVAILABLE


def test_a_heartbeat_is_written_at_most_every_half_lease() -> None:
    pool = working()
    written = 0
    for _ in range(20):
        pool.now += seconds(5)
        pool.engine.apply(inputs.Heartbeat("ayu"), at=pool.now, now=pool.now)
        written += len(pool.engine.take_changes().agents)
    assert written == 4


def test_an_agent_not_heard_from_for_a_lease_is_lost_at_the_end_of_the_lease() -> None:
    pool = working()
    keep_beating(pool, "budi", times=2)
    decisions = pool.advance(seconds(15))
    change = only(decisions, AgentChange)
    assert (change.agent.agent_id, change.agent.presence, change.agent.reason) == (
        "ayu",
        Presence.OFFLINE,
        "lost",
    )
    assert change.agent.since == pool.now
    assert facts(decisions) == []


def test_offers_of_a_lost_agent_are_rescinded_at_once() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi"), reservation_lease=seconds(120)))
    pool.available("ayu", "budi")
    pool.request("wki_1")
    keep_beating(pool, "budi", times=2)
    assert facts(pool.advance(seconds(15))) == ["rescinded ayu", "offered budi"]


def test_work_of_a_lost_agent_is_queued_again_after_the_grace_with_its_original_age() -> None:
    pool = working()
    since = pool.items["wki_1"].waiting_since
    assert keep_beating(pool, "budi", times=4) == []
    decisions = pool.advance(seconds(15))
    assert facts(decisions) == ["queued", "offered budi"]
    queued = only(decisions, Queued)
    assert queued.reason == "agent_lost"
    assert rejections(queued.explanation) == {"ayu": "offline (lost)", "budi": None}
    assert (pool.items["wki_1"].waiting_since, pool.items["wki_1"].last_agent_id) == (since, "ayu")


def test_coming_back_within_the_grace_keeps_the_work_and_the_presence() -> None:
    pool = working()
    assert keep_beating(pool, "budi", times=4) == []
    decisions = pool.beat("ayu")
    change = only(decisions, AgentChange)
    assert (change.agent.presence, change.agent.reason, change.work_item_ids) == (
        Presence.AVAILABLE,
        None,
        ("wki_1",),
    )
    assert keep_beating(pool, "ayu", "budi", times=10) == []
    assert pool.where("wki_1") == ("assigned", "ayu")


def test_coming_back_after_the_grace_finds_the_work_gone_and_is_available_again() -> None:
    pool = working()
    keep_beating(pool, "budi", times=6)
    pool.request("wki_2")
    assert facts(pool.beat("ayu")) == ["offered ayu"]
    assert pool.agent("ayu").presence is Presence.AVAILABLE


def test_a_break_is_kept_through_a_loss() -> None:
    pool = working()
    pool.presence("ayu", Presence.BREAK, "lunch")
    keep_beating(pool, "budi", times=4)
    pool.beat("ayu")
    assert (pool.agent("ayu").presence, pool.agent("ayu").reason) == (Presence.BREAK, "lunch")


def test_any_command_of_a_lost_agent_is_a_sign_of_life() -> None:
    pool = working()
    keep_beating(pool, "budi", times=4)
    assert code(pool.complete("ayu", "wki_1")) == "not_wrapping"
    assert pool.agent("ayu").presence is Presence.AVAILABLE
    assert pool.agent("ayu").lost_at is None


def test_a_lost_agent_who_sets_offline_is_not_lost_any_more_and_keeps_the_work() -> None:
    pool = working()
    keep_beating(pool, "budi", times=4)
    pool.presence("ayu", Presence.OFFLINE)
    assert keep_beating(pool, "budi", times=10) == []
    assert pool.where("wki_1") == ("assigned", "ayu")


def test_the_wrap_up_of_a_lost_agent_ends_by_itself() -> None:
    pool = working()
    pool.withdraw("wki_1", wrap_up=True)
    happened = keep_beating(pool, "budi", times=5)
    assert happened == ["completed ayu"]


@pytest.mark.parametrize("presence", [Presence.BREAK, Presence.BUSY, Presence.OFFLINE])
def test_leaving_available_rescinds_offers_and_keeps_assigned_work(presence: Presence) -> None:
    pool = working(capacity=2)
    pool.presence("budi", Presence.OFFLINE)
    pool.request("wki_2")
    assert pool.where("wki_2") == ("offered", "ayu")
    pool.available("budi")
    decisions = pool.presence("ayu", presence)
    assert facts(decisions) == ["rescinded ayu", "offered budi"]
    assert code(decisions) == "ok"
    assert pool.where("wki_1") == ("assigned", "ayu")


def test_an_agent_who_set_offline_has_no_lease_and_keeps_the_work_to_finish_it() -> None:
    pool = working()
    pool.presence("ayu", Presence.OFFLINE)
    assert keep_beating(pool, "budi", times=20) == []
    assert pool.where("wki_1") == ("assigned", "ayu")
    pool.beat("ayu")
    assert pool.agent("ayu").presence is Presence.OFFLINE


def test_with_everyone_on_break_work_waits_and_the_first_back_gets_the_oldest() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi")))
    pool.presence("ayu", Presence.BREAK)
    pool.presence("budi", Presence.BREAK)
    queued = only(pool.request("wki_1"), Queued)
    assert rejections(queued.explanation) == {"ayu": "break", "budi": "break"}
    pool.advance(seconds(5))
    pool.request("wki_2")
    assert facts(pool.available("budi")) == ["offered budi"]
    assert pool.where("wki_1") == ("offered", "budi")


def test_setting_the_same_presence_again_is_answered_and_changes_nothing() -> None:
    pool = working()
    before = pool.agent("budi")
    decisions = pool.presence("budi", Presence.AVAILABLE)
    assert code(decisions) == "ok"
    after = pool.agent("budi")
    assert (after.touched, after.since, after.version) == (before.touched, before.since, before.version + 1)


def test_a_presence_from_a_newer_writer_is_refused() -> None:
    pool = working()
    assert code(pool.presence("budi", Presence.UNKNOWN)) == "unknown_presence"
    assert pool.agent("budi").presence is Presence.AVAILABLE


def test_a_heartbeat_of_a_stranger_is_ignored() -> None:
    pool = working()
    assert every(pool.beat("stranger"), AgentChange) == []


def test_silence_that_this_system_slept_through_loses_nobody() -> None:
    pool = working()
    assert facts(pool.stall(seconds(3600))) == []
    assert pool.agent("ayu").presence is Presence.AVAILABLE
    assert keep_beating(pool, "ayu", "budi", times=4) == []
    assert pool.where("wki_1") == ("assigned", "ayu")


def test_an_agent_who_is_really_gone_after_such_a_silence_is_lost_a_lease_later() -> None:
    pool = working()
    pool.stall(seconds(3600))
    assert keep_beating(pool, "budi", times=4) == []
    assert pool.agent("ayu").reason == "lost"
    assert keep_beating(pool, "budi", times=1) == ["queued", "offered budi"]


def test_a_grace_that_ended_while_this_system_slept_begins_anew() -> None:
    pool = working()
    keep_beating(pool, "budi", times=3)
    assert pool.agent("ayu").reason == "lost"
    pool.stall(seconds(3600))
    pool.advance(seconds(29))
    assert pool.where("wki_1") == ("assigned", "ayu")
    pool.advance(seconds(1))
    assert pool.where("wki_1")[0] != "assigned"


def test_heartbeats_read_late_count_from_when_they_were_sent() -> None:
    pool = working()
    pool.now += seconds(40)
    pool.beat("ayu", at=pool.now - seconds(30))
    keep_beating(pool, "budi", times=1)
    assert pool.agent("ayu").reason == "lost"
    assert pool.agent("ayu").since == pool.now


def test_a_heartbeat_that_overtook_a_later_one_does_not_shorten_the_lease() -> None:
    pool = working()
    pool.now += seconds(20)
    pool.beat("ayu")
    beat_at = pool.agent("ayu").heartbeat_at
    pool.beat("ayu", at=pool.now - seconds(15))
    assert pool.agent("ayu").heartbeat_at == beat_at
