"""This file proves that sends are spaced as a provider asks."""

from hypothesis import given
from hypothesis import strategies as st

from services.delivery.domain.rate import Bucket, Limits

gaps = st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200)


@given(gaps, st.sampled_from([1.0, 5.0, 30.0, 80.0]), st.integers(1, 20))
def test_no_second_holds_more_than_rate_and_burst(pauses: list[float], rate: float, burst: int) -> None:
    bucket, now, starts = Bucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        starts.append(bucket.take(now))
    for start in starts:
        within = sum(1 for other in starts if start <= other < start + 1.0 - 1e-6)
        assert within <= rate + burst


@given(gaps)
def test_slots_come_in_the_order_they_were_asked_for_and_never_before(pauses: list[float]) -> None:
    bucket, now, last = Bucket(10.0, 3), 0.0, 0.0
    for pause in pauses:
        now += pause
        start = bucket.take(now)
        assert start >= now
        assert start >= last
        last = start


def test_a_burst_goes_at_once_and_the_rest_is_spaced() -> None:
    bucket = Bucket(10.0, 2)
    assert [round(bucket.take(0.0), 3) for _ in range(4)] == [0.0, 0.0, 0.1, 0.2]


def test_a_held_bucket_gives_out_nothing_sooner() -> None:
    bucket = Bucket(10.0, 5)
    bucket.hold(3.0)
    assert bucket.take(1.0) >= 3.0


def test_one_chat_is_limited_by_itself_and_others_go_on() -> None:
    limits = Limits(30.0, 1.0)
    assert limits.take("a", 0.0) == 0.0
    assert limits.take("a", 0.0) == 1.0
    assert limits.take("b", 0.0) == 0.0


def test_addresses_that_are_idle_are_forgotten() -> None:
    limits = Limits(1000.0, 1.0, addresses=10)
    for n in range(1000):
        limits.take(f"chat-{n}", n * 10.0)
    assert len(limits._each) <= 11
