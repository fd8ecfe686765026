"""Offers to several agents at once: the first to accept has it, the others are told at once; and compare and set."""

from libs.contracts.vocabulary import Presence
from services.router.assignment.domain.decisions import AgentChange, Offered, ReservationEnded
from tests.unit.router.assignment.pool import Pool, answer, code, every, facts, policy, seconds, spec

NAMES = ("ayu", "budi", "citra")


def crew(at_once: int = 2, capacity: int = 1, **changes: object) -> Pool:
    pool = Pool(policy(*(spec(name, capacity) for name in NAMES), offers_at_once=at_once, **changes))
    pool.available(*NAMES)
    return pool


def test_an_item_is_offered_to_as_many_as_the_pool_says_in_the_strategys_order() -> None:
    pool = crew()
    decisions = pool.request("wki_1")
    assert facts(decisions) == ["queued", "offered ayu", "offered budi"]
    assert pool.where("wki_1") == ("offered", "ayu+budi")
    assert every(decisions, Offered)[1].explanation.note == "offered to 1 more"


def test_each_standing_offer_takes_a_unit_of_its_agent() -> None:
    pool = crew()
    pool.request("wki_1")
    assert [pool.engine.book.load(name) for name in NAMES] == [1, 1, 0]


def test_the_first_to_accept_has_it_and_the_others_are_rescinded_at_once() -> None:
    pool = crew(at_once=3)
    pool.request("wki_1")
    late = pool.reservation("wki_1", "ayu")
    decisions = pool.accept("budi", pool.reservation("wki_1", "budi"))
    assert facts(decisions) == ["accepted budi", "rescinded ayu", "rescinded citra", "assigned budi"]
    assert {e.reason for e in every(decisions, ReservationEnded)} == {None, "taken"}
    assert {c.agent.agent_id: c.load for c in every(decisions, AgentChange)} == {
        "ayu": 0,
        "budi": 1,
        "citra": 0,
    }
    assert code(pool.accept("ayu", late)) == "rescinded"


def test_who_is_rescinded_gets_what_waits() -> None:
    pool = crew(at_once=3)
    pool.request("wki_1")
    pool.request("wki_2")
    decisions = pool.accept("budi", pool.reservation("wki_1", "budi"))
    assert facts(decisions)[-2:] == ["offered ayu", "offered citra"]


def test_a_decline_leaves_the_other_offers() -> None:
    pool = crew()
    pool.request("wki_1")
    assert facts(pool.decline("ayu", pool.reservation("wki_1", "ayu"))) == ["declined ayu"]
    assert pool.where("wki_1") == ("offered", "budi")


def test_work_is_back_in_its_place_once_the_last_offer_ended() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.presence("citra", Presence.BREAK)
    pool.decline("ayu", pool.reservation("wki_1", "ayu"))
    decisions = pool.decline("budi", pool.reservation("wki_1", "budi"))
    assert facts(decisions) == ["declined budi", "queued"]


def test_offers_that_all_expire_make_each_agent_busy() -> None:
    pool = crew()
    pool.request("wki_1")
    told = facts(pool.advance(seconds(30)))
    assert (sorted(told[:2]), told[2:]) == (["expired ayu", "expired budi"], ["offered citra"])
    assert [pool.agent(name).reason for name in NAMES] == ["missed", "missed", None]


def test_nobody_is_kept_from_work_of_their_own_by_being_second_for_another() -> None:
    pool = Pool(policy(spec("ayu"), spec("budi"), offers_at_once=2))
    for number in (1, 2):
        pool.request(f"wki_{number}")
    pool.available("ayu")
    pool.available("budi")
    assert [pool.where(f"wki_{n}") for n in (1, 2)] == [("offered", "ayu"), ("offered", "budi")]


def test_an_agent_is_offered_an_item_once_however_much_room_they_have() -> None:
    pool = crew(at_once=5, capacity=3)
    pool.request("wki_1")
    assert pool.where("wki_1") == ("offered", "ayu+budi+citra")


def test_work_meant_for_one_agent_is_offered_to_that_one_alone() -> None:
    pool = crew(at_once=3)
    assert facts(pool.request("wki_1", only_agent_id="citra")) == ["queued", "offered citra"]


def test_with_auto_accept_nothing_is_offered() -> None:
    assert facts(crew(at_once=3, auto_accept=True).request("wki_1")) == ["queued", "assigned ayu"]


def test_withdrawn_work_is_rescinded_for_everybody() -> None:
    pool = crew()
    pool.request("wki_1")
    assert facts(pool.withdraw("wki_1")) == ["rescinded ayu", "rescinded budi", "cancelled"]


def test_an_accept_on_what_was_seen_is_refused_once_that_has_changed() -> None:
    pool = crew()
    pool.request("wki_1")
    seen, mine = pool.items["wki_1"].version, pool.reservation("wki_1", "budi")
    pool.decline("ayu", pool.reservation("wki_1", "ayu"))
    said = answer(pool.accept("budi", mine, version=seen))
    assert (said.code.value, said.text) == ("stale", f"the work is at version {seen + 1}")
    assert pool.where("wki_1") == ("offered", "budi")
    decisions = pool.accept("budi", mine, version=seen + 1)
    assert (code(decisions), facts(decisions)) == ("ok", ["accepted budi", "assigned budi"])


def test_offers_survive_a_takeover() -> None:
    pool = crew()
    pool.request("wki_1")
    pool.rebuild()
    assert facts(pool.accept("budi", pool.reservation("wki_1", "budi"))) == [
        "accepted budi",
        "rescinded ayu",
        "assigned budi",
    ]
