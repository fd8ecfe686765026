"""This file shows how agents of another pool get work: every message between two pools delivered by hand, and every race."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from libs.contracts.payloads.assignments import (
    ReservationOffered,
    WorkAssigned,
    WorkCompleted,
    WorkEvent,
    WorkIdled,
    WorkQueued,
    WorkReprioritised,
)
from libs.contracts.payloads.lending import WorkLent
from libs.contracts.vocabulary import Presence
from libs.workspace import Relaxation
from services.router.assignment.domain.decisions import Lending, Lent, Recalled
from services.router.assignment.domain.engine import Engine
from services.router.assignment.domain.inputs import Heartbeat
from services.router.assignment.metrics import _Waiting
from services.router.assignment.policies import policy_of
from tests.unit.router.assignment.pools import HOME, MINUTE, OTHER, THIRD, Pools, workspace

SECOND = timedelta(seconds=1)
E = TypeVar("E", bound=WorkEvent)


@pytest.fixture
def pools() -> Pools:
    """Citra of sales is there, nobody else."""
    made = Pools()
    made.presence("citra")
    return made


def only(facts: list[WorkEvent], kind: type[E]) -> E:
    (found,) = (fact for fact in facts if isinstance(fact, kind))
    return found


def kinds(facts: list[WorkEvent]) -> list[str]:
    return [fact.type.removesuffix(".v1") for fact in facts]


def settle(pools: Pools) -> list[WorkEvent]:
    facts = pools.deliver_all()
    assert pools.violations() == []
    assert pools.at_rest() == []
    return facts


def offered(pools: Pools, name: str = "wki_1", **values: Any) -> ReservationOffered:
    """To citra, after a minute."""
    pools.waits(name, **values)
    return only(settle(pools), ReservationOffered)


# -- the way that it goes ---------------------------------------------------------------------------------------------


def test_an_agent_of_the_other_pool_gets_the_work_once_the_step_joins_it(pools: Pools) -> None:
    pools.request("wki_1", skills={"refund": 3}, priority=2)
    assert kinds(pools.advance(MINUTE - SECOND)) == []
    relaxed = only(pools.advance(SECOND), WorkQueued)
    assert (relaxed.reason, relaxed.explanation.step) == ("relaxed", 1)
    assert relaxed.explanation.note == "agents of pool sales may take it too"
    offer = only(settle(pools), ReservationOffered)
    assert (offer.agent_id, offer.pool, offer.queue, offer.version) == ("citra", OTHER, "invoices", 3)
    assert (offer.explanation.note, offer.explanation.step) == ("lent by pool billing at step 1", 1)
    assert offer.waiting_since == pools.now - MINUTE
    assert pools.words() == ["lent billing>sales", "claimed sales>billing", "granted billing>sales"]
    assert only(pools.accept(offer), WorkAssigned).waited_seconds == 60
    assert pools.where("wki_1") == (OTHER, "assigned", "citra")


def test_capacity_is_held_and_nothing_is_offered_before_the_home_pool_grants_it(pools: Pools) -> None:
    pools.waits("wki_1")
    assert pools.load("citra") == 1
    assert pools.under_way() == ["claimed sales>billing"]
    assert kinds(pools.request("wki_2", "orders")) == ["work.queued"]
    assert kinds(pools.deliver(OTHER, HOME)) == []
    assert pools.load("citra") == 1
    assert kinds(pools.deliver(HOME, OTHER)) == ["reservation.offered"]
    settle(pools)


def test_agents_of_the_home_pool_stay_eligible(pools: Pools) -> None:
    pools.presence("citra", Presence.OFFLINE)
    pools.waits("wki_1")
    offer = only(pools.presence("budi"), ReservationOffered)
    assert (offer.agent_id, offer.pool) == ("budi", HOME)
    settle(pools)
    assert pools.item("wki_1", OTHER) is None
    pools.presence("citra")
    assert pools.load("citra") == 0


def test_an_agent_who_comes_later_claims_what_waits(pools: Pools) -> None:
    pools.presence("citra", Presence.OFFLINE)
    pools.waits("wki_1")
    assert pools.under_way() == []
    pools.presence("citra")
    assert only(settle(pools), ReservationOffered).agent_id == "citra"


def test_a_guest_stands_among_the_others_where_its_customers_wait_puts_it(pools: Pools) -> None:
    pools.presence("citra", Presence.OFFLINE)
    pools.request("wki_old", "orders", requested_at=pools.now - 9 * SECOND)
    pools.request("wki_1")
    pools.request("wki_new", "orders", requested_at=pools.now + SECOND)
    pools.advance(MINUTE - 2 * SECOND)
    pools.request("wki_young", "orders")
    pools.advance(2 * SECOND)
    settle(pools)
    pools.presence("citra")
    order = []
    for _ in range(3):
        settle(pools)
        offer = [f for f in pools.facts if isinstance(f, ReservationOffered)][-1]
        order.append(offer.work_item_id)
        pools.accept(offer)
        pools.withdraw(offer.work_item_id, HOME if offer.work_item_id == "wki_1" else OTHER)
        settle(pools)
    assert order == ["wki_old", "wki_1", "wki_new"]


def test_only_agents_with_the_skills_of_the_step_claim_it(pools: Pools) -> None:
    steps = pools.workspace.queues["invoices"].relax
    assert steps[0].skills == {"refund": 1}
    offer = offered(pools, skills={"refund": 3, "english": 0})
    assert offer.agent_id == "citra"
    pools.request("wki_2", skills={"english": 2})
    pools.advance(MINUTE)
    settle(pools)
    assert pools.where("wki_2") == (HOME, "queued", None)


def test_work_for_one_agent_alone_is_not_lent(pools: Pools) -> None:
    pools.request("wki_1", only_agent_id="ayu")
    pools.advance(3 * MINUTE)
    assert pools.words() == []


def test_the_queues_own_wrap_up_holds_in_the_other_pool(pools: Pools) -> None:
    pools.accept(offered(pools))
    pools.withdraw("wki_1", wrap_up=True)
    assert kinds(settle(pools)) == ["work.wrapping"]
    assert pools.where("wki_1") == (OTHER, "wrapping", "citra")
    assert only(pools.advance(MINUTE), WorkCompleted).agent_id == "citra"
    settle(pools)
    assert pools.item("wki_1", HOME) is None


def test_what_is_asked_at_home_reaches_the_pool_that_has_it(pools: Pools) -> None:
    pools.accept(offered(pools))
    pools.reprioritise("wki_1", 7)
    pools.silent("wki_1", "citra")
    assert only(settle(pools), WorkIdled).agent_id == "citra"
    assert pools.load("citra") == 0
    there, home = pools.item("wki_1", OTHER), pools.item("wki_1", HOME)
    assert there is not None
    assert home is not None
    assert there.priority == home.priority == 7
    pools.resume("wki_1")
    settle(pools)
    assert pools.load("citra") == 1
    pools.withdraw("wki_1", reason="transferred")
    assert only(settle(pools), WorkCompleted).reason == "transferred"
    assert pools.load("citra") == 0


def test_what_a_vip_is_worth_the_home_pool_says() -> None:
    of = workspace(vip_priority=3)
    pools = Pools(replace(of, pools={**of.pools, OTHER: replace(of.pools[OTHER], vip_priority=9)}))
    pools.presence("citra")
    offer = offered(pools, vip=True)
    assert offer.explanation.vip
    there = pools.item("wki_1", OTHER)
    assert there is not None
    assert there.priority == 3
    for vip, priority in ((False, 0), (True, 3)):
        asked = WorkReprioritised(work_item_id="wki_1", pool=HOME, vip=vip, occurred_at=pools.now)
        pools.give(asked, HOME)
        settle(pools)
        there = pools.item("wki_1", OTHER)
        assert there is not None
        assert (there.vip, there.priority) == (vip, priority)


# -- home again -------------------------------------------------------------------------------------------------------


def test_declined_work_waits_at_home_and_is_lent_again_but_not_to_who_declined_it(pools: Pools) -> None:
    offer = offered(pools)
    pools.presence("dewi", Presence.BUSY)
    assert kinds(pools.decline(offer)) == ["reservation.declined"]
    told = only(settle(pools), WorkQueued)
    assert (told.pool, told.reason, told.version) == (HOME, "declined", 5)
    assert pools.where("wki_1") == (HOME, "queued", None)
    assert pools.words()[3:] == ["returned sales>billing", "lent billing>sales"]
    pools.presence("dewi")
    assert only(settle(pools), ReservationOffered).agent_id == "dewi"


def test_a_decline_in_the_other_pool_is_remembered_at_home_and_lapses_there(pools: Pools) -> None:
    pools.decline(offered(pools))
    settle(pools)
    pools.advance(5 * MINUTE - SECOND)
    assert settle(pools) == []
    pools.advance(SECOND)
    assert only(settle(pools), ReservationOffered).agent_id == "citra"


def test_work_of_a_lost_agent_comes_home_with_its_age(pools: Pools) -> None:
    pools.accept(offered(pools))
    pools.advance(timedelta(days=1) + 31 * SECOND)
    facts = settle(pools)
    pool, state, agent = pools.where("wki_1")
    assert (pool, state, agent) == (HOME, "queued", None)
    assert [f.reason for f in pools.facts if isinstance(f, WorkQueued)][-2:] == ["agent_lost", "returned"]
    assert only(facts, WorkQueued).waiting_since == offered_since(pools)


def offered_since(pools: Pools) -> Any:
    return next(f for f in pools.facts if isinstance(f, WorkQueued)).waiting_since


def test_an_expired_offer_goes_home_where_an_agent_takes_it(pools: Pools) -> None:
    offered(pools)
    pools.presence("budi")
    pools.advance(30 * SECOND)
    offer = only(settle(pools), ReservationOffered)
    assert (offer.agent_id, offer.pool) == ("budi", HOME)


def test_what_was_withdrawn_on_its_way_home_ends_there(pools: Pools) -> None:
    pools.decline(offered(pools))
    assert pools.under_way() == ["returned sales>billing"]
    assert pools.withdraw("wki_1") == []
    assert kinds(settle(pools)) == ["work.cancelled"]
    assert pools.item("wki_1", HOME) is None


def test_a_priority_raised_on_the_way_home_holds(pools: Pools) -> None:
    pools.decline(offered(pools))
    pools.reprioritise("wki_1", 5)
    settle(pools)
    assert [s.priority for s in pools.said if isinstance(s, WorkLent)] == [0, 5]


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_claim_that_crosses_an_assignment_at_home_is_void(pools: Pools) -> None:
    pools.waits("wki_1")
    assert only(pools.presence("budi"), ReservationOffered).agent_id == "budi"
    assert sorted(pools.under_way()) == ["claimed sales>billing", "recalled billing>sales"]
    settle(pools)
    assert pools.where("wki_1") == (HOME, "offered", "budi")
    assert pools.load("citra") == 0
    assert "granted billing>sales" not in pools.words()


def test_a_claim_of_an_earlier_loan_is_not_granted_by_a_later_one(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.decline(only(pools.presence("budi"), ReservationOffered))
    assert sorted(pools.under_way()) == [
        "claimed sales>billing",
        "lent billing>sales",
        "recalled billing>sales",
    ]
    pools.deliver(OTHER, HOME)
    assert "granted billing>sales" not in pools.words()
    assert only(settle(pools), ReservationOffered).agent_id == "citra"
    assert pools.words().count("granted billing>sales") == 1


def test_a_claim_that_crosses_a_withdrawal_is_void(pools: Pools) -> None:
    pools.waits("wki_1")
    assert kinds(pools.withdraw("wki_1")) == ["work.cancelled"]
    settle(pools)
    assert pools.load("citra") == 0
    assert kinds(pools.request("wki_2", "orders")) == ["work.queued", "reservation.offered"]


def test_of_two_pools_that_claim_the_first_has_it(pools: Pools) -> None:
    pools.presence("eka")
    pools.request("wki_1", requested_at=pools.now - 2 * MINUTE)
    pools.deliver(HOME, OTHER)
    pools.deliver(HOME, THIRD)
    assert (pools.load("citra"), pools.load("eka")) == (1, 1)
    pools.deliver(THIRD, HOME)
    assert only(settle(pools), ReservationOffered).agent_id == "eka"
    assert (pools.load("citra"), pools.load("eka")) == (0, 1)
    assert "recalled billing>sales" in pools.words()


def test_a_claim_holds_capacity_for_a_lease_and_its_grant_is_honoured_after_it(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.advance(30 * SECOND)
    assert pools.load("citra") == 0
    assert only(settle(pools), ReservationOffered).agent_id == "citra"


def test_a_late_grant_goes_home_where_nobody_is_left(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.advance(30 * SECOND)
    assert kinds(pools.request("wki_2", "orders")) == ["work.queued", "reservation.offered"]
    settle(pools)
    assert pools.where("wki_1") == (HOME, "queued", None)
    assert pools.words()[-2:] == ["returned sales>billing", "lent billing>sales"]
    assert pools.where("wki_2") == (OTHER, "offered", "citra")


def test_a_grant_finds_another_when_the_claiming_agent_has_left(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.presence("citra", Presence.BREAK)
    assert pools.load("citra") == 0
    pools.presence("dewi")
    assert pools.load("dewi") == 0
    assert only(settle(pools), ReservationOffered).agent_id == "dewi"


def test_a_grant_does_not_go_past_the_capacity_of_an_agent_who_was_forced_meanwhile(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.request("wki_2", "orders")
    pools.force("wki_2", "citra", OTHER)
    assert pools.load("citra") == 2
    settle(pools)
    assert pools.load("citra") == 1
    assert pools.where("wki_1") == (HOME, "queued", None)


def test_an_agent_cannot_accept_what_is_only_claimed(pools: Pools) -> None:
    pools.waits("wki_1")
    guest = pools.item("wki_1", OTHER)
    assert guest is not None
    offer = ReservationOffered(
        work_item_id="wki_1",
        conversation_id="cnv_1",
        contact_point_id="cpt_1",
        pool=OTHER,
        queue="invoices",
        version=guest.version,
        occurred_at=pools.now,
        reservation_id=guest.reservations[0].reservation_id,
        agent_id="citra",
        expires_at=pools.now,
        waiting_since=pools.now,
        explanation={"policy": "sales", "policy_version": "v1", "strategy": ""},
    )
    assert pools.accept(offer) == []
    answer = pools.agents[-1].answer
    assert answer is not None
    assert answer.code == "not_yours"
    pools.force("wki_1", "dewi", OTHER)
    answer = pools.agents[-1].answer
    assert answer is not None
    assert answer.code == "unknown_work"
    settle(pools)


# -- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [True, False])
def test_an_escalation_calls_the_work_back_and_gives_it_to_the_supervisor(pools: Pools, held: bool) -> None:
    offer = offered(pools)
    if held:
        pools.accept(offer)
    pools.presence("hendra")
    pools.escalate("wki_1", "hendra")
    assert pools.under_way() == ["passed_on billing>sales"]
    given = only(settle(pools), WorkAssigned)
    assert (given.agent_id, given.pool, given.forced_by) == ("hendra", HOME, "sla:gold")
    assert pools.load("citra") == 0


def test_an_order_that_crosses_the_way_home_is_carried_out_there(pools: Pools) -> None:
    pools.presence("hendra")
    pools.decline(offered(pools))
    pools.force("wki_1", "hendra")
    settle(pools)
    assert pools.where("wki_1") == (HOME, "assigned", "hendra")


def test_an_order_for_somebody_who_is_gone_leaves_the_work_waiting(pools: Pools) -> None:
    pools.presence("hendra")
    pools.accept(offered(pools))
    pools.presence("citra", Presence.BREAK)
    pools.force("wki_1", "hendra")
    pools.presence("hendra", Presence.OFFLINE)
    settle(pools)
    assert pools.where("wki_1") == (HOME, "queued", None)


# -- rows and workspaces ----------------------------------------------------------------------------------------------


def test_a_lane_that_is_taken_again_goes_on_where_it_was(pools: Pools) -> None:
    pools.waits("wki_1")
    pools.restart(OTHER)
    assert pools.load("citra") == 1
    pools.deliver(OTHER, HOME)
    pools.restart(HOME)
    offer = only(settle(pools), ReservationOffered)
    pools.restart(OTHER)
    pools.accept(offer)
    pools.restart(HOME)
    pools.withdraw("wki_1")
    assert kinds(settle(pools)) == ["work.completed"]
    assert [pools.item("wki_1", pool) for pool in (HOME, OTHER)] == [None, None]


def reopened(pools: Pools, *relaxations: Relaxation) -> Engine:
    """Billing's engine as built from its rows under another workspace."""
    queue = replace(pools.workspace.queues["invoices"], relax=relaxations)
    changed = replace(pools.workspace, queues={**pools.workspace.queues, "invoices": queue})
    store = pools.lanes[HOME].store
    return Engine(policy_of(changed, HOME), 0, [*store.work_items.of(HOME)], [*store.agents.of(HOME)])


def test_a_pool_that_is_joined_no_more_is_told_so_and_another_hears_of_what_waits(pools: Pools) -> None:
    pools.presence("citra", Presence.OFFLINE)
    pools.presence("ayu", Presence.BREAK)
    pools.waits("wki_1")
    settle(pools)
    for steps, told in (
        ((), [(Recalled, OTHER)]),
        ((Relaxation(MINUTE, pools=(THIRD,)),), [(Recalled, OTHER), (Lent, THIRD)]),
        (pools.workspace.queues["invoices"].relax, []),
    ):
        made = reopened(pools, *steps).apply(Heartbeat("ayu"), at=pools.now, now=pools.now)
        assert [(type(d), d.to) for d in made if isinstance(d, Lending)] == told


def test_a_guest_is_not_counted_as_waiting_twice(pools: Pools) -> None:
    pools.presence("citra", Presence.OFFLINE)
    pools.waits("wki_1")
    stores = [lane.store for lane in pools.lanes.values()]
    figures = _Waiting()
    for store in stores:
        figures.stores.add(store)
    (waiting, _) = figures.collect()
    assert [(s.labels["pool"], s.labels["queue"], s.value) for s in waiting.samples] == [
        (HOME, "invoices", 1)
    ]


def test_with_auto_accept_granted_work_is_assigned_at_once() -> None:
    pools = Pools(workspace(auto_accept=True))
    pools.presence("citra")
    pools.waits("wki_1")
    assert kinds(settle(pools)) == ["work.assigned"]
