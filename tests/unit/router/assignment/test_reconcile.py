"""A workspace that changed while nobody watched: agents gone, come back, smaller; queues gone; and no change at all."""

from dataclasses import replace

from libs.contracts.vocabulary import Channel, Presence
from services.router.assignment.domain.decisions import AgentChange, Queued
from tests.unit.router.assignment.pool import (
    SALES,
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


def crew() -> Pool:
    """ayu holds wki_1 and is offered wki_2; budi is available and full with wki_0."""
    pool = Pool(policy(spec("ayu", 2), spec("budi")))
    pool.available("budi")
    pool.request("wki_0")
    pool.take("budi")
    pool.available("ayu")
    pool.request("wki_1")
    pool.take("ayu")
    pool.request("wki_2")
    return pool


def test_an_offer_of_which_the_row_says_nothing_is_made_anew() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    pool.request("wki_1")
    pool.items["wki_1"] = replace(pool.items["wki_1"], agent_id="ayu", reservations=())
    pool.ledger.live["wki_1"].offered.clear()
    pool.reminders.clear()
    pool.rebuild()
    decisions = pool.beat("ayu")
    assert facts(decisions) == ["queued", "offered ayu"]
    assert only(decisions, Queued).reason == "offer_lost"


def test_an_unchanged_workspace_decides_nothing() -> None:
    pool = crew()
    pool.rebuild()
    assert every(pool.beat("ayu"), AgentChange) == []
    assert facts(pool.beat("ayu")) == []


def test_the_work_of_an_agent_who_was_deleted_goes_back_to_the_queue_at_once() -> None:
    pool = crew()
    since = pool.items["wki_1"].waiting_since
    pool.rebuild(policy(spec("budi", 2), version="v2"))
    decisions = pool.beat("budi")
    assert facts(decisions) == ["rescinded ayu", "queued", "offered budi", "queued"]
    queued = every(decisions, Queued)[0]
    assert (queued.reason, queued.explanation.policy_version) == ("agent_removed", "v2")
    assert pool.where("wki_1") == ("offered", "budi")
    assert pool.items["wki_1"].waiting_since == since
    gone = next(c for c in every(decisions, AgentChange) if c.agent.agent_id == "ayu")
    assert (gone.agent.presence, gone.agent.capacity, gone.load) == (Presence.OFFLINE, 0, 0)


def test_a_deleted_agent_is_refused() -> None:
    pool = crew()
    pool.rebuild(policy(spec("budi")))
    assert code(pool.presence("ayu", Presence.AVAILABLE)) == "unknown_agent"


def test_an_agent_deleted_and_created_again_gets_work_again() -> None:
    pool = crew()
    pool.rebuild(policy(spec("budi"), version="v2"))
    pool.beat("budi")
    gone_version = pool.agent("ayu").version
    pool.rebuild(policy(spec("ayu", 1), spec("budi"), version="v3"))
    pool.beat("budi")
    assert (pool.agent("ayu").presence, pool.agent("ayu").capacity) == (Presence.OFFLINE, 1)
    assert pool.agent("ayu").version > gone_version
    assert facts(pool.available("ayu")) == ["offered ayu"]


def test_the_wrap_up_of_a_deleted_agent_is_over() -> None:
    pool = crew()
    pool.withdraw("wki_0", wrap_up=True)
    pool.rebuild(policy(spec("ayu", 2)))
    assert facts(pool.beat("ayu")) == ["completed budi"]


def test_a_capacity_below_the_load_takes_nothing_away_and_gives_nothing_more() -> None:
    pool = crew()
    pool.take("ayu")
    pool.rebuild(policy(spec("ayu", 1), spec("budi")))
    pool.request("wki_3")
    assert pool.agent("ayu").capacity == 1
    assert [pool.where(i)[1] for i in ("wki_1", "wki_2", "wki_3")] == ["ayu", "ayu", None]
    assert facts(pool.withdraw("wki_1")) == ["completed ayu"]
    assert facts(pool.withdraw("wki_2")) == ["completed ayu", "offered ayu"]


def test_a_raised_capacity_is_used_at_once_and_told() -> None:
    pool = crew()
    pool.request("wki_3")
    pool.rebuild(policy(spec("ayu", 3), spec("budi")))
    decisions = pool.beat("budi")
    assert facts(decisions) == ["offered ayu"]
    assert only(decisions, AgentChange).agent.capacity == 3


def test_work_of_a_queue_that_is_gone_waits_until_somebody_serves_it_again() -> None:
    pool = Pool(policy(spec("ayu", queues=("old",))))
    pool.request("wki_1", queue="old")
    pool.rebuild(policy(spec("ayu"), version="v2"))
    pool.available("ayu")
    assert pool.where("wki_1") == ("queued", None)
    pool.rebuild(policy(spec("ayu", queues=("old",)), version="v3"))
    assert facts(pool.beat("ayu")) == ["offered ayu"]


def test_new_skills_match_waiting_work_at_the_first_sign_of_anybody() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    pool.request("wki_1", skills={"refund": 3})
    pool.rebuild(policy(spec("ayu", refund=3)))
    assert facts(pool.beat("ayu")) == ["offered ayu"]


def test_direct_work_for_an_agent_who_was_deleted_is_for_anybody() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi", queues=(SALES,))))
    pool.available("ayu")
    pool.request("wki_1", only_agent_id="budi")
    pool.rebuild(policy(spec("ayu")))
    assert facts(pool.beat("ayu")) == ["offered ayu"]


def test_a_pool_without_agents_keeps_its_work_and_says_why() -> None:
    pool = crew()
    pool.rebuild(policy())
    decisions = pool.request("wki_9")
    assert every(decisions, Queued)[-1].explanation.considered == 0
    assert sorted(pool.items) == ["wki_0", "wki_1", "wki_2", "wki_9"]
    assert {pool.where(i) for i in pool.items} == {("queued", None)}


def test_reservations_and_leases_go_on_after_a_takeover() -> None:
    pool = crew()
    pool.rebuild()
    pool.advance(seconds(29))
    assert code(pool.accept("ayu", pool.reservation("wki_2"))) == "ok"


def test_an_answer_to_an_ended_reservation_survives_a_takeover() -> None:
    pool = crew()
    reservation = pool.reservation("wki_2")
    pool.take("ayu")
    pool.rebuild()
    assert code(pool.accept("ayu", reservation)) == "ok"


def test_rejections_after_a_change_follow_the_new_workspace() -> None:
    pool = Pool(policy(spec("ayu")))
    pool.available("ayu")
    pool.rebuild(policy(spec("ayu", queues=(SALES,))))
    assert rejections(only(pool.request("wki_1"), Queued).explanation) == {"ayu": "not in queue billing"}


def test_work_for_one_agent_is_offered_when_a_new_limit_lets_them_take_it() -> None:
    tight = spec("ayu", capacity=2, caps={Channel.WHATSAPP: 1})
    pool = Pool(policy(tight))
    pool.available("ayu")
    pool.request("wki_1")
    pool.request("wki_2", only_agent_id="ayu")
    assert pool.where("wki_2") == ("queued", None)
    pool.rebuild(policy(spec("ayu", capacity=2), version="v2"))
    assert "offered ayu" in facts(pool.beat("ayu"))
